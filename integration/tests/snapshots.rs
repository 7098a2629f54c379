//! `checkpoint` and `restore`, on each platform.

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use anyhow::{Result, ensure};
    use cloister_integration::guest::snapshot_program;
    use cloister_integration::process::Status;
    use cloister_integration::{Container, Place, Program, Rootfs, soon};

    /// One of everything that a process can hold.
    const EVERYTHING: &str = include_str!("../guest/snapshot/everything.py");
    /// The ways in which memory comes back.
    const WAYS: [&str; 2] = ["map", "eager"];

    fn on_each_platform(
        name: &str,
        program: &Program,
        work: impl Fn(&Container<'_>) -> Result<()>,
    ) -> Result<()> {
        for platform in ["systrap", "ptrace"] {
            let name = format!("snapshots/{name}/{platform}");
            Container::with(&name, Place::Cloister(Some(platform)), program, &work)?;
        }
        Ok(())
    }

    /// The folder of a container's snapshot.
    fn image(container: &Container<'_>) -> PathBuf {
        container.session.dir().join("image")
    }

    fn checkpoint(container: &Container<'_>, flags: &[&str]) -> Result<()> {
        let image = image(container).display().to_string();
        let args = [&["checkpoint", "--image-path", &image], flags, &["ID"]].concat();
        container.ok(&args).map(drop)
    }

    fn restore<'a>(image: &'a str, flags: &[&'a str]) -> Vec<&'a str> {
        [&["restore", "--image-path", image, "--bundle", "BUNDLE"], flags, &["ID"]].concat()
    }

    /// A program that says that it is ready, and ends with 42 after it was told to go on, does so after it was saved, and
    /// again from the same snapshot, and in the container that was left running.
    fn goes_on(name: &str, program: &Program) -> Result<()> {
        on_each_platform(name, program, |container| {
            let image = image(container).display().to_string();
            container.start()?;
            container.wait_for_file("ready")?;
            checkpoint(container, &["--leave-running"])?;
            ensure!(container.state()?["status"] == "running", "{}", container.state()?);
            checkpoint(container, &[])?;
            container.refused(&["state", "ID"], &[container.id(), "does not exist"])?;
            for way in WAYS {
                container.ok(&restore(&image, &["--lazy", way, "--detach"]))?;
                ensure!(container.state()?["status"] == "running", "{}", container.state()?);
                // What came back is saved as it was before.
                checkpoint(container, &[])?;
            }
            fs::write(container.work("go"), "")?;
            for way in WAYS {
                let done = container.run(&restore(&image, &["--lazy", way]))?;
                ensure!(done.status == Status::Code(42), "by {way}: {done}");
            }
            fs::remove_file(container.work("go"))?;
            fs::remove_file(container.work("ready"))?;
            fs::remove_dir_all(&image).map_err(Into::into)
        })
    }

    #[test]
    fn a_shell_goes_on() -> Result<()> {
        let script =
            "i=0; while [ ! -e /work/go ]; do i=$((i + 1)); [ $i = 3 ] && : > /work/ready; sleep 0.05; done
            [ $i -ge 3 ] && exit 42";
        goes_on("a_shell_goes_on", &Program::bash(Rootfs::Small, script))
    }

    #[test]
    fn everything_that_a_process_holds_is_there() -> Result<()> {
        goes_on("everything", &Program::new(Rootfs::Dev, ["python3", "-c", EVERYTHING]))
    }

    #[test]
    fn threads_go_on() -> Result<()> {
        goes_on("threads_go_on", &snapshot_program("threads")?)
    }

    #[test]
    fn memory_that_came_back_can_be_changed_in_each_way() -> Result<()> {
        goes_on("pieces", &snapshot_program("pieces")?)
    }

    #[test]
    fn a_container_that_was_left_running_goes_on() -> Result<()> {
        let script = "while sleep 0.02; do echo x >> /work/marks; done";
        on_each_platform("left_running", &Program::bash(Rootfs::Small, script), |container| {
            container.start()?;
            container.wait_for_file("marks")?;
            checkpoint(container, &["--leave-running"])?;
            let marks = fs::read(container.work("marks"))?.len();
            soon(|| {
                ensure!(fs::read(container.work("marks"))?.len() > marks, "it does not go on");
                Ok(())
            })?;
            container.ok(&["pause", "ID"])?;
            // An earlier snapshot is replaced, and what was paused stays so.
            checkpoint(container, &["--leave-running"])?;
            ensure!(container.state()?["status"] == "paused", "{}", container.state()?);
            container.ok(&["delete", "--force", "ID"])?;
            fs::remove_file(container.work("marks"))?;
            fs::remove_dir_all(image(container)).map_err(Into::into)
        })
    }

    #[test]
    fn what_can_not_be_saved_is_named_and_goes_on() -> Result<()> {
        let program = Program::bash(Rootfs::Small, "exec sleep 1000");
        on_each_platform("refused", &program, |container| {
            let image = image(container).display().to_string();
            let args = ["checkpoint", "--image-path", &image, "ID"];
            container.ok(&["create", "--bundle", "BUNDLE", "ID"])?;
            container.refused(&args, &[container.id(), "created"])?;
            container.ok(&["start", "ID"])?;
            container.ok(&["exec", "--detach", "ID", "sleep", "2000"])?;
            // It has the name of the program once it is executed.
            soon(|| container.refused(&args, &["descriptor 0 of process", "(sleep)", "exec"]))?;
            ensure!(!fs::exists(&image)?, "something was left");
            ensure!(container.state()?["status"] == "running", "{}", container.state()?);
            fs::create_dir(&image)?;
            fs::write(format!("{image}/mine"), "")?;
            container.refused(&args, &[&image, "no snapshot"])?;
            fs::remove_dir_all(&image)?;
            container.ok(&["delete", "--force", "ID"]).map(drop)
        })
    }

    #[test]
    fn a_damaged_snapshot_is_refused() -> Result<()> {
        let program = Program::bash(Rootfs::Small, "exec sleep 1000");
        on_each_platform("damaged", &program, |container| {
            let image = image(container);
            let path = image.display().to_string();
            container.start()?;
            checkpoint(container, &[])?;
            for name in ["manifest.json", "kernel.img", "memory.hdr", "memory.dat"] {
                let file = image.join(name);
                let whole = fs::read(&file)?;
                let mut flipped = whole.clone();
                flipped[whole.len() / 2] ^= 4;
                for damaged in [Some(&flipped[..]), Some(&whole[..whole.len() - 1]), Some(&[]), None] {
                    match damaged {
                        Some(bytes) => fs::write(&file, bytes)?,
                        None => fs::remove_file(&file)?,
                    }
                    // A flipped bit of the manifest may be in what is only told to people.
                    if name != "manifest.json" {
                        container.refused(&restore(&path, &["--lazy", "eager", "--detach"]), &[name])?;
                    } else if damaged.is_none_or(|bytes| bytes.is_empty()) {
                        container.refused(&restore(&path, &["--detach"]), &["manifest.json"])?;
                    }
                }
                fs::write(&file, &whole)?;
            }
            container.configure(|config| {
                let mount =
                    serde_json::json!({"destination": "/mnt/other", "type": "tmpfs", "source": "tmpfs"});
                if let Some(mounts) = config["mounts"].as_array_mut() {
                    mounts.push(mount);
                }
            })?;
            container.refused(&restore(&path, &["--detach"]), &["other mounts"])?;
            fs::remove_dir_all(&image).map_err(Into::into)
        })
    }
}
