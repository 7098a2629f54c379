//! `suspend` and `wake`.

#[cfg(test)]
mod tests {
    use std::fs;
    use std::process::Stdio;

    use anyhow::{Context, Result, ensure};
    use cloister_integration::processes::Process;
    use cloister_integration::{Container, Place, Program, Rootfs, interrupted, soon};
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;

    /// How many points are tried of each command unless `CLOISTER_TEST_CRASHES` says so.
    const NR_POINTS: u64 = 10;
    const PLATFORMS: [&str; 2] = ["systrap", "ptrace"];

    /// A program that counts in a file of the host. Whoever runs twice, or goes on from an earlier state, repeats a number.
    fn counter() -> Program {
        let script = "i=0; while :; do i=$((i + 1)); echo $i >> /work/numbers; sleep 0.01; done";
        Program::bash(Rootfs::Small, script)
    }

    fn on_each_platform(
        name: &str,
        program: &Program,
        work: impl Fn(&Container<'_>) -> Result<()>,
    ) -> Result<()> {
        for platform in PLATFORMS {
            let name = format!("suspend/{name}/{platform}");
            Container::with(&name, Place::Cloister(Some(platform)), program, &work)?;
        }
        Ok(())
    }

    /// The numbers so far, which are without gaps and repetitions.
    fn numbers(container: &Container<'_>) -> Result<usize> {
        let text = fs::read_to_string(container.work("numbers")).unwrap_or_default();
        // A line that is just being written is no number yet.
        let whole = text.rsplit_once('\n').map(|(whole, _)| whole).unwrap_or_default();
        for (number, line) in (1..).zip(whole.lines()) {
            ensure!(line.parse() == Ok(number), "number {number} is {line:?}");
        }
        Ok(whole.lines().count())
    }

    /// The container runs: it counts on.
    fn counts_on(container: &Container<'_>) -> Result<()> {
        let before = numbers(container)?;
        soon(|| {
            ensure!(numbers(container)? > before + 1, "it does not go on");
            Ok(())
        })
    }

    /// What `state` tells once it is one of the two that last.
    fn settled(container: &Container<'_>) -> Result<String> {
        soon(|| {
            let state = container.state()?;
            let status = state["status"].as_str().unwrap_or_default().to_owned();
            ensure!(status == "running" || status == "suspended", "it does not get anywhere: {state}");
            Ok(status)
        })
    }

    #[test]
    fn a_container_goes_on_where_it_was() -> Result<()> {
        on_each_platform("goes_on", &counter(), |container| {
            container.start()?;
            container.refused(&["wake", "ID"], &[container.id(), "running"])?;
            for _ in 0..3 {
                counts_on(container)?;
                let processes = container.sandbox_processes()?;
                container.ok(&["suspend", "ID"])?;
                let state = container.state()?;
                ensure!(state["status"] == "suspended" && state["pid"] == 0, "{state}");
                // One that is not reaped yet has no command line.
                let gone = |process: &Process| process.read("cmdline").unwrap_or_default().is_empty();
                soon(|| {
                    ensure!(processes.iter().all(gone), "a process is left");
                    Ok(())
                })?;
                container.refused(&["suspend", "ID"], &["suspended"])?;
                container.refused(&["exec", "ID", "true"], &["suspended", "cloister wake"])?;
                container.refused(&["kill", "ID", "TERM"], &["suspended"])?;
                container.refused(&["delete", "ID"], &["suspended"])?;
                let list = container.ok(&["list"])?;
                ensure!(list.stdout.contains("suspended"), "{list}");
                let before = numbers(container)?;
                container.ok(&["wake", "ID"])?;
                ensure!(container.state()?["status"] == "running", "{}", container.state()?);
                soon(|| {
                    ensure!(numbers(container)? > before, "it does not go on");
                    Ok(())
                })?;
            }
            // What was paused goes on as well.
            container.ok(&["pause", "ID"])?;
            container.ok(&["suspend", "ID"])?;
            container.ok(&["wake", "ID"])?;
            counts_on(container)?;
            // An image elsewhere is its owner's.
            let image = container.session.dir().join("image");
            container.ok(&["suspend", "--image-path", &image.display().to_string(), "ID"])?;
            container.ok(&["delete", "--force", "ID"])?;
            ensure!(image.join("manifest.json").exists(), "the image is gone");
            fs::remove_file(container.work("numbers")).map_err(Into::into)
        })
    }

    #[test]
    fn what_can_not_be_saved_goes_on() -> Result<()> {
        on_each_platform("refused", &counter(), |container| {
            container.ok(&["create", "--bundle", "BUNDLE", "ID"])?;
            container.refused(&["suspend", "ID"], &["created"])?;
            container.ok(&["start", "ID"])?;
            container.ok(&["exec", "--detach", "ID", "sleep", "1000"])?;
            // It has the name of the program once it is executed.
            soon(|| container.refused(&["suspend", "ID"], &["(sleep)", "exec"]))?;
            ensure!(container.state()?["status"] == "running", "{}", container.state()?);
            counts_on(container)?;
            container.ok(&["delete", "--force", "ID"])?;
            fs::remove_file(container.work("numbers")).map_err(Into::into)
        })
    }

    #[test]
    fn who_runs_it_in_the_foreground_leaves_it_to_the_disk() -> Result<()> {
        Container::with("suspend/foreground", Place::Cloister(None), &counter(), |container| {
            let mut run = container.command(&["run", "--bundle", "BUNDLE", "ID"])?;
            let mut run = run.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
            container.wait_for_file("numbers")?;
            container.ok(&["suspend", "ID"])?;
            ensure!(run.wait()?.success(), "it did not end with 0");
            ensure!(container.state()?["status"] == "suspended", "{}", container.state()?);
            container.ok(&["wake", "ID"])?;
            counts_on(container)?;
            container.ok(&["delete", "--force", "ID"]).map(drop)
        })
    }

    #[test]
    fn a_damaged_image_leaves_it_suspended() -> Result<()> {
        Container::with("suspend/damaged", Place::Cloister(None), &counter(), |container| {
            container.start()?;
            counts_on(container)?;
            container.ok(&["suspend", "ID"])?;
            let suspension = container.session.state_dir().join(container.id()).join("suspension.json");
            let suspension: serde_json::Value = serde_json::from_slice(&fs::read(suspension)?)?;
            let file = format!("{}/kernel.img", suspension["image"].as_str().context("no image")?);
            let whole = fs::read(&file)?;
            fs::write(&file, &whole[1..])?;
            container.refused(&["wake", "ID"], &["kernel.img", "damaged"])?;
            ensure!(container.state()?["status"] == "suspended", "{}", container.state()?);
            fs::write(&file, &whole)?;
            container.ok(&["wake", "ID"])?;
            counts_on(container)?;
            container.ok(&["delete", "--force", "ID"]).map(drop)
        })
    }

    /// Kills a command at points all over its way, and returns how often the container ran and was suspended after that.
    fn kill_all_over(
        container: &Container<'_>,
        command: &[&str],
        before: &str,
        bring_back: &[&str],
    ) -> Result<(u32, u32)> {
        let length = interrupted::count(&mut container.command(command)?)?;
        container.ok(bring_back)?;
        let nr_points = match std::env::var("CLOISTER_TEST_CRASHES") {
            Ok(number) => number.parse().context("CLOISTER_TEST_CRASHES is not a number")?,
            Err(_) => NR_POINTS,
        };
        let (mut nr_running, mut nr_suspended) = (0, 0);
        for number in 0..nr_points {
            // The last ones are beyond the step that counts.
            let point = 1 + number * length / nr_points;
            interrupted::at(&mut container.command(command)?, point, |process| {
                // A failure means that it has just ended.
                let _ = kill(Pid::from_raw(process.0), Signal::SIGKILL);
            })?;
            let check = || -> Result<bool> {
                let status = settled(container)?;
                numbers(container)?;
                if status == "running" {
                    counts_on(container)?;
                }
                // It takes the command as if nothing had been.
                if status == before {
                    container.ok(command)?;
                }
                container.ok(bring_back)?;
                numbers(container)?;
                Ok(status == "running")
            };
            match check().with_context(|| format!("killed at point {point} of {length} of {command:?}"))? {
                true => nr_running += 1,
                false => nr_suspended += 1,
            }
        }
        Ok((nr_running, nr_suspended))
    }

    #[test]
    fn it_runs_or_is_suspended_whenever_the_command_is_killed() -> Result<()> {
        on_each_platform("killed", &counter(), |container| {
            container.start()?;
            counts_on(container)?;
            let (suspend, wake) = (["suspend", "ID"], ["wake", "ID"]);
            let (running, suspended) = kill_all_over(container, &suspend, "running", &wake)?;
            ensure!(running > 0, "it ran {running} times and was suspended {suspended} times");
            container.ok(&suspend)?;
            let (running, suspended) = kill_all_over(container, &wake, "suspended", &suspend)?;
            ensure!(suspended > 0, "it ran {running} times and was suspended {suspended} times");
            container.ok(&["delete", "--force", "ID"])?;
            fs::remove_file(container.work("numbers")).map_err(Into::into)
        })
    }
}
