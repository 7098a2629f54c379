//! The logs of the runtime, the kernel and the file server.

#[cfg(test)]
mod tests {
    use std::fs;

    use anyhow::{Context, Result, ensure};
    use cloister_integration::{Container, Place, Program, Rootfs, soon};

    fn with_container(
        name: &str,
        script: &str,
        work: impl FnOnce(&Container<'_>) -> Result<()>,
    ) -> Result<()> {
        let program = Program::new(Rootfs::Small, ["sh", "-c", script]);
        Container::with(&format!("logs/{name}"), Place::Cloister(None), &program, work)
    }

    /// All lines of a log are JSON objects with these keys.
    fn are_objects(log: &str, keys: &[&str]) -> Result<()> {
        for line in log.lines() {
            let object: serde_json::Value = serde_json::from_str(line).context(line.to_owned())?;
            ensure!(keys.iter().all(|key| object.get(key).is_some()), "{line}");
        }
        Ok(())
    }

    #[test]
    fn each_process_has_a_log() -> Result<()> {
        with_container("each_process_has_a_log", "true", |container| {
            let folder = container.work("logs");
            let pattern = format!("{}/%ID%/%COMMAND%.log", folder.display());
            let flags = ["--debug-log", &pattern, "--log-format", "json"];
            container.ok(&[&flags[..], &["create", "--bundle", "BUNDLE", "ID"]].concat())?;
            let read = |name: &str| {
                let path = folder.join(container.id()).join(name);
                fs::read_to_string(&path).with_context(|| format!("no log {}", path.display()))
            };
            let boot = read("boot.log")?;
            ensure!(boot.contains("control request"), "{boot}");
            are_objects(&boot, &["timestamp", "level", "target"])?;
            read("gofer.log")?;
            are_objects(&read("create.log")?, &["time", "level", "msg"])?;
            // Errors are told on standard error as well.
            let again = [&flags[..], &["create", "--bundle", "BUNDLE", "ID"]].concat();
            container.refused(&again, &["exists"])?;
            let create = read("create.log")?;
            are_objects(&create, &["time", "level", "msg"])?;
            ensure!(create.contains("\"level\":\"error\"") && create.contains("exists"), "{create}");
            container.ok(&["delete", "--force", "ID"]).map(drop)
        })
    }

    #[test]
    fn a_pattern_with_an_unknown_name_is_refused() -> Result<()> {
        with_container("a_pattern_with_an_unknown_name_is_refused", "true", |container| {
            let done = container.run(&["--debug-log", "/x/%NAME%", "list"])?;
            ensure!(done.stderr.contains("%COMMAND%") && done.stderr.contains("--help"), "{done}");
            Ok(())
        })
    }

    #[test]
    fn the_kernel_logs_no_more_than_it_may() -> Result<()> {
        with_container("the_kernel_logs_no_more_than_it_may", "ls -lR /bin; sleep 100", |container| {
            container.ok(&["--strace", "--log-limit", "5000", "create", "--bundle", "BUNDLE", "ID"])?;
            container.ok(&["start", "ID"])?;
            let log = container.session.state_dir().join(container.id()).join("log");
            soon(|| {
                let log = fs::read_to_string(&log)?;
                ensure!(log.ends_with("the log is full; what follows is left out\n"), "{log}");
                ensure!(log.len() < 5200, "the log has {} bytes", log.len());
                Ok(())
            })?;
            container.ok(&["delete", "--force", "ID"]).map(drop)
        })
    }

    #[test]
    fn the_user_is_told_of_calls_that_are_missing() -> Result<()> {
        let program =
            Program::new(Rootfs::Dev, ["python3", "-c", "import ctypes; ctypes.CDLL(None).syscall(134)"]);
        let name = "logs/the_user_is_told_of_calls_that_are_missing";
        Container::with(name, Place::Cloister(None), &program, |container| {
            let path = container.work("missing").display().to_string();
            container.ok(&[
                "--log-format",
                "json",
                "run",
                "--bundle",
                "BUNDLE",
                "--user-log",
                &path,
                "ID",
            ])?;
            let told = fs::read_to_string(&path)?;
            are_objects(&told, &["number", "program", "message"])?;
            ensure!(told.contains("\"number\":134") && told.contains("python3"), "{told}");
            Ok(())
        })
    }
}
