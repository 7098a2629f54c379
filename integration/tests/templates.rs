//! `template` and `spawn`.

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use anyhow::{Context, Result, ensure};
    use cloister_integration::process::Status;
    use cloister_integration::{Container, Place, Program, Rootfs, interrupted, soon};
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;

    /// A program that tells what a copy of it has of its own.
    const COPY: &str = include_str!("../guest/snapshot/copy.py");
    const PLATFORMS: [&str; 2] = ["systrap", "ptrace"];

    fn sleeper() -> Program {
        Program::new(Rootfs::Small, ["sleep", "1000"])
    }

    /// The names of the templates that there are.
    fn names(container: &Container<'_>) -> Result<Vec<String>> {
        let list = container.ok(&["template", "ls", "--format", "json"])?;
        let list: serde_json::Value = serde_json::from_str(&list.stdout)?;
        let list = list.as_array().context("no list")?;
        Ok(list.iter().filter_map(|template| template["name"].as_str().map(str::to_owned)).collect())
    }

    #[test]
    fn copies_have_what_is_theirs_and_nothing_of_others() -> Result<()> {
        let program = Program::new(Rootfs::Dev, ["python3", "-c", COPY]).with_writable_root();
        for platform in PLATFORMS {
            let place = Place::Cloister(Some(platform));
            Container::with(&format!("templates/copies/{platform}"), place, &program, |container| {
                container.ok(&["--overlay", "root:memory", "create", "--bundle", "BUNDLE", "ID"])?;
                container.ok(&["start", "ID"])?;
                container.wait_for_file("ready")?;
                container.ok(&["template", "create", "warm", "--from", "ID"])?;
                ensure!(container.state()?["status"] == "running", "{}", container.state()?);
                container.ok(&["delete", "--force", "ID"])?;
                let copies = ["one", "two", "three", "four"];
                let ids = copies.map(|name| format!("{}-{name}", container.id()));
                for (name, id) in copies.iter().zip(&ids) {
                    let variable = format!("NAME={name}");
                    let flags = ["--id", id, "--env", &variable, "--hostname", name];
                    let done = container.ok(&[&["spawn", "warm", "--detach"], &flags[..]].concat())?;
                    ensure!(done.stdout.trim() == id, "{done}");
                }
                let mut seen = BTreeSet::new();
                for name in copies {
                    container.wait_for_file(name)?;
                    let own = fs::read_to_string(container.work(name))?;
                    let own: Vec<_> = own.lines().map(str::to_owned).collect();
                    ensure!(own.last().map(String::as_str) == Some(name), "{own:?}");
                    seen.extend(own);
                }
                ensure!(seen.len() == 4 * copies.len(), "two copies have one of these: {seen:?}");
                let script = "echo $NAME; cat /etc/owner /proc/cloister/generation";
                for (name, id) in copies.iter().zip(&ids) {
                    let done = container.ok(&["exec", id, "sh", "-c", script])?;
                    ensure!(done.stdout == format!("{name}\n{name}1\n"), "{done}");
                }
                // The host's root is as it was.
                let owner = program.rootfs.path(container.session.lock())?.join("etc/owner");
                ensure!(!owner.exists(), "a copy wrote to the host");
                fs::write(container.work("go"), "")?;
                for name in copies {
                    container.wait_for_file(&format!("{name}.good"))?;
                }
                ids.iter().try_for_each(|id| container.ok(&["delete", "--force", id]).map(drop))?;
                let mut command = container.command(&["spawn", "warm", "--env", "NAME=last"])?;
                let status = command.status()?;
                ensure!(status.code() == Some(42), "in the foreground: {status}");
                container.ok(&["template", "rm", "warm"]).map(drop)
            })?;
        }
        Ok(())
    }

    #[test]
    fn templates_are_made_listed_and_removed() -> Result<()> {
        Container::with("templates/life", Place::Cloister(None), &sleeper(), |container| {
            ensure!(names(container)?.is_empty(), "{:?}", names(container)?);
            container.refused(&["spawn", "warm"], &["warm", "does not exist"])?;
            container.refused(&["template", "rm", "warm"], &["warm", "does not exist"])?;
            container.refused(&["template", "create", "warm", "--from", "ID"], &["does not exist"])?;
            container.start()?;
            let create = ["template", "create", "warm", "--from", "ID"];
            container.ok(&create)?;
            container.refused(&create, &["warm", "exists already"])?;
            let image = container.session.dir().join("image").display().to_string();
            container.ok(&["checkpoint", "--image-path", &image, "ID"])?;
            container.ok(&["template", "create", "cold", "--from", &image, "--bundle", "BUNDLE"])?;
            ensure!(names(container)? == ["cold", "warm"], "{:?}", names(container)?);
            let table = container.ok(&["template", "ls"])?;
            ensure!(table.stdout.contains(container.id()) && table.stdout.contains(&image), "{table}");
            let inspect: serde_json::Value =
                serde_json::from_str(&container.ok(&["template", "inspect", "cold"])?.stdout)?;
            ensure!(inspect["manifest"]["container"] == container.id(), "{inspect}");
            // It has its own names of the snapshot's files.
            fs::remove_dir_all(&image)?;
            let id = format!("{}-copy", container.id());
            let done = container.ok(&["spawn", "cold", "--count", "2", "--id", &id])?;
            let copies: Vec<_> = done.stdout.lines().map(str::to_owned).collect();
            ensure!(copies == [format!("{id}-1"), format!("{id}-2")], "{done}");
            container.refused(&["spawn", "cold", "--detach", "--id", &copies[0]], &["exists already"])?;
            // Those that run keep what they have.
            container.ok(&["template", "rm", "cold"])?;
            container.ok(&["template", "rm", "warm"])?;
            for copy in &copies {
                container.ok(&["exec", copy, "true"])?;
                container.ok(&["delete", "--force", copy])?;
            }
            ensure!(names(container)?.is_empty(), "{:?}", names(container)?);
            Ok(())
        })
    }

    #[test]
    fn what_writes_to_the_host_is_no_template() -> Result<()> {
        let program = sleeper().with_writable_root();
        Container::with("templates/host", Place::Cloister(None), &program, |container| {
            container.start()?;
            let create = ["template", "create", "warm", "--from", "ID"];
            container.refused(&create, &[container.id(), "--overlay root:memory"])?;
            ensure!(container.state()?["status"] == "running", "{}", container.state()?);
            container.ok(&["delete", "--force", "ID"]).map(drop)
        })
    }

    /// Whether nothing is hidden in the folder of templates.
    fn is_clean(templates: &Path) -> Result<bool> {
        let mut entries = fs::read_dir(templates)?.flatten();
        Ok(entries.all(|entry| !entry.file_name().to_string_lossy().starts_with('.')))
    }

    #[test]
    fn a_killed_creation_leaves_no_template() -> Result<()> {
        Container::with("templates/killed", Place::Cloister(None), &sleeper(), |container| {
            container.start()?;
            let create = ["template", "create", "warm", "--from", "ID"];
            let length = interrupted::count(&mut container.command(&create)?)?;
            container.ok(&["template", "rm", "warm"])?;
            for part in 1..12 {
                let mut command = container.command(&create)?;
                interrupted::at(&mut command, length * part / 12, |process| {
                    // A failure means that it has just ended.
                    let _ = kill(Pid::from_raw(process.0), Signal::SIGKILL);
                })?;
                // It never stands still for longer than who saves it lives.
                soon(|| {
                    ensure!(container.state()?["status"] == "running", "part {part}: {}", container.state()?);
                    Ok(())
                })?;
                // It is there with all that it has, or not at all.
                if names(container)?.is_empty() {
                    container.ok(&create)?;
                }
                let done = container.ok(&["spawn", "warm", "--detach"])?;
                ensure!(is_clean(&container.session.state_dir().join("@templates"))?, "part {part}");
                container.ok(&["delete", "--force", done.stdout.trim()])?;
                container.ok(&["template", "rm", "warm"])?;
            }
            container.ok(&["delete", "--force", "ID"]).map(drop)
        })
    }

    #[test]
    fn a_damaged_template_is_refused() -> Result<()> {
        Container::with("templates/damaged", Place::Cloister(None), &sleeper(), |container| {
            container.start()?;
            container.ok(&["template", "create", "warm", "--from", "ID"])?;
            container.ok(&["delete", "--force", "ID"])?;
            let folder = container.session.state_dir().join("@templates/warm");
            let image = folder.join("snapshot/kernel.img");
            let whole = fs::read(&image)?;
            fs::write(&image, &whole[..whole.len() / 2])?;
            container.refused(&["spawn", "warm"], &["kernel.img", "damaged"])?;
            fs::write(&image, whole)?;
            let done = container.run(&["spawn", "warm", "--env", "nothing"])?;
            ensure!(done.status == Status::Code(2) && done.stderr.contains("NAME=VALUE"), "{done}");
            fs::remove_file(folder.join("config.json"))?;
            container.refused(&["spawn", "warm"], &["config.json"])?;
            container.ok(&["template", "rm", "warm"]).map(drop)
        })
    }
}
