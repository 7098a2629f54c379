//! `cloister do`: one command over the host's files.

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use anyhow::{Context, Result, ensure};
    use cloister_integration::process::{self, Finished, Status};
    use cloister_integration::processes::Process;
    use cloister_integration::{Place, Session, exclusive, known};
    use nix::sys::signal::{Signal, killpg};
    use nix::unistd::Pid;

    /// Does the work with a session; the test's name is in the list of known failures.
    fn with_session(name: &str, work: impl FnOnce(&Session<'_>) -> Result<()>) -> Result<()> {
        let lock = exclusive::acquire()?;
        known::judge_whole(Place::Cloister(None), &format!("do/{name}"), Session::during(&lock, work))
    }

    /// Runs `cloister do` with flags, and a script for the shell.
    fn do_shell(session: &Session<'_>, flags: &[&str], script: &str) -> Result<Finished> {
        session.run(&[&["do"], flags, &["--", "sh", "-c", script]].concat())
    }

    #[test]
    fn output_and_exit_code_pass_through() -> Result<()> {
        with_session("output_and_exit_code_pass_through", |session| {
            let mut command = session.cloister()?;
            command.args(["do", "--", "sh", "-c", "cat; echo $(uname -s); echo err >&2; exit 42"]);
            let done = process::run(&mut command, b"in\n", Duration::from_secs(60))?;
            ensure!(done.status == Status::Code(42), "{done}");
            ensure!(done.stdout == "in\nLinux\n" && done.stderr == "err\n", "{done}");
            Ok(())
        })
    }

    #[test]
    fn exit_codes_of_failures() -> Result<()> {
        with_session("exit_codes_of_failures", |session| {
            for (args, code) in [
                (["do", "--", "/no/such/program"].as_slice(), 127),
                (&["do", "--", "no-such-program"], 127),
                (&["do", "--", "/etc/passwd"], 126),
                (&["do", "--", "/"], 126),
                (&["do", "--root", "/no/such/folder", "--", "true"], 125),
            ] {
                let done = session.run(args)?;
                ensure!(done.status == Status::Code(code), "{args:?} should give {code}\n{done}");
                ensure!(done.stderr.lines().count() == 1, "{args:?}: the error is not one line\n{done}");
            }
            Ok(())
        })
    }

    #[test]
    fn a_signal_gives_128_and_its_number() -> Result<()> {
        with_session("a_signal_gives_128_and_its_number", |session| {
            // The shell is the first process, which signals do not end: its child is killed, and tells.
            let done = do_shell(session, &[], "sh -c 'kill -TERM $$'; exit $?")?;
            ensure!(done.status == Status::Code(128 + 15), "{done}");
            Ok(())
        })
    }

    #[test]
    fn writes_vanish() -> Result<()> {
        with_session("writes_vanish", |session| {
            let file = session.work().join("file");
            fs::write(&file, "host")?;
            let script = format!(
                "cd {}; echo sandbox > file; echo new > new; mkdir dir; rm -f /etc/hostname; cat file new; ls -d dir; \
                 ls /etc/hostname",
                session.work().display()
            );
            let done = do_shell(session, &[], &script)?;
            ensure!(done.stdout == "sandbox\nnew\ndir\n" && done.status != Status::Code(0), "{done}");
            ensure!(fs::read_to_string(&file)? == "host", "the host's file was changed");
            ensure!(!session.work().join("new").exists(), "a file appeared on the host");
            ensure!(std::path::Path::new("/etc/hostname").exists(), "a file of the host is gone");
            Ok(())
        })
    }

    #[test]
    fn environment_folder_user_and_host_name() -> Result<()> {
        with_session("environment_folder_user_and_host_name", |session| {
            let flags = ["--env", "COLOUR=blue", "--cwd", "/usr", "--user", "1000:100", "--hostname", "box"];
            let done = do_shell(session, &flags, "echo $COLOUR; pwd; id -u; id -g; uname -n")?;
            ensure!(done.stdout == "blue\n/usr\n1000\n100\nbox\n", "{done}");
            Ok(())
        })
    }

    #[test]
    fn volumes() -> Result<()> {
        with_session("volumes", |session| {
            let (shared, fixed) = (session.dir().join("shared"), session.dir().join("fixed"));
            for dir in [&shared, &fixed] {
                fs::create_dir(dir)?;
                fs::write(dir.join("file"), "host\n")?;
            }
            let (shared_flag, fixed_flag) =
                (format!("{}:/mnt", shared.display()), format!("{}:/opt:ro", fixed.display()));
            let script = "cat /mnt/file /opt/file; echo sandbox > /mnt/file; echo x > /opt/file";
            let done = do_shell(session, &["--volume", &shared_flag, "--volume", &fixed_flag], script)?;
            ensure!(done.stdout == "host\nhost\n" && done.status != Status::Code(0), "{done}");
            ensure!(
                fs::read_to_string(shared.join("file"))? == "sandbox\n",
                "the write did not reach the host"
            );
            ensure!(fs::read_to_string(fixed.join("file"))? == "host\n", "a read-only volume was changed");
            Ok(())
        })
    }

    #[test]
    fn no_network_but_loopback() -> Result<()> {
        with_session("no_network_but_loopback", |session| {
            let done =
                do_shell(session, &[], "cat /proc/net/dev 2>/dev/null | grep -v lo: | grep -c : || true")?;
            ensure!(done.stdout.trim() == "0", "{done}");
            Ok(())
        })
    }

    #[test]
    fn processes_of_the_host_are_not_seen() -> Result<()> {
        with_session("processes_of_the_host_are_not_seen", |session| {
            let done = do_shell(session, &[], "echo $$; ls /proc | grep -c '^[0-9]'")?;
            let mut lines = done.stdout.lines();
            ensure!(lines.next() == Some("1"), "{done}");
            let seen: u32 = lines.next().unwrap_or_default().parse()?;
            ensure!(seen <= 4, "{done}");
            Ok(())
        })
    }

    #[test]
    fn strace_shows_calls() -> Result<()> {
        with_session("strace_shows_calls", |session| {
            let done = session.run(&["--strace", "do", "--", "sh", "-c", "cat /etc/hostname; true"])?;
            ensure!(done.status == Status::Code(0), "{done}");
            for word in ["execve", "openat", "/etc/hostname", "write", "exit_group"] {
                ensure!(done.stderr.contains(word), "no {word} in the trace\n{done}");
            }
            Ok(())
        })
    }

    #[test]
    fn an_interrupt_reaches_the_command() -> Result<()> {
        with_session("an_interrupt_reaches_the_command", |session| {
            let script =
                "trap 'echo interrupted; exit 9' INT; touch /mnt/ready; while :; do sleep 0.05; done";
            let mut command = session.cloister()?;
            command.arg("do").arg(format!("--volume={}:/mnt", session.work().display()));
            command.args(["--", "sh", "-c", script]);
            let done = std::thread::scope(|scope| {
                let sender = scope.spawn(|| {
                    session.wait_for_file("ready")?;
                    // What a terminal does: all of the foreground group get it.
                    let mut children = Process::own().children().into_iter();
                    let cloister = children.find(|child| child.name().is_ok_and(|name| name == "cloister"));
                    let cloister = cloister.context("no cloister is running")?;
                    killpg(Pid::from_raw(cloister.0), Signal::SIGINT).context("cannot interrupt")
                });
                let done = process::run(&mut command, b"", Duration::from_secs(90));
                sender.join().map_err(|_| anyhow::anyhow!("the sending thread panicked"))??;
                done
            })?;
            ensure!(done.status == Status::Code(9), "{done}");
            ensure!(done.stdout == "interrupted\n", "{done}");
            Ok(())
        })
    }
}
