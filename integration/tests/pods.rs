//! Pods: a root container and others in one sandbox, as containerd and CRI-O make them by annotations and namespace paths.

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::{Duration, Instant};

    use anyhow::{Context, Result, ensure};
    use cloister_integration::console::ConsoleSocket;
    use cloister_integration::process::Status;
    use cloister_integration::processes::Process;
    use cloister_integration::{Container, Place, Program, Rootfs, bundle, interrupted};
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;
    use serde_json::{Value, json};

    /// How long what happens soon may take.
    const SOON: Duration = Duration::from_secs(60);

    /// Runs until it is killed, without making other processes, and says that it runs.
    const SLEEP: &str = "mkfifo /tmp/fifo; exec 3<>/tmp/fifo; trap 'exit 3' TERM; : > /work/$NAME; while :; do read line <&3; done";

    /// A pod: its root container is the [`Container`]'s own.
    struct Pod<'a> {
        root: &'a Container<'a>,
    }

    /// Whose PID namespace a container is in.
    #[derive(Clone, Copy, PartialEq, Eq)]
    enum Processes {
        Own,
        Shared,
    }

    impl Pod<'_> {
        /// Does the work with a pod whose root container runs.
        fn with(name: &str, work: impl FnOnce(&Pod<'_>) -> Result<()>) -> Result<()> {
            let program = Program::new(Rootfs::Small, ["sh", "-c", SLEEP]).with_env("NAME", "root");
            Container::with(&format!("pods/{name}"), Place::Cloister(None), &program, |root| {
                root.configure(|config| annotate(config, "sandbox", root.id()))?;
                root.start()?;
                root.wait_for_file("root")?;
                let pod = Pod { root };
                let done = work(&pod);
                for id in pod.ids()? {
                    root.run(&["delete", "--force", &id])?;
                }
                done
            })
        }

        /// The id of the container with this name.
        fn id(&self, name: &str) -> String {
            format!("{}-{name}", self.root.id())
        }

        fn ids(&self) -> Result<Vec<String>> {
            Ok(self.root.ok(&["list", "-q"])?.stdout.lines().map(str::to_owned).collect())
        }

        fn pid(&self, id: &str) -> Result<i32> {
            let state: Value = serde_json::from_str(&self.root.ok(&["state", id])?.stdout)?;
            state["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok()).context("no pid")
        }

        /// Writes the bundle of another container; `change` has the last word on its configuration.
        fn bundle(
            &self,
            name: &str,
            script: &str,
            processes: Processes,
            change: impl FnOnce(&mut Value),
        ) -> Result<PathBuf> {
            let program = Program::new(Rootfs::Small, ["sh", "-c", script]).with_env("NAME", name);
            let session = self.root.session;
            let rootfs = program.rootfs.path(session.lock())?;
            let mut config = bundle::config(&program, &program.all_binds(session), &rootfs);
            annotate(&mut config, "container", self.root.id());
            let pid = self.pid(self.root.id())?;
            let shared =
                |kind: &str, file: &str| json!({ "type": kind, "path": format!("/proc/{pid}/ns/{file}") });
            let pids = match processes {
                Processes::Own => json!({ "type": "pid" }),
                Processes::Shared => shared("pid", "pid"),
            };
            config["linux"]["namespaces"] = json!([
                { "type": "mount" }, pids, shared("ipc", "ipc"), shared("network", "net"), shared("uts", "uts"),
            ]);
            change(&mut config);
            let folder = session.dir().join(name);
            std::fs::create_dir_all(&folder)?;
            bundle::write(&folder, &config)?;
            Ok(folder)
        }

        /// Creates another container.
        fn create(&self, name: &str, script: &str, processes: Processes) -> Result<String> {
            let bundle = self.bundle(name, script, processes, |_| {})?;
            let id = self.id(name);
            self.root.ok(&["create", "--bundle", &bundle.to_string_lossy(), &id])?;
            Ok(id)
        }

        /// Creates and starts another container that runs until it is killed, and waits until it runs.
        fn start(&self, name: &str, processes: Processes) -> Result<String> {
            let id = self.create(name, SLEEP, processes)?;
            self.root.ok(&["start", &id])?;
            self.root.wait_for_file(name)?;
            Ok(id)
        }

        fn status(&self, id: &str) -> Result<String> {
            let state: Value = serde_json::from_str(&self.root.ok(&["state", id])?.stdout)?;
            Ok(state["status"].as_str().unwrap_or_default().to_owned())
        }

        fn wait_for_status(&self, id: &str, status: &str) -> Result<()> {
            wait_until(&format!("{id} is {status}"), || Ok(self.status(id)? == status))
        }

        fn exec(&self, id: &str, script: &str) -> Result<String> {
            Ok(self.root.ok(&["exec", id, "sh", "-c", script])?.stdout.trim_end().to_owned())
        }

        /// The numbers of its processes.
        fn pids(&self, id: &str) -> Result<Vec<i32>> {
            Ok(serde_json::from_str(&self.root.ok(&["ps", "--format", "json", id])?.stdout)?)
        }
    }

    fn annotate(config: &mut Value, kind: &str, sandbox: &str) {
        config["annotations"] =
            json!({ "io.kubernetes.cri.container-type": kind, "io.kubernetes.cri.sandbox-id": sandbox });
    }

    fn wait_until(what: &str, mut is_true: impl FnMut() -> Result<bool>) -> Result<()> {
        let until = Instant::now() + SOON;
        while !is_true()? {
            ensure!(Instant::now() < until, "it does not happen that {what}");
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    fn has_ended(pid: i32) -> bool {
        Process(pid)
            .status()
            .map_or(true, |status| status.get("State").is_none_or(|state| state.starts_with('Z')))
    }

    #[test]
    fn containers_of_a_pod_have_their_own_processes_and_files() -> Result<()> {
        Pod::with("own", |pod| {
            let (a, b) = (pod.start("a", Processes::Own)?, pod.start("b", Processes::Own)?);
            let root = pod.root.id();
            for id in [&a, &b] {
                ensure!(
                    pod.pids(id)?.contains(&1),
                    "the first process of {id} is not 1: {:?}",
                    pod.pids(id)?
                );
                ensure!(pod.status(id)? == "running", "{id}");
            }
            let listed = pod.exec(&a, "busybox ps -o args")?;
            ensure!(listed.matches("while :").count() == 1, "it sees others' processes: {listed}");
            let tasks = pod.exec(&a, "cd /proc; echo $(readlink self) $$ [0-9]*")?;
            let numbers: Vec<i32> = tasks.split(' ').filter_map(|word| word.parse().ok()).collect();
            ensure!(numbers.contains(&1) && numbers.iter().all(|number| *number < 1000), "{tasks}");
            // What one writes into its own file systems, others do not see.
            pod.exec(&a, "echo a > /tmp/mark")?;
            let others = [pod.exec(&b, "ls /tmp")?, pod.exec(root, "ls /tmp")?];
            ensure!(others == ["fifo", "fifo"], "/tmp has {others:?}");
            ensure!(pod.exec(&b, "hostname")? == "box", "they share the host name");
            // A process of one cannot reach the other's.
            let killed = pod.exec(&a, "kill -9 -1 2>/dev/null; echo done")?;
            ensure!(killed == "done", "{killed}");
            ensure!(pod.status(&b)? == "running" && pod.status(root)? == "running", "others were killed");
            Ok(())
        })
    }

    #[test]
    fn each_container_has_its_own_user_and_capabilities() -> Result<()> {
        Pod::with("user", |pod| {
            let bundle = pod.bundle("a", SLEEP, Processes::Own, |config| {
                config["process"]["user"] = json!({ "uid": 1234, "gid": 77, "additionalGids": [88] });
                config["process"]["capabilities"] = json!({ "bounding": ["CAP_KILL"] });
                config["process"]["rlimits"] = json!([{ "type": "RLIMIT_NOFILE", "hard": 99, "soft": 88 }]);
                config["process"]["args"] = json!(["sleep", "1000"]);
            })?;
            let a = pod.id("a");
            pod.root.ok(&["create", "--bundle", &bundle.to_string_lossy(), &a])?;
            pod.root.ok(&["start", &a])?;
            let what =
                "echo $(id -u) $(id -g) $(id -G) $(ulimit -n) $(grep -E 'Cap(Eff|Bnd)' /proc/1/status)";
            let told = pod.exec(&a, what)?;
            ensure!(told == "1234 77 77 88 88 CapEff: 0000000000000000 CapBnd: 0000000000000020", "{told}");
            ensure!(pod.exec(pod.root.id(), "id -u; ulimit -n")? == "0\n1024", "the root container's");
            Ok(())
        })
    }

    #[test]
    fn containers_of_a_pod_share_what_they_are_to() -> Result<()> {
        Pod::with("shared", |pod| {
            let (a, b) = (pod.start("a", Processes::Own)?, pod.start("b", Processes::Own)?);
            // System V shared memory.
            let id = pod.exec(&a, "perl -e '$id = shmget(77, 4096, 0600 | 01000) // die $!; shmwrite($id, \"segment\", 0, 7) || die $!; print $id'")?;
            let read = "perl -e '$id = shmget(77, 4096, 0) // die $!; shmread($id, $text, 0, 7) || die $!; print \"$id $text\"'";
            ensure!(pod.exec(&b, read)? == format!("{id} segment"), "the segment is not shared");
            // Loopback TCP, and an abstract name.
            for listen in [
                "IO::Socket::INET->new(Listen => 1, LocalAddr => \"127.0.0.1:7777\")",
                "IO::Socket::UNIX->new(Listen => 1, Local => \"\\0pod\")",
            ] {
                let connect = listen.replace("Listen => 1, ", "").replace("Local", "Peer");
                let serve = format!(
                    "perl -MIO::Socket::INET -MIO::Socket::UNIX -e '$l = {listen} or die $!; open F, \">\", \"/work/listens\"; close F; \
                     $c = $l->accept; print $c \"from a\\n\"'"
                );
                let log = pod.root.session.dir().join("pid");
                pod.root.ok(&[
                    "exec",
                    "--detach",
                    "--pid-file",
                    &log.to_string_lossy(),
                    &a,
                    "sh",
                    "-c",
                    &serve,
                ])?;
                pod.root.wait_for_file("listens")?;
                let ask = format!(
                    "perl -MIO::Socket::INET -MIO::Socket::UNIX -e '$s = {connect} or die $!; print <$s>'"
                );
                ensure!(pod.exec(&b, &ask)? == "from a", "{listen} is not shared");
                std::fs::remove_file(pod.root.work("listens"))?;
            }
            // A namespace of its own is not shared.
            let bundle = pod.bundle("c", SLEEP, Processes::Own, |config| {
                config["linux"]["namespaces"] = json!([
                    { "type": "mount" }, { "type": "pid" }, { "type": "ipc" }, { "type": "network" }, { "type": "uts" },
                ]);
                config["hostname"] = "other".into();
            })?;
            let c = pod.id("c");
            pod.root.ok(&["create", "--bundle", &bundle.to_string_lossy(), &c])?;
            pod.root.ok(&["start", &c])?;
            let done = pod.root.run(&["exec", &c, "sh", "-c", read])?;
            ensure!(matches!(done.status, Status::Code(1..)), "another's segment is found\n{done}");
            ensure!(pod.exec(&c, "hostname")? == "other" && pod.exec(&a, "hostname")? == "box", "host names");
            Ok(())
        })
    }

    #[test]
    fn a_shared_pid_namespace_shows_all_processes() -> Result<()> {
        Pod::with("shared_pids", |pod| {
            let a = pod.start("a", Processes::Shared)?;
            let own = pod.start("own", Processes::Own)?;
            let listed = pod.exec(&a, "busybox ps -o args")?;
            ensure!(listed.matches("while :").count() == 2, "its own and the root container's: {listed}");
            ensure!(!pod.pids(&a)?.contains(&1), "1 is the root container's: {:?}", pod.pids(&a)?);
            // `ps` is of the container alone, and so is `kill --all`.
            ensure!(pod.pids(pod.root.id())?.contains(&1) && pod.pids(&own)?.contains(&1), "ps");
            let first = *pod.pids(&a)?.first().context("no process")?;
            ensure!(pod.exec(pod.root.id(), &format!("kill -0 {first} && echo seen"))? == "seen", "kill");
            pod.root.ok(&["kill", "--all", &a, "KILL"])?;
            pod.wait_for_status(&a, "stopped")?;
            ensure!(
                pod.status(pod.root.id())? == "running" && pod.status(&own)? == "running",
                "others ended"
            );
            // Another can share that of a container that is not the root.
            let bundle = pod.bundle("guest", SLEEP, Processes::Own, |config| {
                let pid = pod.pid(&own).unwrap_or_default();
                config["linux"]["namespaces"][1] =
                    json!({ "type": "pid", "path": format!("/proc/{pid}/ns/pid") });
            })?;
            let guest = pod.id("guest");
            pod.root.ok(&["create", "--bundle", &bundle.to_string_lossy(), &guest])?;
            pod.root.ok(&["start", &guest])?;
            pod.root.wait_for_file("guest")?;
            ensure!(pod.exec(&guest, "busybox ps -o args")?.matches("while :").count() == 2, "a shared one");
            // With the first process of a PID namespace all others in it end.
            pod.root.ok(&["kill", &own, "KILL"])?;
            pod.wait_for_status(&own, "stopped")?;
            pod.wait_for_status(&guest, "stopped")
        })
    }

    #[test]
    fn each_container_has_a_life_of_its_own() -> Result<()> {
        Pod::with("life", |pod| {
            let a = pod.create("a", SLEEP, Processes::Own)?;
            let b = pod.start("b", Processes::Own)?;
            ensure!(pod.status(&a)? == "created", "{a}");
            pod.root.refused(&["delete", &a], &[&a, "created"])?;
            pod.root.ok(&["start", &a])?;
            pod.root.wait_for_file("a")?;
            pod.root.refused(&["start", &a], &[&a])?;
            let list = pod.root.ok(&["list"])?.stdout;
            ensure!(list.matches("running").count() == 3, "{list}");
            // Its end is told to who waits for it, and by the process that stands for it.
            let stand_in = pod.pid(&a)?;
            let waiter = pod.root.command(&["wait", &a])?.spawn()?;
            pod.root.ok(&["kill", &a, "TERM"])?;
            pod.wait_for_status(&a, "stopped")?;
            let waited = waiter.wait_with_output()?;
            ensure!(waited.status.code() == Some(3), "wait tells {:?}", waited.status);
            wait_until("the process that stands for it ends", || Ok(has_ended(stand_in)))?;
            ensure!(pod.status(&b)? == "running", "the other has ended");
            pod.root.refused(&["kill", &a, "TERM"], &["container not running"])?;
            pod.root.refused(&["exec", &a, "true"], &[&a])?;
            pod.root.ok(&["delete", &a])?;
            pod.root.refused(&["state", &a], &[&a])?;
            // The id can be used again.
            std::fs::remove_file(pod.root.work("a"))?;
            let a = pod.start("a", Processes::Own)?;
            // A signal to the process that stands for it reaches it.
            kill(Pid::from_raw(pod.pid(&a)?), Signal::SIGTERM)?;
            pod.wait_for_status(&a, "stopped")?;
            pod.root.ok(&["delete", &a])?;
            // One that was not started can be killed.
            let c = pod.create("c", SLEEP, Processes::Own)?;
            pod.root.ok(&["kill", &c, "KILL"])?;
            pod.wait_for_status(&c, "stopped")?;
            pod.root.ok(&["delete", &c])?;
            // A program that is not there.
            let change = |config: &mut Value| config["process"]["args"] = json!(["/no"]);
            let (bundle, d) = (pod.bundle("d", "", Processes::Own, change)?, pod.id("d"));
            pod.root.refused(&["create", "--bundle", &bundle.to_string_lossy(), &d], &["/no"])?;
            // One that runs is deleted by force, and its processes are gone.
            pod.root.ok(&["delete", "--force", &b])?;
            ensure!(pod.ids()? == [pod.root.id()], "{:?}", pod.ids()?);
            ensure!(pod.status(pod.root.id())? == "running", "the root container has ended");
            Ok(())
        })
    }

    #[test]
    fn a_container_runs_in_the_foreground() -> Result<()> {
        Pod::with("foreground", |pod| {
            let bundle = pod.bundle("a", "echo out; exit 42", Processes::Own, |_| {})?;
            let done = pod.root.run(&["run", "--bundle", &bundle.to_string_lossy(), &pod.id("a")])?;
            ensure!(done.status == Status::Code(42) && done.stdout == "out\n", "{done}");
            ensure!(pod.ids()? == [pod.root.id()], "{:?}", pod.ids()?);
            Ok(())
        })
    }

    #[test]
    fn a_container_has_a_terminal() -> Result<()> {
        Pod::with("terminal", |pod| {
            let bundle = pod.bundle("a", "", Processes::Own, |config| {
                config["process"]["terminal"] = true.into();
                config["process"]["args"] = json!(["bash", "--norc", "-i"]);
                config["process"]["env"] = json!(["PATH=/usr/bin:/bin", "PS1=sh> "]);
            })?;
            let (bundle, id) = (bundle.to_string_lossy(), pod.id("a"));
            let socket = ConsoleSocket::bind(&pod.root.session.dir().join("console"))?;
            pod.root.ok(&["create", "--bundle", &bundle, "--console-socket", socket.argument()?, &id])?;
            let mut terminal = socket.terminal()?;
            pod.root.ok(&["start", &id])?;
            terminal.expect("sh>")?;
            terminal.press("sh -c 'echo ru\"\"ns; exec sleep 1000'\r")?;
            terminal.expect("runs")?;
            terminal.press("\x03")?;
            terminal.expect("^C")?;
            terminal.press("echo co\"\"de $?\r")?;
            terminal.expect("code 130")?;
            terminal.press("exit 5\r")?;
            pod.wait_for_status(&id, "stopped")
        })
    }

    #[test]
    fn the_root_container_takes_the_others_with_it() -> Result<()> {
        Pod::with("root_ends", |pod| {
            let (a, b) = (pod.start("a", Processes::Own)?, pod.create("b", SLEEP, Processes::Shared)?);
            let stand_ins = [pod.pid(&a)?, pod.pid(&b)?];
            pod.root.ok(&["kill", "ID", "KILL"])?;
            for id in [pod.root.id(), &a, &b] {
                pod.wait_for_status(id, "stopped")?;
            }
            for pid in stand_ins {
                wait_until("the process that stands for it ends", || Ok(has_ended(pid)))?;
            }
            // In whatever order.
            pod.root.ok(&["delete", &a])?;
            pod.root.ok(&["delete", "ID"])?;
            ensure!(pod.status(&b)? == "stopped", "{b}");
            pod.root.ok(&["delete", &b])?;
            ensure!(pod.ids()?.is_empty(), "{:?}", pod.ids()?);
            Ok(())
        })
    }

    #[test]
    fn a_deleted_root_container_leaves_stopped_ones() -> Result<()> {
        Pod::with("root_deleted", |pod| {
            let a = pod.start("a", Processes::Own)?;
            pod.root.ok(&["delete", "--force", "ID"])?;
            pod.wait_for_status(&a, "stopped")?;
            pod.root.ok(&["delete", &a]).map(drop)
        })
    }

    #[test]
    fn deaths_on_the_host_are_seen() -> Result<()> {
        Pod::with("deaths", |pod| {
            let names = ["a", "b", "c"];
            let ids = names.map(|name| pod.start(name, Processes::Own));
            let [a, b, c] = ids;
            let (a, b, c) = (a?, b?, c?);
            // The file server of one container.
            let gofers = gofers();
            ensure!(gofers.len() == 4, "one file server for each container, not {}", gofers.len());
            let record = pod.root.session.state_dir().join(&a).join("state.json");
            let record: Value = serde_json::from_slice(&std::fs::read(record)?)?;
            let gofer = record["gofer"]["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok());
            kill(Pid::from_raw(gofer.context("no gofer")?), Signal::SIGKILL)?;
            pod.wait_for_status(&a, "stopped")?;
            // The process that stands for another.
            kill(Pid::from_raw(pod.pid(&b)?), Signal::SIGKILL)?;
            pod.wait_for_status(&b, "stopped")?;
            ensure!(pod.status(&c)? == "running" && pod.status(pod.root.id())? == "running", "others ended");
            ensure!(pod.exec(&c, "echo $NAME")? == "c", "exec");
            pod.root.ok(&["delete", &a])?;
            // The kernel.
            kill(Pid::from_raw(pod.pid(pod.root.id())?), Signal::SIGKILL)?;
            for id in [&b, &c, pod.root.id()] {
                pod.wait_for_status(id, "stopped")?;
                pod.root.ok(&["delete", id])?;
            }
            Ok(())
        })
    }

    /// A process of the guest is in the sandbox's namespaces, and nobody without capabilities.
    fn is_behind_walls(stub: Process, boot: Process) -> Result<()> {
        for kind in ["user", "pid", "mnt", "ipc", "uts", "net"] {
            let (own, kernel) = (stub.link(&format!("ns/{kind}"))?, boot.link(&format!("ns/{kind}"))?);
            ensure!(own == kernel, "process {} is outside the sandbox's {kind} namespace", stub.0);
        }
        let status = stub.status()?;
        ensure!(status.get("CapBnd").is_some_and(|set| set == "0000000000000000"), "{status:?}");
        ensure!(status.get("Uid").is_some_and(|uid| uid.starts_with("65534")), "{status:?}");
        Ok(())
    }

    fn gofers() -> Vec<Process> {
        let is_gofer = |process: &Process| {
            process.name().is_ok_and(|name| name == "cloister-gofer") && !has_ended(process.0)
        };
        Process::own().descendants().into_iter().filter(is_gofer).collect()
    }

    #[test]
    fn one_container_stands_still_while_others_go_on() -> Result<()> {
        Pod::with("pause", |pod| {
            let count = "echo $$ > /work/pid; i=0; while :; do i=$((i + 1)); echo $i > /work/$NAME.new; mv /work/$NAME.new /work/$NAME; sleep 0.01; done";
            let [a, b] = ["a", "b"].map(|name| pod.create(name, count, Processes::Own));
            let (a, b) = (a?, b?);
            pod.root.ok(&["start", &a])?;
            pod.root.ok(&["start", &b])?;
            let read = |name: &str| std::fs::read_to_string(pod.root.work(name)).unwrap_or_default();
            let goes_on = |name: &str| {
                let before = read(name);
                wait_until(&format!("{name} goes on"), || Ok(read(name) != before))
            };
            goes_on("a")?;
            pod.root.ok(&["pause", &a])?;
            ensure!(pod.status(&a)? == "paused" && pod.status(&b)? == "running", "states");
            let before = read("a");
            goes_on("b")?;
            goes_on("b")?;
            ensure!(read("a") == before, "it goes on though it is paused");
            pod.root.refused(&["exec", &a, "true"], &["paused"])?;
            ensure!(pod.exec(&b, "echo $NAME")? == "b", "exec in the other");
            pod.root.ok(&["resume", &a])?;
            goes_on("a")?;
            // One that stands still can be destroyed.
            pod.root.ok(&["pause", &b])?;
            pod.root.ok(&["delete", "--force", &b])?;
            goes_on("a")
        })
    }

    #[test]
    fn limits_and_statistics_are_each_containers_own() -> Result<()> {
        Pod::with("limits", |pod| {
            let group = |name: &str| format!("/{}-pod/{name}", pod.root.id());
            let bundle = pod.bundle("a", SLEEP, Processes::Own, |config| {
                config["linux"]["cgroupsPath"] = group("a").into();
                config["linux"]["resources"] =
                    json!({ "pids": { "limit": 4 }, "memory": { "limit": 64 << 20 } });
            })?;
            let a = pod.id("a");
            pod.root.ok(&["create", "--bundle", &bundle.to_string_lossy(), &a])?;
            pod.root.ok(&["start", &a])?;
            pod.root.wait_for_file("a")?;
            let b = pod.start("b", Processes::Own)?;
            let many = "for i in 1 2 3 4 5 6; do sleep 5 & done; echo all";
            let done = pod.root.run(&["exec", &a, "sh", "-c", many])?;
            ensure!(!done.stdout.contains("all") || !done.stderr.is_empty(), "more than 4 tasks\n{done}");
            ensure!(
                pod.exec(&b, "for i in 1 2 3 4 5 6; do sleep 0.01 & done; wait; echo all")? == "all",
                "{b}"
            );
            pod.root.ok(&["update", "--pids-limit", "40", &a])?;
            pod.exec(&b, "i=0; while [ $i -lt 100000 ]; do i=$((i + 1)); done")?;
            let stats = |id: &str| -> Result<Value> {
                let line = pod.root.ok(&["events", "--stats", id])?.stdout;
                Ok(serde_json::from_str::<Value>(&line)?["data"].take())
            };
            let (of_a, of_b) = (stats(&a)?, stats(&b)?);
            let number = |value: &Value| value.as_u64().unwrap_or(0);
            ensure!(number(&of_a["pids"]["limit"]) == 40, "{of_a}");
            ensure!((1..20).contains(&number(&of_b["pids"]["current"])), "{of_b}");
            let cpu = |of: &Value| number(&of["cpu"]["usage"]["total"]);
            ensure!(cpu(&of_a) > 0 && cpu(&of_b) > 10_000_000, "{of_a} {of_b}");
            ensure!(number(&of_a["memory"]["usage"]["usage"]) > 100_000, "{of_a}");
            ensure!(number(&of_a["memory"]["usage"]["limit"]) == 64 << 20, "{of_a}");
            pod.root.ok(&["delete", "--force", &a])?;
            remove_group(&format!("{}-pod", pod.root.id()))
        })
    }

    /// Removes the folders of the group that the caller of a runtime makes for a pod.
    fn remove_group(name: &str) -> Result<()> {
        let mount = std::path::Path::new("/sys/fs/cgroup");
        let below = std::fs::read_dir(mount)?.flatten().map(|entry| entry.path());
        for path in below.chain([mount.to_owned()]).map(|path| path.join(name)).filter(|path| path.exists()) {
            std::fs::remove_dir(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
        Ok(())
    }

    #[test]
    fn what_does_not_fit_is_refused_and_leaves_nothing() -> Result<()> {
        Pod::with("refused", |pod| {
            let create = |name: &str, change: &dyn Fn(&mut Value), words: &[&str]| -> Result<()> {
                let bundle = pod.bundle(name, SLEEP, Processes::Own, change)?;
                pod.root.refused(&["create", "--bundle", &bundle.to_string_lossy(), &pod.id(name)], words)
            };
            let foreign = |config: &mut Value| {
                config["linux"]["namespaces"][2] = json!({ "type": "ipc", "path": "/proc/1/ns/ipc" });
            };
            create("a", &foreign, &["cannot join the ipc namespace /proc/1/ns/ipc", pod.root.id()])?;
            create("b", &|config| annotate(config, "container", "nobody"), &["nobody", "does not exist"])?;
            create("c", &|config| annotate(config, "pod", "x"), &["container-type", "\"pod\""])?;
            let broken = |config: &mut Value| config["process"]["cwd"] = "/dev/null/x".into();
            let bundle = pod.bundle("d", SLEEP, Processes::Own, broken)?;
            let d = pod.id("d");
            pod.root.ok(&["create", "--bundle", &bundle.to_string_lossy(), &d])?;
            pod.root.refused(&["start", &d], &["/dev/null/x"])?;
            pod.root.ok(&["delete", &d])?;
            let mount = |config: &mut Value| {
                let place = json!({ "destination": "/proc/version/x", "type": "tmpfs", "source": "tmpfs" });
                if let Some(mounts) = config["mounts"].as_array_mut() {
                    mounts.push(place);
                }
            };
            create("e", &mount, &["/proc/version/x"])?;
            let other = pod.start("f", Processes::Own)?;
            create("g", &|config| annotate(config, "container", &other), &[&other, "root container"])?;
            ensure!(gofers().len() == 2, "{} file servers are left", gofers().len());
            let ids = pod.ids()?;
            ensure!(ids.len() == 2, "{ids:?}");
            Ok(())
        })
    }

    #[test]
    fn a_killed_creation_leaves_nothing() -> Result<()> {
        const NR_POINTS: u64 = 12;
        Pod::with("killed", |pod| {
            let bundle = pod.bundle("a", SLEEP, Processes::Own, |_| {})?;
            let (bundle, id) = (bundle.to_string_lossy(), pod.id("a"));
            let create = ["create", "--bundle", &bundle, &id];
            let length = interrupted::count(&mut pod.root.command(&create)?)?;
            pod.root.ok(&["delete", "--force", &id])?;
            for number in 1..=NR_POINTS {
                let point = 1 + length * number / (NR_POINTS + 1);
                interrupted::at(&mut pod.root.command(&create)?, point, |process| {
                    // A failure means that it has just ended.
                    let _ = kill(Pid::from_raw(process.0), Signal::SIGKILL);
                })?;
                let what = format!("nothing is left of a creation that was killed at {point} of {length}");
                // What is known of it can be deleted, and of the rest nothing lives.
                if pod.root.run(&["state", &id])?.status != Status::Code(0) {
                    wait_until(&what, || Ok(gofers().len() == 1 && nr_deputies() == 0))?;
                }
                pod.root.ok(&["delete", "--force", &id])?;
                wait_until(&what, || Ok(gofers().len() == 1 && nr_deputies() == 0))?;
                ensure!(pod.ids()? == [pod.root.id()], "{:?}", pod.ids()?);
            }
            // The kernel has forgotten it as well.
            pod.start("a", Processes::Own).map(drop)
        })
    }

    /// How many processes stand for containers.
    fn nr_deputies() -> usize {
        let is_deputy =
            |process: &Process| process.name().is_ok_and(|name| name == "cloister") && !has_ended(process.0);
        Process::own().children().into_iter().filter(is_deputy).count()
    }

    #[test]
    fn many_containers_come_and_go() -> Result<()> {
        Pod::with("many", |pod| {
            for round in 0..8 {
                let ids = (0..2).map(|n| pod.create(&format!("n{n}"), "exit 5", Processes::Own));
                let ids = ids.collect::<Result<Vec<_>>>()?;
                for id in &ids {
                    pod.root.ok(&["start", id])?;
                }
                for id in &ids {
                    pod.wait_for_status(id, "stopped").with_context(|| format!("round {round}"))?;
                    pod.root.ok(&["delete", id])?;
                }
            }
            // The shell of the root container and its `sleep`, each with a helper, and processes that rest.
            let boot = Process(pod.pid(pod.root.id())?);
            wait_until("the processes of the guest are gone", || Ok(boot.descendants().len() < 12))?;
            ensure!(gofers().len() == 1, "{} file servers are left", gofers().len());
            Ok(())
        })
    }

    #[test]
    fn a_container_that_stands_for_another_is_powerless_enough() -> Result<()> {
        Pod::with("posture", |pod| {
            let a = pod.start("a", Processes::Own)?;
            let stand_in = Process(pod.pid(&a)?);
            ensure!(stand_in.name()? == "cloister", "{}", stand_in.name()?);
            // It holds the control connection, a signal descriptor, its log, and no file of the container's.
            for (fd, target) in stand_in.descriptors()? {
                let is_expected =
                    ["socket:", "anon_inode:", "/dev/null"].iter().any(|kind| target.starts_with(kind))
                        || target.ends_with("/log")
                        || target.contains("/state/");
                ensure!(is_expected, "descriptor {fd} is {target}");
            }
            let boot = Process(pod.pid(pod.root.id())?);
            for stub in boot.descendants() {
                match is_behind_walls(stub, boot) {
                    // Those of a program that has just ended.
                    Err(_) if has_ended(stub.0) => {}
                    result => result?,
                }
            }
            ensure!(gofers().len() == 2, "{} file servers", gofers().len());
            for gofer in gofers() {
                ensure!(
                    gofer.link("ns/mnt")? != Process::own().link("ns/mnt")?,
                    "a gofer sees the host's mounts"
                );
                ensure!(
                    gofer.status()?.get("Seccomp").is_some_and(|mode| mode == "2"),
                    "a gofer has no filter"
                );
            }
            Ok(())
        })
    }
}
