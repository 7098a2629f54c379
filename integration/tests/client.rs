//! The client library: programs in sandboxes, from Rust.

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::time::{Duration, Instant};

    use anyhow::{Context, Result, ensure};
    use cloister_integration::{Container, Place, Program, Rootfs, paths};
    use cloister_runtime::client::{ClientError, Command, Sandbox};

    fn with_sandbox(name: &str, work: impl FnOnce(&Sandbox) -> Result<()>) -> Result<()> {
        let program = Program::new(Rootfs::Small, ["false"]).with_env("FROM", "bundle");
        Container::with(&format!("client/{name}"), Place::Cloister(None), &program, |container| {
            let sandbox = Sandbox::new(&container.bundle)?.runtime(paths::built("cloister")?);
            let sandbox = sandbox.state_folder(container.session.state_dir());
            work(&sandbox)?;
            let list = container.ok(&["list", "--quiet"])?;
            ensure!(list.stdout.is_empty(), "{list}");
            Ok(())
        })
    }

    fn shell<'a>(sandbox: &'a Sandbox, script: &str) -> Command<'a> {
        sandbox.command("sh", ["-c", script])
    }

    #[test]
    fn output_is_collected() -> Result<()> {
        with_sandbox("output_is_collected", |sandbox| {
            let script = "cat; pwd; echo $FROM $ADDED >&2; exit 3";
            let command = shell(sandbox, script).stdin("in\n").dir("/tmp").append_to_env("ADDED", "here");
            let done = command.output()?;
            ensure!(done.status.code() == Some(3), "{done:?}");
            ensure!(done.stdout == b"in\n/tmp\n" && done.stderr == b"bundle here\n", "{done:?}");
            let done = shell(sandbox, "echo $FROM").env([("FROM", "caller"), ("PATH", "/bin")]).output()?;
            ensure!(done.stdout == b"caller\n", "{done:?}");
            // Failing like the runtime does is not the runtime's failure.
            let done = shell(sandbox, "exit 1").output()?;
            ensure!(done.status.code() == Some(1), "{done:?}");
            let failure = sandbox.command("no-such-program", [""; 0]).output();
            ensure!(
                matches!(&failure, Err(ClientError::Sandbox(text)) if text.contains("no-such-program")),
                "{failure:?}"
            );
            Ok(())
        })
    }

    #[test]
    fn too_much_is_stopped() -> Result<()> {
        with_sandbox("too_much_is_stopped", |sandbox| {
            let begin = Instant::now();
            let slow = shell(sandbox, "sleep 1000 & sleep 1000").timeout(Duration::from_millis(300)).output();
            ensure!(matches!(slow, Err(ClientError::TimedOut(_))), "{slow:?}");
            let loud = shell(sandbox, "yes").output_limit(1 << 20).output();
            ensure!(matches!(loud, Err(ClientError::OutputLimit(_))), "{loud:?}");
            ensure!(begin.elapsed() < Duration::from_secs(120), "it was waited for");
            Ok(())
        })
    }

    #[test]
    fn children_are_talked_to_and_killed() -> Result<()> {
        with_sandbox("children_are_talked_to_and_killed", |sandbox| {
            let mut child = shell(sandbox, "while read line; do echo \"<$line>\"; done; exit 9").spawn()?;
            let mut output = BufReader::new(child.stdout.take().context("no pipe")?);
            for word in ["one", "two"] {
                let mut answer = String::new();
                writeln!(child.stdin.as_mut().context("no pipe")?, "{word}")?;
                output.read_line(&mut answer)?;
                ensure!(answer == format!("<{word}>\n"), "{answer:?}");
            }
            ensure!(child.wait()?.code() == Some(9));
            let mut killed = shell(sandbox, "echo ready; sleep 1000").spawn()?;
            let mut ready = String::new();
            BufReader::new(killed.stdout.take().context("no pipe")?).read_line(&mut ready)?;
            killed.kill()?;
            // Of what is dropped nothing is left either, whatever it has come to.
            drop(shell(sandbox, "sleep 1000").spawn()?);
            Ok(())
        })
    }
}
