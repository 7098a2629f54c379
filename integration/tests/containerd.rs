//! containerd as the caller: containers through our shim, with a daemon of the test's own.

#[cfg(test)]
mod tests {
    use std::fs::{self, File, Permissions};
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;
    use std::process::Child;
    use std::thread;

    use anyhow::{Context, Result, bail, ensure};
    use cloister_integration::console::Terminal;
    use cloister_integration::containerd::{Containerd, IMAGE};
    use cloister_integration::process::Status;
    use cloister_integration::processes::Process;
    use cloister_integration::{Session, exclusive, soon};
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;

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
            soon(|| {
                ensure!(fs::read_to_string(&log)? == "logged\n", "the log is not written");
                Ok(())
            })
        })
    }

    /// Starts a container that sleeps until it is killed.
    fn sleeper(containerd: &Containerd<'_>, id: &str) -> Result<()> {
        let done = containerd.run(&["--detach", IMAGE, id, "sleep", "1000000"])?;
        ensure!(done.status == Status::Code(0), "{done}");
        Ok(())
    }

    /// Status of a task as `ctr` tells it.
    fn status(containerd: &Containerd<'_>, id: &str) -> Result<String> {
        let list = containerd.ok(&["tasks", "list"])?.stdout;
        let line = list.lines().find(|line| line.split_whitespace().next() == Some(id));
        Ok(line.and_then(|line| line.split_whitespace().nth(2)).unwrap_or("gone").to_owned())
    }

    /// Process of the host that stands for a task.
    fn pid(containerd: &Containerd<'_>, id: &str) -> Result<i32> {
        let list = containerd.ok(&["tasks", "list"])?.stdout;
        let line = list.lines().find(|line| line.split_whitespace().next() == Some(id));
        let pid = line.and_then(|line| line.split_whitespace().nth(1)).context("no such task")?;
        Ok(pid.parse()?)
    }

    fn kill_and_remove(containerd: &Containerd<'_>, id: &str) -> Result<()> {
        containerd.ok(&["tasks", "kill", "--signal", "KILL", id])?;
        soon(|| {
            ensure!(status(containerd, id)? == "STOPPED", "it still runs");
            Ok(())
        })?;
        let done = containerd.ok(&["tasks", "delete", id])?;
        ensure!(done.stderr.contains("exit code 137"), "{done}");
        containerd.ok(&["containers", "delete", id]).map(drop)
    }

    #[test]
    fn a_container_lives_and_dies() -> Result<()> {
        with_containerd(|containerd| {
            let events = Events::begin(containerd)?;
            sleeper(containerd, "c")?;
            ensure!(status(containerd, "c")? == "RUNNING");
            let exec = ["tasks", "exec", "--exec-id", "e", "c", "sh", "-c", "echo in; echo err >&2; exit 5"];
            let done = containerd.ends_with(5, &exec)?;
            ensure!(done.stdout == "in\n" && done.stderr.contains("err\n"), "{done}");
            let done = containerd.give(&["tasks", "exec", "--exec-id", "e", "c", "cat"], b"given\n")?;
            ensure!(done.status == Status::Code(0) && done.stdout == "given\n", "{done}");
            let done = containerd.ctr(&["tasks", "exec", "--exec-id", "e", "c", "/missing"])?;
            ensure!(done.status != Status::Code(0) && done.stderr.contains("/missing"), "{done}");
            // What a background process still has open does not hold up anybody.
            let script = "sleep 1000000 & echo done";
            let done = containerd.ok(&["tasks", "exec", "--exec-id", "e", "c", "sh", "-c", script])?;
            ensure!(done.stdout == "done\n", "{done}");
            let list = containerd.ok(&["tasks", "ps", "c"])?.stdout;
            ensure!(list.lines().count() == 3, "{list}");
            let metrics = containerd.ok(&["tasks", "metrics", "c"])?.stdout;
            let value = |name: &str| {
                metrics
                    .lines()
                    .find_map(|line| line.strip_prefix(name)?.split_whitespace().last()?.parse::<u64>().ok())
            };
            ensure!(
                value("memory.usage_in_bytes") > Some(0) && value("pids.current") == Some(2),
                "{metrics}"
            );
            containerd.ok(&["tasks", "pause", "c"])?;
            ensure!(status(containerd, "c")? == "PAUSED");
            containerd.ok(&["tasks", "resume", "c"])?;
            ensure!(status(containerd, "c")? == "RUNNING");
            let done = containerd.ctr(&["tasks", "delete", "c"])?;
            ensure!(done.status != Status::Code(0), "a task that runs was deleted\n{done}");
            kill_and_remove(containerd, "c")?;
            let told = events.up_to("delete")?;
            let exec = ["exec-added", "exec-started", "exit"];
            let expected = [&["create", "start"][..], &exec, &exec, &["exec-added"], &exec]
                .concat()
                .into_iter()
                .chain(["paused", "resumed", "exit", "delete"])
                .collect::<Vec<_>>();
            ensure!(told == expected, "{told:?}");
            Ok(())
        })
    }

    /// Runs containerd's client on a terminal, before which `work` sits. Returns its exit code.
    fn on_terminal(
        containerd: &Containerd<'_>,
        args: &[&str],
        work: impl FnOnce(&mut Terminal) -> Result<()>,
    ) -> Result<Option<i32>> {
        let (mut terminal, other) = Terminal::pair(33, 99)?;
        let mut command = containerd.command(args);
        let mut child = command.stdin(other.try_clone()?).stdout(other.try_clone()?).stderr(other).spawn()?;
        // The command holds the other end as well.
        drop(command);
        let done = work(&mut terminal).and_then(|()| terminal.expect_end());
        if done.is_err() {
            child.kill()?;
        }
        let status = child.wait()?;
        done?;
        Ok(status.code())
    }

    #[test]
    fn terminals_have_sizes_keys_and_ends() -> Result<()> {
        with_containerd(|containerd| {
            let containerd = &*containerd;
            let shell = "tty; echo ready; read -r line; echo \"got $line\"; exit 3";
            let args = containerd.run_args(&["--rm", "--tty", IMAGE, "c", "sh", "-c", shell]);
            let args: Vec<_> = args.iter().map(String::as_str).collect();
            let code = on_terminal(containerd, &args, |terminal| {
                terminal.expect("/dev/pts/0")?;
                terminal.expect("ready")?;
                terminal.press("hello\n")?;
                terminal.expect("got hello")
            })?;
            ensure!(code == Some(3), "{code:?}");
            sleeper(containerd, "c")?;
            let exec = |shell: &str, work: fn(&mut Terminal) -> Result<()>| {
                let args = ["tasks", "exec", "--tty", "--exec-id", "e", "c", "sh", "-c", shell];
                on_terminal(containerd, &args, work)
            };
            // The size comes with a request of its own, after the start.
            let sized = "until [ \"$(stty size)\" = '33 99' ]; do sleep 0.01; done; echo sized; exit 4";
            let code = exec(sized, |terminal| terminal.expect("sized"))?;
            ensure!(code == Some(4), "{code:?}");
            let code = exec("trap 'exit 6' INT; echo ready; while :; do sleep 0.01; done", |terminal| {
                terminal.expect("ready")?;
                terminal.press("\x03")
            })?;
            ensure!(code == Some(6), "{code:?}");
            let code = exec("echo ready; exec cat", |terminal| {
                terminal.expect("ready")?;
                terminal.press("line\n")?;
                // The echo, and then what the program writes.
                terminal.expect("line")?;
                terminal.expect("line")?;
                terminal.press("\x04")
            })?;
            ensure!(code == Some(0), "{code:?}");
            kill_and_remove(containerd, "c")
        })
    }

    /// Does the work for all of them at once.
    fn all_at_once(ids: &[String], work: impl Fn(&str) -> Result<()> + Sync) -> Result<()> {
        let work = &work;
        thread::scope(|scope| {
            let running: Vec<_> = ids.iter().map(|id| scope.spawn(move || work(id))).collect();
            running.into_iter().try_for_each(|one| one.join().expect("it does not panic"))
        })
    }

    #[test]
    fn many_live_at_once() -> Result<()> {
        const COUNT: usize = 12;
        with_containerd(|containerd| {
            let containerd = &*containerd;
            for round in 0..2 {
                let ids: Vec<_> = (0..COUNT).map(|number| format!("c{round}-{number}")).collect();
                all_at_once(&ids, |id| sleeper(containerd, id))?;
                ensure!(containerd.tasks()?.len() == COUNT);
                all_at_once(&ids, |id| {
                    let done = containerd.ok(&["tasks", "exec", "--exec-id", "e", id, "echo", id])?;
                    ensure!(done.stdout.trim() == id, "{done}");
                    kill_and_remove(containerd, id)
                })?;
            }
            Ok(())
        })
    }

    #[test]
    fn a_restart_of_containerd_is_survived() -> Result<()> {
        with_containerd(|containerd| {
            sleeper(containerd, "c")?;
            containerd.stop(Signal::SIGKILL)?;
            containerd.start()?;
            ensure!(status(containerd, "c")? == "RUNNING");
            let done = containerd.ok(&["tasks", "exec", "--exec-id", "e", "c", "echo", "again"])?;
            ensure!(done.stdout == "again\n", "{done}");
            // One that ends while nobody is there is known to have when somebody is.
            let stands_for_it = pid(containerd, "c")?;
            containerd.stop(Signal::SIGTERM)?;
            kill(Pid::from_raw(stands_for_it), Signal::SIGKILL)?;
            containerd.start()?;
            soon(|| {
                ensure!(status(containerd, "c")? == "STOPPED", "it is not known to have ended");
                Ok(())
            })?;
            containerd.ok(&["tasks", "delete", "c"])?;
            containerd.ok(&["containers", "delete", "c"]).map(drop)
        })
    }

    #[test]
    fn the_end_of_a_kernel_is_told() -> Result<()> {
        with_containerd(|containerd| {
            let events = Events::begin(containerd)?;
            sleeper(containerd, "c")?;
            kill(Pid::from_raw(pid(containerd, "c")?), Signal::SIGKILL)?;
            ensure!(events.up_to("exit")? == ["create", "start", "exit"]);
            ensure!(status(containerd, "c")? == "STOPPED");
            containerd.ok(&["tasks", "delete", "c"])?;
            containerd.ok(&["containers", "delete", "c"]).map(drop)
        })
    }

    #[test]
    fn the_end_of_a_shim_leaves_nothing() -> Result<()> {
        with_containerd(|containerd| {
            sleeper(containerd, "c")?;
            let mut exec = containerd.command(&["tasks", "exec", "--exec-id", "e", "c", "sleep", "1000000"]);
            let mut exec = exec.spawn()?;
            soon(|| {
                ensure!(containerd.ok(&["tasks", "ps", "c"])?.stdout.lines().count() == 3, "it does not run");
                Ok(())
            })?;
            let kernel = Process(pid(containerd, "c")?);
            let shim = kernel.parent().context("the kernel has no parent")?;
            ensure!(shim.read("cmdline")?.contains("shim-cloister"), "{shim:?}");
            kill(Pid::from_raw(shim.0), Signal::SIGKILL)?;
            soon(|| {
                ensure!(status(containerd, "c")? == "gone", "the task is still there");
                // What is left of it until it is waited for has no arguments.
                ensure!(kernel.read("cmdline").unwrap_or_default().is_empty(), "the kernel is still there");
                Ok(())
            })?;
            exec.wait()?;
            containerd.ok(&["containers", "delete", "c"])?;
            // The name can be used again.
            sleeper(containerd, "c")?;
            kill_and_remove(containerd, "c")
        })
    }

    #[test]
    fn lack_of_memory_is_told() -> Result<()> {
        with_containerd(|containerd| {
            let events = Events::begin(containerd)?;
            let hog = "exec dd if=/dev/zero of=/dev/null bs=400M count=1000000";
            let limit = (64 << 20).to_string();
            let done = containerd.run(&["--rm", "--memory-limit", &limit, IMAGE, "c", "sh", "-c", hog])?;
            ensure!(done.status == Status::Code(137), "{done}");
            let told = events.up_to("delete")?;
            let oom = told.iter().position(|topic| topic == "oom").context("it is not told")?;
            ensure!(told.iter().position(|topic| topic == "exit") > Some(oom), "{told:?}");
            Ok(())
        })
    }

    #[test]
    fn containers_go_on_after_they_are_saved() -> Result<()> {
        with_containerd(|containerd| {
            let script = "n=0; while :; do n=$((n+1)); echo $n > /tmp/n; sleep 0.01; done";
            let done = containerd.run(&["--detach", IMAGE, "c", "sh", "-c", script])?;
            ensure!(done.status == Status::Code(0), "{done}");
            let count = |id: &str| {
                let done = containerd.ok(&["tasks", "exec", "--exec-id", "e", id, "cat", "/tmp/n"])?;
                Ok(done.stdout.trim().parse::<u64>()?)
            };
            let before: u64 = soon(|| count("c").and_then(|n| if n > 5 { Ok(n) } else { bail!("{n}") }))?;
            let saved = containerd.dir().join("saved");
            fs::create_dir(&saved)?;
            let path = saved.to_str().context("odd path")?;
            containerd.ok(&["tasks", "checkpoint", "--image-path", path, "c"])?;
            let after = count("c")?;
            ensure!(after >= before, "it did not go on: {before} {after}");
            kill_and_remove(containerd, "c")?;
            Ok(())
        })
    }

    #[test]
    fn programs_can_log() -> Result<()> {
        with_containerd(|containerd| {
            let (program, log) = (containerd.dir().join("logger"), containerd.dir().join("c.log"));
            let script = format!("#!/bin/sh\nexec 5>&-\n{{ cat <&3; cat <&4; }} > {}\n", log.display());
            fs::write(&program, script)?;
            fs::set_permissions(&program, Permissions::from_mode(0o755))?;
            let uri = format!("binary://{}", program.display());
            let script = "echo out; echo err >&2";
            let done = containerd.run(&["--detach", "--log-uri", &uri, IMAGE, "c", "sh", "-c", script])?;
            ensure!(done.status == Status::Code(0), "{done}");
            soon(|| {
                ensure!(fs::read_to_string(&log)? == "out\nerr\n", "the log is not written");
                Ok(())
            })
        })
    }

    /// What `ctr events` prints, in a file.
    struct Events {
        child: Child,
        file: PathBuf,
    }

    impl Events {
        fn begin(containerd: &Containerd<'_>) -> Result<Self> {
            let file = containerd.dir().join("events");
            let child = containerd.command(&["events"]).stdout(File::create(&file)?).spawn()?;
            let this = Self { child, file };
            // It is known to listen when it tells of something.
            soon(|| {
                containerd.ok(&["containers", "create", IMAGE, "event"])?;
                containerd.ok(&["containers", "delete", "event"])?;
                ensure!(!fs::read(&this.file)?.is_empty(), "it does not listen");
                Ok(())
            })?;
            Ok(this)
        }

        /// The last words of the topics of tasks, once this one is among them.
        fn up_to(&self, last: &str) -> Result<Vec<String>> {
            soon(|| {
                let text = fs::read_to_string(&self.file)?;
                let topics = text.split_whitespace().filter_map(|word| word.strip_prefix("/tasks/"));
                let topics: Vec<_> = topics.map(str::to_owned).collect();
                ensure!(topics.iter().any(|topic| topic == last), "there are only {topics:?}");
                Ok(topics)
            })
        }
    }

    impl Drop for Events {
        fn drop(&mut self) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
