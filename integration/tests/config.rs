//! `config.json`, field by field: what the container sees of it.

#[cfg(test)]
mod tests {
    use anyhow::{Result, ensure};
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
}
