//! Podman as the caller: what its users do, with its own image store, `conmon` and control groups.

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::PathBuf;
    use std::process::Command;
    use std::time::Duration;

    use anyhow::{Context, Result, ensure};
    use cloister_integration::process::{self, Finished, Status};
    use cloister_integration::{Place, Rootfs, Session, exclusive, known, paths, soon};

    const LIMIT: Duration = Duration::from_secs(120);
    const IMAGE: &str = "localhost/box:1";

    /// Limits that every root may set, and nothing of systemd's.
    const SETTINGS: &str = "[containers]\n\
        default_ulimits = [\"nofile=1024:1024\", \"nproc=4096:4096\"]\n\
        [engine]\n\
        cgroup_manager = \"cgroupfs\"\n\
        events_logger = \"file\"\n";

    /// Programs of the image, all of them busybox.
    const APPLETS: [&str; 13] =
        ["cat", "echo", "grep", "id", "ls", "mkdir", "ps", "pwd", "sh", "sleep", "stty", "touch", "tty"];

    /// Podman, with everything that it keeps in the session's folder.
    struct Podman<'a> {
        session: &'a Session<'a>,
        dir: PathBuf,
        /// Podman wants this path to be a short one.
        run_dir: PathBuf,
    }

    impl<'a> Podman<'a> {
        fn new(session: &'a Session<'a>) -> Result<Self> {
            let run_dir = format!("/run/podman-{}", std::process::id()).into();
            let this = Self { session, dir: session.dir().join("podman"), run_dir };
            fs::create_dir_all(&this.dir)?;
            fs::write(this.dir.join("containers.conf"), SETTINGS)?;
            // Not `--runtime-flag`: what `conmon` has podman do at the end of a container is without them.
            let runtime = this.dir.join("cloister");
            let (program, state) = (paths::built("cloister")?, session.state_dir());
            fs::write(&runtime, format!("#!/bin/sh\nexec {program:?} --root {state:?} \"$@\"\n"))?;
            fs::set_permissions(&runtime, Permissions::from_mode(0o755))?;
            Ok(this)
        }

        fn command(&self, args: &[&str]) -> Result<Command> {
            let mut command = Command::new("podman");
            command.env("CONTAINERS_CONF", self.dir.join("containers.conf"));
            command.args(["--storage-driver", "vfs"]);
            command.arg("--root").arg(self.dir.join("root")).arg("--tmpdir").arg(self.dir.join("tmp"));
            command.arg("--runroot").arg(&self.run_dir);
            command.arg("--runtime").arg(self.dir.join("cloister")).args(args);
            Ok(command)
        }

        fn give(&self, args: &[&str], input: &[u8]) -> Result<Finished> {
            process::run(&mut self.command(args)?, input, LIMIT)
                .context("is podman installed? see tools/setup")
        }

        fn ends_with(&self, code: i32, args: &[&str]) -> Result<Finished> {
            let done = self.give(args, b"")?;
            ensure!(done.status == Status::Code(code), "podman {}\n{done}", args.join(" "));
            Ok(done)
        }

        fn ok(&self, args: &[&str]) -> Result<Finished> {
            self.ends_with(0, args)
        }

        /// What a container of its own, with these flags, prints.
        fn output(&self, flags: &[&str], script: &str) -> Result<String> {
            Ok(self.ok(&run(&[flags, &[IMAGE, "sh", "-c", script]].concat()))?.stdout)
        }

        /// Has a terminal of its own: `script` makes one.
        fn on_terminal(&self, args: &[&str]) -> Result<Finished> {
            let command = self.command(args)?;
            let words = [command.get_program()].into_iter().chain(command.get_args());
            let quoted =
                words.map(|word| format!("'{}'", word.to_string_lossy())).collect::<Vec<_>>().join(" ");
            let mut script = Command::new("script");
            script.env("CONTAINERS_CONF", self.dir.join("containers.conf"));
            script.args([
                "--quiet",
                "--return",
                "--command",
                &format!("stty rows 33 cols 99; {quoted}"),
                "/dev/null",
            ]);
            process::run(&mut script, b"", LIMIT)
        }

        /// Makes an image of a few programs.
        fn import(&self) -> Result<()> {
            let image = self.dir.join("image");
            let programs = image.join("bin");
            for folder in ["bin", "etc", "tmp", "proc", "sys", "dev"] {
                fs::create_dir_all(image.join(folder))?;
            }
            fs::copy(
                Rootfs::Small.path(self.session.lock())?.join("usr/bin/busybox"),
                programs.join("busybox"),
            )?;
            for name in APPLETS {
                symlink("busybox", programs.join(name))?;
            }
            fs::write(image.join("etc/passwd"), "root:x:0:0::/:/bin/sh\nuser:x:1000:1000::/:/bin/sh\n")?;
            let archive = self.dir.join("image.tar");
            let mut tar = Command::new("tar");
            let done = process::run(tar.arg("-C").arg(&image).arg("-cf").arg(&archive).arg("."), b"", LIMIT)?;
            ensure!(done.status == Status::Code(0), "tar\n{done}");
            self.ok(&["import", archive.to_str().context("odd path")?, IMAGE]).map(drop)
        }
    }

    /// The arguments of `podman run` that are always the same, and these.
    fn run<'a>(args: &[&'a str]) -> Vec<&'a str> {
        [&["run", "--rm", "--network", "none"], args].concat()
    }

    fn exec<'a>(args: &[&'a str]) -> Vec<&'a str> {
        [&["exec"], args].concat()
    }

    fn with_podman(name: &str, work: impl FnOnce(&Podman<'_>) -> Result<()>) -> Result<()> {
        let lock = exclusive::acquire()?;
        let outcome = Session::during(&lock, |session| {
            let podman = Podman::new(session)?;
            let outcome = podman.import().and_then(|()| work(&podman));
            let removed = podman.ok(&["rm", "--all", "--force", "--time", "0"]);
            // What is still at work there after this is podman's affair.
            let _ = fs::remove_dir_all(&podman.run_dir);
            outcome?;
            removed?;
            // Nothing of the runtime is left; what podman keeps is its own affair.
            let list = session.run(&["list"])?;
            ensure!(list.stdout.lines().count() == 1, "{list}");
            Ok(())
        });
        known::judge_whole(Place::Cloister(None), &format!("podman/{name}"), outcome)
    }

    #[test]
    fn containers_in_the_foreground() -> Result<()> {
        with_podman("containers_in_the_foreground", |podman| {
            let done = podman.ends_with(7, &run(&[IMAGE, "sh", "-c", "echo out; echo err >&2; exit 7"]))?;
            ensure!(done.stdout == "out\n" && done.stderr == "err\n", "{done}");
            let done = podman.give(&run(&["--interactive", IMAGE, "cat"]), b"through\n")?;
            ensure!(done.stdout == "through\n", "{done}");
            // As podman has it with every runtime.
            podman.ends_with(127, &run(&[IMAGE, "no-such-program"]))?;

            let volume = format!("{}:/shared", podman.session.work().display());
            let flags = [
                "--user",
                "1000:1000",
                "--workdir",
                "/tmp",
                "--hostname",
                "name",
                "--env",
                "A=b",
                "--tmpfs",
                "/fresh",
                "--volume",
                &volume,
                "--read-only",
                "--memory",
                "64m",
                "--cap-drop",
                "all",
            ];
            let script = "id -u; pwd; cat /proc/sys/kernel/hostname; echo $A; ls /fresh; ls /shared; touch /x 2>&1; \
                grep MemTotal /proc/meminfo; grep CapEff /proc/self/status";
            fs::write(podman.session.work().join("seen"), "")?;
            let text = podman.output(&flags, script)?;
            let words: Vec<_> = text.split_whitespace().collect();
            let wanted = "1000 /tmp name b seen touch: /x: Read-only file system MemTotal: 65536 kB CapEff: 0000000000000000";
            ensure!(words.join(" ") == wanted, "{text}");

            let done =
                podman.on_terminal(&run(&["--interactive", "--tty", IMAGE, "sh", "-c", "tty; exit 4"]))?;
            ensure!(done.status == Status::Code(4) && done.stdout.contains("/dev/pts/0"), "{done}");
            Ok(())
        })
    }

    #[test]
    fn a_container_in_the_background() -> Result<()> {
        with_podman("a_container_in_the_background", |podman| {
            let script =
                "trap 'echo bye; exit 3' TERM; echo ready; echo err >&2; while :; do sleep 0.1; done";
            podman.ok(&[
                "run",
                "--detach",
                "--name",
                "box",
                "--network",
                "none",
                IMAGE,
                "sh",
                "-c",
                script,
            ])?;
            let logs = |wanted: &str| {
                soon(|| {
                    let logs = podman.ok(&["logs", "box"])?;
                    ensure!(
                        format!("{}{}", logs.stdout, logs.stderr).contains(wanted),
                        "no {wanted}\n{logs}"
                    );
                    Ok(())
                })
            };
            logs("ready")?;
            logs("err")?;
            let status = |wanted: &str| {
                soon(|| {
                    let found = podman.ok(&[
                        "inspect",
                        "--format",
                        "{{.State.Status}} {{.State.ExitCode}}",
                        "box",
                    ])?;
                    ensure!(found.stdout.trim() == wanted, "it did not get {wanted}\n{found}");
                    Ok(())
                })
            };
            status("running 0")?;

            podman.ends_with(5, &exec(&["box", "sh", "-c", "exit 5"]))?;
            let done = podman.give(&exec(&["--interactive", "box", "cat"]), b"in\n")?;
            ensure!(done.stdout == "in\n", "{done}");
            let flags = ["--user", "user", "--workdir", "/tmp", "--env", "A=b", "box"];
            let done = podman.ok(&exec(&[&flags[..], &["sh", "-c", "id -u; pwd; echo $A"]].concat()))?;
            ensure!(done.stdout == "1000\n/tmp\nb\n", "{done}");
            podman.ok(&exec(&["--detach", "box", "sleep", "1234"]))?;
            soon(|| {
                let top = podman.ok(&["top", "box", "-o", "pid,args"])?;
                ensure!(top.stdout.contains("sleep 1234"), "{top}");
                Ok(())
            })?;
            let done =
                podman.on_terminal(&exec(&["--interactive", "--tty", "box", "sh", "-c", "tty; exit 6"]))?;
            ensure!(done.status == Status::Code(6) && done.stdout.contains("/dev/pts/"), "{done}");

            let stats = podman.ok(&["stats", "--no-stream", "--format", "{{.PIDs}} {{.MemUsage}}", "box"])?;
            ensure!(!stats.stdout.starts_with('0') && !stats.stdout.contains(" 0B /"), "{stats}");
            podman.ok(&["pause", "box"])?;
            status("paused 0")?;
            podman.ok(&["unpause", "box"])?;
            podman.ok(&["stop", "--time", "60", "box"])?;
            status("exited 3")?;
            logs("bye")?;
            podman.ok(&["start", "box"])?;
            status("running 0")?;
            podman.ok(&["kill", "box"])?;
            let done = podman.ok(&["wait", "box"])?;
            ensure!(done.stdout == "137\n", "{done}");
            podman.ok(&["rm", "box"])?;
            podman.ends_with(1, &["container", "exists", "box"]).map(drop)
        })
    }
}
