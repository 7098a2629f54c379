//! The host's control groups: `linux.cgroupsPath`, `linux.resources`, `update`, `events`, `usage`.
//!
//! They work on whatever the machine has, version 1 or 2.

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};
    use std::process::Command;
    use std::time::Duration;

    use anyhow::{Context, Result, ensure};
    use cloister_integration::process::{self, Status};
    use cloister_integration::{Container, Place, Program, Rootfs, soon};
    use serde_json::{Value, json};

    /// Does the work with a container in a group of its own, named as the container is, with these limits.
    fn with_limits(
        name: &str,
        script: &str,
        resources: &Value,
        work: impl FnOnce(&Container<'_>) -> Result<()>,
    ) -> Result<()> {
        let program = Program::new(Rootfs::Small, ["bash", "-c", script]);
        Container::with(&format!("cgroups/{name}"), Place::Cloister(None), &program, |container| {
            container.configure(|config| {
                config["linux"]["cgroupsPath"] = format!("/{}", container.id()).into();
                config["linux"]["resources"] = resources.clone();
            })?;
            work(container)
        })
    }

    fn is_version_2() -> bool {
        Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
    }

    /// The folder of a group, for the files of a controller.
    fn folder(container: &Container<'_>, controller: &str) -> PathBuf {
        let mount = Path::new("/sys/fs/cgroup");
        let mount = if is_version_2() { mount.to_owned() } else { mount.join(controller) };
        mount.join(container.id())
    }

    /// A limit that is set: its file in version 1, and in version 2.
    fn limit(container: &Container<'_>, v1: &str, v2: &str) -> Result<String> {
        let file = if is_version_2() { v2 } else { v1 };
        let controller = file.split_once('.').context("no controller")?.0;
        let path = folder(container, controller).join(file);
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(text.trim_end().to_owned())
    }

    fn memory(container: &Container<'_>) -> Result<String> {
        limit(container, "memory.limit_in_bytes", "memory.max")
    }

    fn some_limits() -> Value {
        json!({
            "memory": { "limit": 128 << 20 },
            "cpu": { "quota": 50_000, "period": 100_000 },
            "pids": { "limit": 8 },
        })
    }

    /// All processes of the sandbox are in its group.
    fn are_members(container: &Container<'_>) -> Result<()> {
        let processes = container.sandbox_processes()?;
        ensure!(processes.len() >= 3, "{processes:?}");
        let members = std::fs::read_to_string(folder(container, "memory").join("cgroup.procs"))?;
        for process in processes {
            ensure!(members.lines().any(|line| line == process.0.to_string()), "{process:?} of {members}");
            let groups = process.read("cgroup")?;
            let word = if is_version_2() { "0::" } else { "pids:" };
            let line = groups.lines().find(|line| line.contains(word)).context("no such group")?;
            ensure!(line.ends_with(&format!("/{}", container.id())), "{groups}");
        }
        Ok(())
    }

    #[test]
    fn all_processes_are_in_the_group() -> Result<()> {
        with_limits(
            "all_processes_are_in_the_group",
            "sleep 100 & exec sleep 100",
            &some_limits(),
            |container| {
                container.start()?;
                // While programs begin, processes of the sandbox come and go.
                soon(|| {
                    let tasks = container.ok(&["ps", "ID"])?.stdout;
                    ensure!(tasks.matches(" sleep 100\n").count() == 2, "{tasks}");
                    are_members(container)
                })?;
                ensure!(memory(container)? == (128 << 20).to_string(), "{}", memory(container)?);
                let quota = limit(container, "cpu.cfs_quota_us", "cpu.max")?;
                ensure!(quota.starts_with("50000"), "{quota}");
                let inside =
                    container.ok(&["exec", "ID", "sh", "-c", "nproc; grep MemTotal /proc/meminfo"])?;
                ensure!(inside.stdout.split_whitespace().eq(["1", "MemTotal:", "131072", "kB"]), "{inside}");
                container.ok(&["delete", "--force", "ID"])?;
                ensure!(!folder(container, "memory").exists(), "the group is left");
                Ok(())
            },
        )
    }

    #[test]
    fn update_changes_what_it_names() -> Result<()> {
        with_limits("update_changes_what_it_names", "exec sleep 100", &some_limits(), |container| {
            container.start()?;
            container.ok(&["update", "--memory", "256m", "ID"])?;
            ensure!(memory(container)? == (256 << 20).to_string(), "{}", memory(container)?);
            let quota = limit(container, "cpu.cfs_quota_us", "cpu.max")?;
            ensure!(quota.starts_with("50000"), "{quota}");
            let file = container.session.dir().join("limits.json");
            std::fs::write(&file, json!({ "cpu": { "quota": 70_000 }, "memory": {} }).to_string())?;
            container.ok(&["update", "--resources", file.to_str().context("odd path")?, "ID"])?;
            let quota = limit(container, "cpu.cfs_quota_us", "cpu.max")?;
            ensure!(quota.starts_with("70000"), "{quota}");
            ensure!(memory(container)? == (256 << 20).to_string(), "{}", memory(container)?);
            container.refused(&["update", "--cpu-period", "1", "ID"], &["cpu"])?;
            std::fs::write(&file, r#"{"memory": {"limit": "much"}}"#)?;
            container
                .refused(&["update", "-r", file.to_str().context("odd path")?, "ID"], &["linux.resources"])?;
            container.refused(&["update", "-r", "/no/such/file", "ID"], &["/no/such/file"])?;
            container.ok(&["kill", "ID", "KILL"])?;
            container.wait_for_status("stopped")?;
            container.refused(&["update", "--memory", "256m", "ID"], &[container.id(), "stopped"])?;
            container.ok(&["delete", "ID"]).map(drop)
        })
    }

    #[test]
    fn tasks_are_counted_inside() -> Result<()> {
        with_limits("tasks_are_counted_inside", "exec sleep 100", &some_limits(), |container| {
            container.start()?;
            // Two are there: the first process, and the shell itself.
            let fork = |count: u32, seconds: &str| {
                let script = format!("for i in $(seq {count}); do sleep {seconds} & done; wait");
                container.run(&["exec", "ID", "sh", "-c", &script])
            };
            let done = fork(6, "0.2")?;
            ensure!(done.status == Status::Code(0), "{done}");
            // None may end before all should be there. The shell gives up, and does not wait for them.
            let done = fork(7, "50")?;
            ensure!(done.stderr.contains("annot fork"), "{done}");
            container.ok(&["update", "--pids-limit", "100", "ID"])?;
            let done = fork(40, "0.2")?;
            ensure!(done.status == Status::Code(0) && done.stderr.is_empty(), "{done}");
            container.ok(&["delete", "--force", "ID"]).map(drop)
        })
    }

    #[test]
    fn lack_of_memory_takes_a_program() -> Result<()> {
        with_limits("lack_of_memory_takes_a_program", "exec sleep 100", &some_limits(), |container| {
            container.start()?;
            let path = container.session.dir().join("events");
            let mut events = container.command(&["events", "--interval", "100ms", "ID"])?;
            let mut events = events.stdout(std::fs::File::create(&path)?).spawn()?;
            let tells = |kind: &str| {
                soon(|| {
                    let told = std::fs::read_to_string(&path)?;
                    ensure!(told.contains(&format!(r#""type":"{kind}""#)), "it does not tell {kind}: {told}");
                    Ok(())
                })
            };
            tells("stats")?;
            // It touches its memory itself, so that the host finds it at fault.
            let hog = container.run(&["exec", "ID", "sh", "-c", "x=12345678; while :; do x=$x$x; done"])?;
            ensure!(hog.status == Status::Code(137), "{hog}");
            ensure!(container.state()?["status"] == "running", "{}", container.state()?);
            tells("oom")?;
            container.ok(&["delete", "--force", "ID"])?;
            ensure!(events.wait()?.success());
            for line in std::fs::read_to_string(&path)?.lines() {
                serde_json::from_str::<Value>(line).with_context(|| format!("no JSON: {line}"))?;
            }
            Ok(())
        })
    }

    #[test]
    fn statistics_are_runc_s() -> Result<()> {
        with_limits(
            "statistics_are_runc_s",
            "sleep 100 & : > /work/ready; exec sleep 100",
            &some_limits(),
            |container| {
                container.start()?;
                container.wait_for_file("ready")?;
                let line = container.ok(&["events", "--stats", "ID"])?.stdout;
                let event: Value = serde_json::from_str(&line)?;
                ensure!(event["type"] == "stats" && event["id"] == container.id(), "{event}");
                let data = &event["data"];
                ensure!(data["memory"]["usage"]["limit"] == 128 << 20, "{data}");
                ensure!(data["memory"]["usage"]["usage"].as_u64() > Some(100_000), "{data}");
                ensure!(data["cpu"]["usage"]["total"].as_u64() > Some(0), "{data}");
                ensure!(data["pids"] == json!({ "current": 2, "limit": 8 }), "{data}");
                let usage: Value = serde_json::from_str(&container.ok(&["usage", "ID"])?.stdout)?;
                let get = |name: &str| usage[name].as_u64().unwrap_or(0);
                ensure!(get("programs") > 100_000 && get("kernel") > 100_000, "{usage}");
                ensure!(get("total") == get("programs") + get("kernel") + get("fileServer"), "{usage}");
                container.ok(&["delete", "--force", "ID"]).map(drop)
            },
        )
    }

    #[test]
    fn groups_can_be_ignored() -> Result<()> {
        with_limits("groups_can_be_ignored", "exec sleep 100", &some_limits(), |container| {
            container.ok(&["--ignore-cgroups", "create", "--bundle", "BUNDLE", "ID"])?;
            container.ok(&["start", "ID"])?;
            ensure!(!folder(container, "memory").exists(), "there is a group");
            container.refused(&["update", "--memory", "1g", "ID"], &[container.id(), "--ignore-cgroups"])?;
            let event: Value = serde_json::from_str(&container.ok(&["events", "--stats", "ID"])?.stdout)?;
            ensure!(event["data"]["memory"]["usage"]["usage"].as_u64() > Some(100_000), "{event}");
            container.ok(&["delete", "--force", "ID"]).map(drop)
        })
    }

    /// Where groups cannot be made, containers run, unless they are to have limits.
    #[test]
    fn groups_may_be_read_only() -> Result<()> {
        let run = |container: &Container<'_>| {
            let cloister = container.command(&["run", "--bundle", "BUNDLE", "ID"])?;
            let script = "awk '$3 ~ /^cgroup/ { print $2 }' /proc/mounts | while read -r m; do \
                mount -o remount,bind,ro \"$m\"; done; exec \"$@\"";
            let mut command = Command::new("unshare");
            command.args(["--mount", "--propagation", "private", "sh", "-c", script, "sh"]);
            command.arg(cloister.get_program()).args(cloister.get_args());
            process::run(&mut command, b"", Duration::from_secs(30))
        };
        with_limits("groups_may_be_read_only/limits", "exit 5", &some_limits(), |container| {
            let done = run(container)?;
            ensure!(done.status == Status::Code(1) && done.stderr.contains("--ignore-cgroups"), "{done}");
            ensure!(done.stderr.lines().count() == 1, "{done}");
            Ok(())
        })?;
        with_limits("groups_may_be_read_only/none", "exit 5", &json!({ "memory": {} }), |container| {
            let done = run(container)?;
            ensure!(done.status == Status::Code(5) && done.stderr.is_empty(), "{done}");
            Ok(())
        })
    }

    #[test]
    fn bad_groups_are_refused() -> Result<()> {
        for (name, path, resources, word) in [
            ("upwards", "/a/../../b", json!({}), "linux.cgroupsPath"),
            ("root", "/", json!({}), "linux.cgroupsPath"),
            ("processors", "", json!({ "cpu": { "cpus": "9999" } }), "cpuset.cpus"),
            ("unified", "", json!({ "unified": { "cgroup.kill": "1" } }), "linux.resources.unified"),
        ] {
            with_limits(&format!("bad_groups_are_refused/{name}"), "exit 5", &resources, |container| {
                if !path.is_empty() {
                    container.configure(|config| config["linux"]["cgroupsPath"] = path.into())?;
                }
                container.refused(&["run", "--bundle", "BUNDLE", "ID"], &[word])
            })?;
        }
        Ok(())
    }
    #[test]
    fn the_container_sees_its_limits_and_what_it_uses() -> Result<()> {
        let script = "cd /sys/fs/cgroup || exit 1
            cat cgroup.controllers memory.max cpu.max pids.max
            x=$(head -c 20000000 /dev/zero | tr '\\0' a)
            (($(<memory.current) > ${#x})) && echo used
            while read name value; do [ $name = anon ] && ((value > 20000000)) && echo anonymous; done <memory.stat
            grep oom_kill memory.events
            while read name value; do [ $name = usage_usec ] && ((value > 0)) && echo time; done <cpu.stat
            sleep 100 & grep -c . cgroup.procs pids.current; cat pids.current; kill $!; wait
            cat /proc/self/cgroup; grep -c ' /sys/fs/cgroup ro,.* - cgroup2 ' /proc/self/mountinfo
            (echo 1 >memory.max) 2>/dev/null || echo refused";
        let mount = json!({
            "destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
            "options": ["nosuid", "noexec", "nodev", "relatime", "ro"],
        });
        with_limits("the_container_sees_its_limits_and_what_it_uses", script, &some_limits(), |container| {
            container.configure(|config| {
                if let Some(mounts) = config["mounts"].as_array_mut() {
                    mounts.push(mount);
                }
            })?;
            let done = container.ok(&["run", "--bundle", "BUNDLE", "ID"])?;
            let expected = "cpu memory pids\n134217728\n50000 100000\n8\nused\nanonymous\noom_kill 0\ntime\n\
                cgroup.procs:3\npids.current:1\n3\n0::/\n1\nrefused\n";
            ensure!(done.stdout == expected, "{done}");
            Ok(())
        })
    }
}
