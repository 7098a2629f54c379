//! `pause` and `resume`, on each platform.

#[cfg(test)]
mod tests {
    use std::thread::sleep;
    use std::time::Duration;

    use anyhow::{Result, ensure};
    use cloister_integration::process::Status;
    use cloister_integration::{Container, Place, Program, Rootfs, soon};

    /// Long enough to tell a busy processor from an idle one.
    const WHILE: Duration = Duration::from_millis(400);

    fn on_each_platform(name: &str, script: &str, work: impl Fn(&Container<'_>) -> Result<()>) -> Result<()> {
        let program = Program::new(Rootfs::Small, ["bash", "-c", script]);
        for platform in ["systrap", "ptrace"] {
            let name = format!("pause/{name}/{platform}");
            Container::with(&name, Place::Cloister(Some(platform)), &program, &work)?;
        }
        Ok(())
    }

    /// The processor time of the whole sandbox, in ticks of 10 ms.
    fn ticks(container: &Container<'_>) -> Result<u64> {
        let processes = container.sandbox_processes()?;
        Ok(processes.iter().filter_map(|process| process.processor_ticks()).sum())
    }

    /// Two busy loops, one of which makes system calls, and a sleeper that leaves a mark every tenth of a second.
    const BUSY: &str = "(while :; do :; done) &
        (while :; do read x < /proc/uptime; done) &
        while sleep 0.1; do echo x >> /work/marks; done";

    #[test]
    fn exec_may_wait_for_the_end_of_a_pause() -> Result<()> {
        on_each_platform("exec_may_wait_for_the_end_of_a_pause", "exec sleep 1000", |container| {
            container.start()?;
            container.ok(&["pause", "ID"])?;
            let command = ["ID", "sh", "-c", ": > /work/done"];
            container.refused(&[&["exec"], &command[..]].concat(), &["paused"])?;
            container.ok(&[&["exec", "--ignore-paused", "--detach"], &command[..]].concat())?;
            ensure!(!container.work("done").exists(), "paused, it ran");
            container.ok(&["resume", "ID"])?;
            container.wait_for_file("done")?;
            container.ok(&["delete", "--force", "ID"]).map(drop)
        })
    }

    #[test]
    fn nothing_runs_while_paused() -> Result<()> {
        on_each_platform("nothing_runs_while_paused", BUSY, |container| {
            container.start()?;
            container.wait_for_file("marks")?;
            let marks = || Ok::<_, anyhow::Error>(std::fs::read(container.work("marks"))?.len());
            container.ok(&["pause", "ID"])?;
            ensure!(container.state()?["status"] == "paused", "{}", container.state()?);
            let before = (ticks(container)?, marks()?);
            sleep(WHILE);
            let after = (ticks(container)?, marks()?);
            // The questions after its state cost the kernel a little, and so does what it gives back when idle.
            ensure!(after.0 <= before.0 + 5, "paused, it used {} ticks", after.0 - before.0);
            ensure!(after.1 == before.1, "paused, it wrote");
            container.ok(&["resume", "ID"])?;
            ensure!(container.state()?["status"] == "running", "{}", container.state()?);
            soon(|| {
                ensure!(ticks(container)? > after.0 + 10, "resumed, the loops do not run");
                ensure!(marks()? > after.1, "resumed, the sleeper does not write");
                Ok(())
            })?;
            container.ok(&["delete", "--force", "ID"]).map(drop)
        })
    }

    #[test]
    fn what_is_refused_while_paused() -> Result<()> {
        on_each_platform("what_is_refused_while_paused", "exec sleep 100", |container| {
            container.ok(&["create", "--bundle", "BUNDLE", "ID"])?;
            container.refused(&["pause", "ID"], &[container.id(), "does not run"])?;
            container.ok(&["start", "ID"])?;
            container.refused(&["resume", "ID"], &[container.id(), "not paused"])?;
            container.ok(&["pause", "ID"])?;
            container.refused(&["pause", "ID"], &[container.id(), "paused already"])?;
            container.refused(&["exec", "ID", "true"], &[container.id(), "paused"])?;
            container.refused(&["delete", "ID"], &[container.id(), "paused"])?;
            container.ok(&["ps", "ID"])?;
            container.ok(&["resume", "ID"])?;
            let done = container.run(&["exec", "ID", "sh", "-c", "exit 9"])?;
            ensure!(done.status == Status::Code(9), "{done}");
            container.ok(&["pause", "ID"])?;
            container.ok(&["delete", "--force", "ID"]).map(drop)
        })
    }

    #[test]
    fn signals_wait_but_for_the_last() -> Result<()> {
        let script = "trap ': > /work/got' USR1; : > /work/ready; while :; do :; done";
        on_each_platform("signals_wait_but_for_the_last", script, |container| {
            container.start()?;
            container.wait_for_file("ready")?;
            container.ok(&["pause", "ID"])?;
            container.ok(&["kill", "ID", "USR1"])?;
            sleep(Duration::from_millis(100));
            ensure!(!container.work("got").exists(), "the handler ran while paused");
            container.ok(&["resume", "ID"])?;
            container.wait_for_file("got")?;
            container.ok(&["pause", "ID"])?;
            container.ok(&["kill", "ID", "KILL"])?;
            container.wait_for_status("stopped")?;
            container.ok(&["delete", "ID"]).map(drop)
        })
    }
}
