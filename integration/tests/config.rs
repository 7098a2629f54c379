//! `config.json`, field by field: what the container sees of it.

#[cfg(test)]
mod tests {
    use anyhow::{Context, Result, ensure};
    use cloister_integration::{Container, Place, Program, Rootfs};
    use serde_json::{Value, json};
    use syscalls::x86_64::Sysno;

    /// Does the work with a container that runs a script, configured so.
    fn with_config(
        name: &str,
        program: &Program,
        change: impl FnOnce(&mut Value),
        work: impl FnOnce(&Container<'_>) -> Result<()>,
    ) -> Result<()> {
        Container::with(&format!("config/{name}"), Place::Cloister(None), program, |container| {
            container.configure(change)?;
            work(container)
        })
    }

    /// What the script prints in a container that is configured so.
    fn output(name: &str, script: &str, change: impl FnOnce(&mut Value)) -> Result<String> {
        let mut printed = String::new();
        with_config(name, &Program::new(Rootfs::Small, ["bash", "-c", script]), change, |container| {
            printed = container.ok(&["run", "--bundle", "BUNDLE", "ID"])?.stdout;
            Ok(())
        })?;
        Ok(printed)
    }

    /// A profile such as engines have by default: nearly all calls are allowed, by name; some with conditions; some do not
    /// exist, for programs to fall back; the others are refused.
    fn default_profile() -> Value {
        let refused = [
            "acct",
            "add_key",
            "bpf",
            "chroot",
            "clone",
            "clone3",
            "delete_module",
            "finit_module",
            "fsopen",
            "init_module",
            "kcmp",
            "kexec_load",
            "keyctl",
            "mount",
            "move_pages",
            "open_by_handle_at",
            "perf_event_open",
            "personality",
            "pivot_root",
            "quotactl",
            "reboot",
            "request_key",
            "setns",
            "socket",
            "swapoff",
            "swapon",
            "umount2",
            "unshare",
            "userfaultfd",
        ];
        let allowed: Vec<_> = Sysno::iter()
            .map(|call| call.to_string())
            .filter(|name| !refused.contains(&name.as_str()))
            .collect();
        let personality = |value: u32| {
            json!({ "names": ["personality"], "action": "SCMP_ACT_ALLOW",
                    "args": [{ "index": 0, "value": value, "op": "SCMP_CMP_EQ" }] })
        };
        json!({
            "defaultAction": "SCMP_ACT_ERRNO",
            "defaultErrnoRet": 1,
            "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
            "syscalls": [
                { "names": allowed, "action": "SCMP_ACT_ALLOW" },
                personality(0), personality(8), personality(u32::MAX),
                { "names": ["socket"], "action": "SCMP_ACT_ALLOW",
                  "args": [{ "index": 0, "value": 40, "op": "SCMP_CMP_NE" }] },
                { "names": ["clone"], "action": "SCMP_ACT_ALLOW",
                  "args": [{ "index": 0, "value": 0x7e02_0000, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ" }] },
                { "names": ["clone3", "call_of_the_future"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38 },
            ],
        })
    }

    #[test]
    fn seccomp_is_applied_inside() -> Result<()> {
        let script = "mkdir /tmp/a || echo refused; grep Seccomp: /proc/self/status; sleep 100";
        let refuse_mkdir = json!({
            "defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{ "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13 }],
        });
        let program = Program::new(Rootfs::Small, ["bash", "-c", script]);
        with_config(
            "seccomp_is_applied_inside",
            &program,
            |config| config["linux"]["seccomp"] = refuse_mkdir,
            |container| {
                container.start()?;
                // Processes that are put in later have it too.
                let done = container.ok(&[
                    "exec",
                    "ID",
                    "bash",
                    "-c",
                    "mkdir /tmp/b; grep Seccomp: /proc/self/status",
                ])?;
                ensure!(done.stderr.contains("Permission denied"), "{done}");
                ensure!(done.stdout == "Seccomp:\t2\n", "{done}");
                container.ok(&["delete", "--force", "ID"]).map(drop)
            },
        )
    }

    #[test]
    fn programs_run_under_a_default_profile() -> Result<()> {
        let script = "
            import os, socket, subprocess, threading, ctypes
            thread = threading.Thread(target=lambda: print('thread'))
            thread.start(); thread.join()
            print(subprocess.run(['sh', '-c', 'echo child | cat'], capture_output=True).stdout.decode().strip())
            a, b = socket.socketpair(); a.send(b'socket'); print(b.recv(9).decode())
            libc = ctypes.CDLL(None, use_errno=True)
            for call in [lambda: libc.unshare(0x20000), lambda: libc.personality(0x40000), lambda: libc.socket(40, 1, 0)]:
                print(call(), ctypes.get_errno())
            print(libc.syscall(435, 0, 0), ctypes.get_errno())
        ";
        let lines: Vec<_> =
            script.lines().map(|line| line.strip_prefix("            ").unwrap_or(line)).collect();
        let program = Program::new(Rootfs::Dev, ["python3", "-c", &lines.join("\n")]);
        with_config(
            "programs_run_under_a_default_profile",
            &program,
            |config| config["linux"]["seccomp"] = default_profile(),
            |container| {
                let done = container.ok(&["run", "--bundle", "BUNDLE", "ID"])?;
                let expected = "thread\nchild\nsocket\n-1 1\n-1 1\n-1 1\n-1 38\n";
                ensure!(done.stdout == expected, "{done}");
                Ok(())
            },
        )
    }

    #[test]
    fn what_a_profile_can_have_is_told() -> Result<()> {
        let program = Program::new(Rootfs::Small, ["true"]);
        with_config(
            "what_a_profile_can_have_is_told",
            &program,
            |_| {},
            |container| {
                let features: Value = serde_json::from_str(&container.ok(&["features"])?.stdout)?;
                let seccomp = &features["linux"]["seccomp"];
                ensure!(seccomp["enabled"] == true, "{features}");
                let actions = seccomp["actions"].as_array().context("no actions")?;
                for action in actions {
                    container.configure(|config| {
                        config["linux"]["seccomp"] = json!({
                            "defaultAction": "SCMP_ACT_ALLOW",
                            "syscalls": [{ "names": ["reboot"], "action": action }],
                        });
                    })?;
                    container.ok(&["run", "--bundle", "BUNDLE", "ID"])?;
                }
                Ok(())
            },
        )
    }

    #[test]
    fn what_a_profile_kills_dies_by_sigsys() -> Result<()> {
        let program = Program::new(Rootfs::Small, ["bash", "-c", "mkdir /tmp/a; echo $?"]);
        let kill = json!({
            "defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{ "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_KILL_PROCESS" }],
        });
        with_config(
            "what_a_profile_kills_dies_by_sigsys",
            &program,
            |config| config["linux"]["seccomp"] = kill,
            |container| {
                let done = container.ok(&["run", "--bundle", "BUNDLE", "ID"])?;
                ensure!(done.stdout == "159\n", "{done}");
                Ok(())
            },
        )
    }

    #[test]
    fn profiles_that_cannot_be_kept_are_refused() -> Result<()> {
        let program = Program::new(Rootfs::Small, ["true"]);
        with_config(
            "profiles_that_cannot_be_kept_are_refused",
            &program,
            |config| config["linux"]["seccomp"] = json!({ "defaultAction": "SCMP_ACT_NOTIFY" }),
            |container| {
                container
                    .refused(&["create", "--bundle", "BUNDLE", "ID"], &["linux.seccomp", "SCMP_ACT_NOTIFY"])
            },
        )
    }
    #[test]
    fn kernel_parameters_are_set() -> Result<()> {
        let script = "cd /proc/sys; cat kernel/msgmax kernel/sem net/ipv4/ip_local_port_range net/core/somaxconn \
            net/ipv4/ip_unprivileged_port_start net/ipv4/ping_group_range; hostname; cat kernel/domainname";
        let printed = output("kernel_parameters_are_set", script, |config| {
            config["hostname"] = "one".into();
            config["domainname"] = "two".into();
            config["linux"]["sysctl"] = json!({
                "kernel.msgmax": "4096",
                "kernel.sem": "250 32000 100 128",
                "net.ipv4.ip_local_port_range": "2000 2001",
                "net.core.somaxconn": "65535",
                "net/ipv4/ip_unprivileged_port_start": "0",
                "net.ipv4.ping_group_range": "0 2147483647",
            });
        })?;
        let expected = "4096\n250\t32000\t100\t128\n2000\t2001\n65535\n0\n0\t2147483647\none\ntwo\n";
        ensure!(printed == expected, "{printed}");
        Ok(())
    }

    #[test]
    fn parameters_that_there_are_not_are_refused() -> Result<()> {
        let program = Program::new(Rootfs::Small, ["true"]);
        for (name, value) in
            [("net.ipv4.no_such_thing", "1"), ("kernel.ostype", "Other"), ("kernel.msgmax", "x")]
        {
            with_config(
                "parameters_that_there_are_not_are_refused",
                &program,
                |config| config["linux"]["sysctl"] = json!({ name: value }),
                |container| container.refused(&["create", "--bundle", "BUNDLE", "ID"], &[name, value]),
            )?;
        }
        Ok(())
    }

    #[test]
    fn processes_are_as_they_are_configured() -> Result<()> {
        let script = "uname -m; umask; id -G; ulimit -n; ulimit -Hn; cat /proc/self/oom_score_adj; \
            chrt -p $$ | sed 's/.*: //'; ionice -p $$; nice; cat /proc/self/personality";
        let printed = output("processes_are_as_they_are_configured", script, |config| {
            config["linux"]["personality"] = json!({ "domain": "LINUX32" });
            let process = &mut config["process"];
            process["user"] = json!({ "uid": 1000, "gid": 1000, "umask": 63, "additionalGids": [7, 9] });
            process["rlimits"] = json!([{ "type": "RLIMIT_NOFILE", "soft": 100, "hard": 200 }]);
            process["oomScoreAdj"] = 500.into();
            process["scheduler"] = json!({ "policy": "SCHED_BATCH", "nice": 5 });
            process["ioPriority"] = json!({ "class": "IOPRIO_CLASS_BE", "priority": 6 });
        })?;
        let expected =
            "i686\n0077\n1000 7 9\n100\n200\n500\nSCHED_BATCH\n0\nbest-effort: prio 6\n5\n00000008\n";
        ensure!(printed == expected, "{printed}");
        Ok(())
    }

    #[test]
    fn paths_are_masked_and_made_readonly() -> Result<()> {
        let script = "ls -A /proc/sys; wc -c </etc/passwd; (echo >/mnt/tmpfs/x) 2>&1; ls -A /mnt/tmpfs; \
            (echo >/proc/self/comm) 2>&1; echo done";
        let printed = output("paths_are_masked_and_made_readonly", script, |config| {
            config["linux"]["maskedPaths"] = json!(["/proc/sys", "/etc/passwd", "/no/such/path"]);
            config["linux"]["readonlyPaths"] = json!(["/mnt/tmpfs", "/no/such/path"]);
        })?;
        let expected = "0\nbash: line 1: /mnt/tmpfs/x: Read-only file system\ndone\n";
        ensure!(printed == expected, "{printed}");
        Ok(())
    }

    #[test]
    fn device_nodes_are_made() -> Result<()> {
        let script = "stat -c '%F %t:%T %a %u:%g' /dev/sub/zero /dev/pipe /dev/null; head -c 3 /dev/sub/zero | od -An -tx1";
        let printed = output("device_nodes_are_made", script, |config| {
            config["linux"]["devices"] = json!([
                { "path": "/dev/sub/zero", "type": "c", "major": 1, "minor": 5, "fileMode": 416, "uid": 3, "gid": 4 },
                { "path": "/dev/pipe", "type": "p", "fileMode": 384 },
                { "path": "/dev/null", "type": "c", "major": 1, "minor": 3, "fileMode": 438 },
            ]);
        })?;
        let expected = "character special file 1:5 640 3:4\nfifo 0:0 600 0:0\ncharacter special file 1:3 666 0:0\n 00 00 00\n";
        ensure!(printed == expected, "{printed}");
        Ok(())
    }

    /// A hook that leaves a mark in a file of the session, and ends so.
    fn hook(container: &Container<'_>, mark: &str, code: u32) -> Value {
        let file = container.session.dir().join("marks");
        let script = format!("echo {mark} >> {}; exit {code}", file.display());
        json!({ "path": "/bin/sh", "args": ["sh", "-c", script] })
    }

    #[test]
    fn a_hook_that_fails_ends_the_container() -> Result<()> {
        let program = Program::new(Rootfs::Small, ["sleep", "100"]);
        for (point, fails_at) in [
            ("createRuntime", "create"),
            ("startContainer", "start"),
            ("poststart", "start"),
            ("poststart", "run"),
        ] {
            with_config(
                "a_hook_that_fails_ends_the_container",
                &program,
                |_| {},
                |container| {
                    container.configure(|config| {
                    config["hooks"] = json!({
                        point: [hook(container, "first", 0), hook(container, "fails", 3), hook(container, "never", 0)],
                        "poststop": [hook(container, "after", 0), hook(container, "last", 0)],
                    });
                })?;
                    let create = ["create", "--bundle", "BUNDLE", "ID"];
                    match fails_at {
                        "create" => container.refused(&create, &[point, "exit status: 3"])?,
                        "run" => container
                            .refused(&["run", "--bundle", "BUNDLE", "ID"], &[point, "exit status: 3"])?,
                        _ => {
                            container.ok(&create)?;
                            container.refused(&["start", "ID"], &[point, "exit status: 3"])?;
                        }
                    }
                    container.refused(&["state", "ID"], &[container.id()])?;
                    let marks = std::fs::read_to_string(container.session.dir().join("marks"))?;
                    ensure!(marks == "first\nfails\nafter\nlast\n", "{point}: {marks}");
                    Ok(())
                },
            )?;
        }
        Ok(())
    }
}
