//! `exec`: other processes in a running container.

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::Stdio;
    use std::time::Duration;

    use anyhow::{Context, Result, ensure};
    use cloister_integration::process::{self, Finished, Status};
    use cloister_integration::{Container, Place, Program, Rootfs, soon};
    use nix::sys::signal::{Signal, kill};
    use nix::sys::wait::{WaitStatus, waitpid};
    use nix::unistd::Pid;
    use serde_json::json;

    fn with_container(name: &str, work: impl FnOnce(&Container<'_>) -> Result<()>) -> Result<()> {
        let program = Program::new(Rootfs::Small, ["sleep", "100"]).with_env("KEPT", "yes");
        Container::with(&format!("exec/{name}"), Place::Cloister(None), &program, |container| {
            container.start()?;
            work(container)?;
            container.run(&["delete", "--force", "ID"]).map(drop)
        })
    }

    fn ends(done: &Finished, code: i32, stdout: &str) -> Result<()> {
        ensure!(done.status == Status::Code(code) && done.stdout == stdout, "{done}");
        Ok(())
    }

    #[test]
    fn flags_change_the_process() -> Result<()> {
        with_container("flags_change_the_process", |container| {
            let shell = |flags: &[&str], script: &str| {
                let args = [&["exec"], flags, &["ID", "sh", "-c", script]].concat();
                container.run(&args)
            };
            ends(&shell(&[], "echo $KEPT $(pwd) $(id -u):$(id -g); exit 42")?, 42, "yes /work 0:0\n")?;
            ends(&shell(&["-e", "KEPT=no", "--env", "B=c=d"], "echo $KEPT $B")?, 0, "no c=d\n")?;
            ends(&shell(&["--cwd", "/tmp"], "pwd")?, 0, "/tmp\n")?;
            ends(&shell(&["-u", "7:8", "-g", "9", "-g", "10"], "id -u; id -G")?, 0, "7\n8 9 10\n")?;
            ends(&shell(&["--user", "7"], "id -u; id -g")?, 0, "7\n0\n")?;
            let bounding = |flags: &[&str]| -> Result<u64> {
                let done = shell(flags, "sed -n 's/^CapBnd:\\s*//p' /proc/self/status")?;
                Ok(u64::from_str_radix(done.stdout.trim(), 16)?)
            };
            let sys_boot = 1 << 22;
            ensure!(bounding(&[])? & sys_boot == 0 && bounding(&["--cap", "CAP_SYS_BOOT"])? & sys_boot != 0);
            ends(&shell(&["--no-new-privs"], "grep NoNewPrivs /proc/self/status")?, 0, "NoNewPrivs:\t1\n")?;
            ends(&shell(&[], "kill -KILL $$")?, 137, "")?;
            ends(&shell(&[], "kill -TERM $$")?, 143, "")
        })
    }

    #[test]
    fn a_file_describes_the_process() -> Result<()> {
        with_container("a_file_describes_the_process", |container| {
            let file = container.session.dir().join("process.json");
            let file_name = file.to_str().context("odd path")?;
            let process = json!({
                "args": ["/bin/sh", "-c", "echo $A $(pwd) $(id -u); exit 3"],
                "cwd": "/usr",
                "env": ["A=b"],
                "user": { "uid": 5, "gid": 6 },
            });
            std::fs::write(&file, process.to_string())?;
            ends(&container.run(&["exec", "--process", file_name, "ID"])?, 3, "b /usr 5\n")?;
            std::fs::write(&file, r#"{"args": [], "cwd": "/", "user": {"uid": 0, "gid": 0}}"#)?;
            container.refused(&["exec", "--process", file_name, "ID"], &["process.args"])?;
            std::fs::write(&file, "{")?;
            container.refused(&["exec", "--process", file_name, "ID"], &[file_name])
        })
    }

    /// Starts a detached process; returns the ids of its deputy and inside.
    fn detach(container: &Container<'_>, script: &str) -> Result<(i32, i32)> {
        let path =
            |name: &str| Ok::<_, anyhow::Error>(container.session.dir().join(name).display().to_string());
        let (host, inside) = (path("host.pid")?, path("inside.pid")?);
        let files = ["--pid-file", &host, "--internal-pid-file", &inside];
        container.ok(&[&["exec", "--detach"], &files[..], &["ID", "sh", "-c", script]].concat())?;
        Ok((std::fs::read_to_string(host)?.parse()?, std::fs::read_to_string(inside)?.parse()?))
    }

    fn is_listed(container: &Container<'_>, pid: i32) -> Result<bool> {
        let pids: Vec<i32> = serde_json::from_str(&container.ok(&["ps", "--format", "json", "ID"])?.stdout)?;
        Ok(pids.contains(&pid))
    }

    /// The deputy is an orphan, which this process, a subreaper, adopts.
    #[test]
    fn a_deputy_stands_for_a_detached_process() -> Result<()> {
        with_container("a_deputy_stands_for_a_detached_process", |container| {
            let (deputy, inside) = detach(container, "while [ ! -e /work/go ]; do sleep 0.02; done; exit 9")?;
            ensure!(is_listed(container, inside)?, "it does not run");
            std::fs::write(container.work("go"), "")?;
            let status = waitpid(Pid::from_raw(deputy), None)?;
            ensure!(matches!(status, WaitStatus::Exited(_, 9)), "{status:?}");

            let script = "trap 'exit 5' TERM; : > /work/ready; while :; do sleep 0.02; done";
            let (deputy, _) = detach(container, script)?;
            container.wait_for_file("ready")?;
            kill(Pid::from_raw(deputy), Signal::SIGTERM)?;
            let status = waitpid(Pid::from_raw(deputy), None)?;
            ensure!(matches!(status, WaitStatus::Exited(_, 5)), "{status:?}");

            let (deputy, inside) = detach(container, "exec sleep 100")?;
            kill(Pid::from_raw(deputy), Signal::SIGKILL)?;
            waitpid(Pid::from_raw(deputy), None)?;
            soon(|| {
                ensure!(!is_listed(container, inside)?, "the process outlives its deputy");
                Ok(())
            })
        })
    }

    #[test]
    fn the_end_of_the_container_ends_it() -> Result<()> {
        with_container("the_end_of_the_container_ends_it", |container| {
            let mut waiting = container.command(&["exec", "ID", "sh", "-c", ": > /work/ready; sleep 100"])?;
            let waiting =
                std::thread::spawn(move || process::run(&mut waiting, b"", Duration::from_secs(60)));
            container.wait_for_file("ready")?;
            container.ok(&["kill", "ID", "KILL"])?;
            let done = waiting.join().map_err(|_| anyhow::anyhow!("the thread panicked"))??;
            ends(&done, 137, "")
        })
    }

    #[test]
    fn signals_are_passed_on() -> Result<()> {
        with_container("signals_are_passed_on", |container| {
            let script = "trap 'echo got; exit 4' INT; : > /work/ready; while :; do sleep 0.02; done";
            let mut command = container.command(&["exec", "ID", "sh", "-c", script])?;
            let child = command.stdout(Stdio::piped()).spawn()?;
            container.wait_for_file("ready")?;
            kill(Pid::from_raw(i32::try_from(child.id())?), Signal::SIGINT)?;
            let output = child.wait_with_output()?;
            ensure!(output.status.code() == Some(4) && output.stdout == b"got\n", "{output:?}");
            Ok(())
        })
    }

    #[test]
    fn descriptors_are_passed_on() -> Result<()> {
        with_container("descriptors_are_passed_on", |container| {
            let note = container.session.dir().join("note");
            std::fs::File::create(&note)?.write_all(b"from the host\n")?;
            let with_files = |args: &[&str]| {
                let cloister = container.command(args)?;
                let mut command = std::process::Command::new("sh");
                command.arg("-c").arg("exec \"$@\" 3< \"$NOTE\" 4>> \"$NOTE\"").arg("sh");
                command.env("NOTE", &note).arg(cloister.get_program()).args(cloister.get_args());
                process::run(&mut command, b"", Duration::from_secs(60))
            };
            let script = "cat <&3; echo back >&4; ls /proc/self/fd | wc -l";
            // Three usual ones, two more, and that of `ls` itself.
            let exec = ["exec", "--preserve-fds", "2", "ID", "sh", "-c", script];
            ends(&with_files(&exec)?, 0, "from the host\n6\n")?;
            let text = std::fs::read_to_string(&note)?;
            ensure!(text == "from the host\nback\n", "{text}");
            ends(&with_files(&["exec", "ID", "sh", "-c", "ls /proc/self/fd | wc -l"])?, 0, "4\n")?;
            let detached =
                ["exec", "--detach", "--preserve-fds", "2", "ID", "sh", "-c", "cat <&3 > /work/copy"];
            ends(&with_files(&detached)?, 0, "")?;
            container.wait_for_file("copy")?;
            let missing = ["exec", "--preserve-fds", "9", "ID", "true"];
            container.refused(&missing, &["--preserve-fds 9", "descriptor 3"])?;

            container.ok(&["delete", "--force", "ID"])?;
            container.configure(|config| config["process"]["args"] = json!(["sh", "-c", "cat <&3"]))?;
            ends(&with_files(&["run", "--preserve-fds", "2", "--bundle", "BUNDLE", "ID"])?, 0, &text)
        })
    }

    #[test]
    fn what_cannot_be_executed() -> Result<()> {
        with_container("what_cannot_be_executed", |container| {
            for flags in [&[][..], &["--detach"]] {
                let exec = |command: &str| {
                    let done = container.run(&[&["exec"], flags, &["ID", command]].concat())?;
                    ensure!(done.status == Status::Code(255) && done.stderr.lines().count() == 1, "{done}");
                    Ok::<_, anyhow::Error>(done.stderr)
                };
                ensure!(exec("no-such-command")?.contains("no-such-command"));
                ensure!(exec("/etc/passwd")?.contains("/etc/passwd"));
            }
            container.refused(&["exec", "--cwd", "/no/such/folder", "ID", "true"], &["/no/such/folder"])?;
            container.refused(&["exec", "--tty", "ID", "true"], &["terminal"])?;
            container.refused(&["exec", "--console-socket", "/x", "ID", "true"], &["--console-socket"])?;
            container.refused(
                &["exec", "--tty", "--console-socket", "/no/socket", "ID", "true"],
                &["/no/socket"],
            )?;
            container.ok(&["kill", "ID", "KILL"])?;
            container.wait_for_status("stopped")?;
            container.refused(&["exec", "ID", "true"], &[container.id()])
        })
    }
}
