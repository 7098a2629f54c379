//! containerd as the caller: containers through our shim, with a daemon of the test's own.

#[cfg(test)]
mod tests {
    use std::fs;

    use anyhow::{Result, ensure};
    use cloister_integration::containerd::{Containerd, IMAGE};
    use cloister_integration::{Session, Status, exclusive};

    fn with_containerd(work: impl FnOnce(&mut Containerd<'_>) -> Result<()>) -> Result<()> {
        let lock = exclusive::acquire()?;
        Session::during(&lock, |session| Containerd::during(session, work))
    }

    #[test]
    fn a_command_runs_to_its_end() -> Result<()> {
        with_containerd(|containerd| {
            let done = containerd.run(&["--rm", IMAGE, "c", "sh", "-c", "echo out; echo err >&2; exit 7"])?;
            ensure!(done.status == Status::Code(7), "{done}");
            ensure!(done.stdout == "out\n" && done.stderr.contains("err\n"), "{done}");
            let done = containerd.run(&["--rm", IMAGE, "c", "/missing"])?;
            ensure!(done.status != Status::Code(0) && done.stderr.contains("/missing"), "{done}");
            ensure!(containerd.tasks()?.is_empty());
            Ok(())
        })
    }

    #[test]
    fn input_and_output_are_whole() -> Result<()> {
        with_containerd(|containerd| {
            let args = containerd.run_args(&["--rm", IMAGE, "c", "cat"]);
            let args: Vec<_> = args.iter().map(String::as_str).collect();
            let input = "0123456789abcde\n".repeat(40_000);
            let done = containerd.give(&args, input.as_bytes())?;
            ensure!(done.status == Status::Code(0) && done.stdout == input, "{} bytes", done.stdout.len());
            let many = "head -c 3000000 /dev/zero; echo last";
            let done = containerd.run(&["--rm", IMAGE, "c", "sh", "-c", many])?;
            ensure!(
                done.stdout.len() == 3_000_005 && done.stdout.ends_with("last\n"),
                "{} bytes",
                done.stdout.len()
            );
            let log = containerd.dir().join("c.log");
            let uri = format!("file://{}", log.display());
            let done = containerd.run(&["--detach", "--log-uri", &uri, IMAGE, "c", "echo", "logged"])?;
            ensure!(done.status == Status::Code(0), "{done}");
            cloister_integration::soon(|| {
                ensure!(fs::read_to_string(&log)? == "logged\n", "the log is not written");
                Ok(())
            })
        })
    }
}
