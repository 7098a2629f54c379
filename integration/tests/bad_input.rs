//! What goes wrong in the middle, and on machines that lack something. (Wrong bundles, ids and flags are tested beside
//! the runtime.) In each case there is one line that says what happened, and nothing is left behind.

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::Duration;

    use anyhow::{Context, Result, ensure};
    use cloister_integration::process::{self, Finished, Status};
    use cloister_integration::processes::Process;
    use cloister_integration::{Container, Place, Program, Rootfs, Session, exclusive, known, paths};
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;

    fn with_session(name: &str, work: impl FnOnce(&Session<'_>) -> Result<()>) -> Result<()> {
        let lock = exclusive::acquire()?;
        known::judge_whole(Place::Cloister(None), &format!("bad_input/{name}"), Session::during(&lock, work))
    }

    fn assert_one_line(done: &Finished, words: &[&str]) -> Result<()> {
        ensure!(matches!(done.status, Status::Code(1..)), "it should fail\n{done}");
        ensure!(done.stderr.lines().count() == 1, "the error is not one line\n{done}");
        ensure!(
            words.iter().all(|word| done.stderr.contains(word)),
            "the error lacks one of {words:?}\n{done}"
        );
        Ok(())
    }

    /// Kills a program of ours.
    fn kill_named(name: &str) -> Result<()> {
        let all = Process::own().descendants();
        let found = all.into_iter().find(|process| process.name().is_ok_and(|own| own == name));
        let process = found.with_context(|| format!("no {name} is running"))?;
        kill(Pid::from_raw(process.0), Signal::SIGKILL).context("cannot kill it")
    }

    /// Runs a container, kills a program of ours in the middle, and returns what `cloister run` said.
    fn run_and_kill(session: &Session<'_>, name: &str) -> Result<Finished> {
        // An early death has another message.
        let script = ": > /work/ready; while ls /usr > /dev/null; do sleep 0.1; done; exit 3";
        let program = Program::new(Rootfs::Small, ["sh", "-c", script]);
        let bundle = session.write_bundle(&program)?;
        let mut command = session.cloister()?;
        command.arg("--log").arg(session.dir().join("log"));
        command.arg("run").arg("--bundle").arg(bundle).arg(session.id());
        std::thread::scope(|scope| {
            let killer = scope.spawn(|| session.wait_for_file("ready").and_then(|()| kill_named(name)));
            let done = process::run(&mut command, b"", Duration::from_secs(90))?;
            killer.join().map_err(|_| anyhow::anyhow!("the killing thread panicked"))??;
            Ok(done)
        })
    }

    /// A program that does not know the flags: what one of an older build looks like.
    #[test]
    fn a_kernel_that_does_not_know_its_flags() -> Result<()> {
        with_session("a_kernel_that_does_not_know_its_flags", |session| {
            let other = paths::built("cloister-gofer")?.display().to_string();
            let done = session.run(&["--boot-binary", &other, "do", "--", "true"])?;
            assert_one_line(&done, &["cloister-boot ended", "from one build"])
        })
    }

    #[test]
    fn the_kernel_is_killed() -> Result<()> {
        with_session("the_kernel_is_killed", |session| {
            let done = run_and_kill(session, "cloister-boot")?;
            assert_one_line(&done, &["cloister-boot", "signal 9"])
        })
    }

    #[test]
    fn the_file_server_is_killed() -> Result<()> {
        with_session("the_file_server_is_killed", |session| {
            let done = run_and_kill(session, "cloister-gofer")?;
            ensure!(matches!(done.status, Status::Code(1..)), "{done}");
            ensure!(done.stderr.contains("cloister-gofer ended (signal 9)"), "{done}");
            let log = std::fs::read_to_string(session.dir().join("log"))?;
            ensure!(log.contains("cloister-gofer ended"), "the log does not tell: {log}");
            Ok(())
        })
    }

    #[test]
    fn a_dead_kernel_is_noticed_later() -> Result<()> {
        let program = Program::new(Rootfs::Small, ["sleep", "100"]);
        let name = "bad_input/a_dead_kernel_is_noticed_later";
        Container::with(name, Place::Cloister(None), &program, |container| {
            container.start()?;
            kill_named("cloister-boot")?;
            container.wait_for_status("stopped")?;
            container.ok(&["delete", "ID"]).map(drop)
        })
    }

    #[test]
    fn no_user_namespaces() -> Result<()> {
        with_session("no_user_namespaces", |session| {
            let cloister = session.cloister()?;
            let mut command = Command::new("unshare");
            // In a user namespace of its own the limit can be set without changing the machine's.
            command.args(["--user", "--map-root-user", "sh", "-c"]);
            command.arg("echo 0 > /proc/sys/user/max_user_namespaces; exec \"$@\"").arg("sh");
            command.arg(cloister.get_program()).args(cloister.get_args()).args(["do", "--", "true"]);
            let done = process::run(&mut command, b"", Duration::from_secs(60))?;
            assert_one_line(&done, &["namespaces", "max_user_namespaces"])
        })
    }

    #[test]
    fn the_log_is_in_the_form_of_runc() -> Result<()> {
        with_session("the_log_is_in_the_form_of_runc", |session| {
            let log = session.dir().join("log");
            let log = log.to_str().context("odd path")?;
            session.run(&[
                "--log",
                log,
                "--log-format",
                "json",
                "run",
                "--bundle",
                "/no/such/bundle",
                session.id(),
            ])?;
            let text = std::fs::read_to_string(log)?;
            let line: serde_json::Value = serde_json::from_str(text.trim_end())?;
            ensure!(line["level"] == "error" && line["time"].is_string(), "{line}");
            ensure!(
                line["msg"].as_str().is_some_and(|message| message.contains("/no/such/bundle")),
                "{line}"
            );
            Ok(())
        })
    }
}
