//! The life of OCI containers: create, start, state, kill, delete, list, run.

#[cfg(test)]
mod tests {
    use anyhow::{Context, Result, ensure};
    use cloister_integration::process::Status;
    use cloister_integration::{Container, Place, Program, Rootfs, known, soon};

    fn with_bundle(
        name: &str,
        program: &Program,
        work: impl FnOnce(&Container<'_>) -> Result<()>,
    ) -> Result<()> {
        Container::with(&format!("containers/{name}"), Place::Cloister(None), program, work)
    }

    fn shell(script: &str) -> Program {
        Program::new(Rootfs::Small, ["sh", "-c", script])
    }

    #[test]
    fn a_whole_life() -> Result<()> {
        with_bundle("a_whole_life", &shell("echo started > /work/mark; exec sleep 100"), |container| {
            let (id, pid_file) = (container.id(), container.session.dir().join("pid"));
            let pid_file = pid_file.to_str().context("odd path")?;
            container.ok(&["create", "--bundle", &container.bundle, "--pid-file", pid_file, id])?;
            let state = container.state()?;
            ensure!(state["status"] == "created" && state["id"] == id, "{state}");
            ensure!(
                state["bundle"] == container.bundle.as_str() && state["ociVersion"].is_string(),
                "{state}"
            );
            let pid = std::fs::read_to_string(pid_file)?;
            ensure!(state["pid"].as_u64() == pid.parse().ok(), "the pid file has {pid}, the state {state}");
            ensure!(!container.session.work().join("mark").exists(), "it runs before it is started");
            container.refused(&["delete", id], &[id, "created"])?;
            container.ok(&["start", id])?;
            container.wait_for_status("running")?;
            container.refused(&["start", id], &[id])?;
            container.wait_for_file("mark")?;
            let list = container.ok(&["list"])?;
            ensure!(list.stdout.contains(id) && list.stdout.contains("running"), "{list}");
            container.refused(&["delete", id], &[id, "running"])?;
            container.ok(&["kill", id, "KILL"])?;
            container.wait_for_status("stopped")?;
            container.ok(&["delete", id])?;
            container.refused(&["state", id], &[id])
        })
    }

    #[test]
    fn an_id_is_used_once() -> Result<()> {
        with_bundle("an_id_is_used_once", &shell("sleep 100"), |container| {
            let create = ["create", "--bundle", &container.bundle, container.id()];
            container.ok(&create)?;
            container.refused(&create, &[container.id(), "exists"])?;
            container.ok(&["delete", "--force", container.id()])?;
            container.ok(&create)?;
            container.ok(&["delete", "--force", container.id()]).map(drop)
        })
    }

    #[test]
    fn the_end_is_seen_by_state_and_delete() -> Result<()> {
        with_bundle("the_end_is_seen_by_state_and_delete", &shell("exit 3"), |container| {
            container.ok(&["create", "--bundle", &container.bundle, container.id()])?;
            container.ok(&["start", container.id()])?;
            container.wait_for_status("stopped")?;
            container.refused(&["kill", container.id(), "TERM"], &[container.id()])?;
            container.ok(&["delete", container.id()]).map(drop)
        })
    }

    #[test]
    fn signals_reach_the_process() -> Result<()> {
        let script =
            "trap 'echo got > /work/mark; exit 7' TERM; : > /work/ready; while :; do sleep 0.05; done";
        with_bundle("signals_reach_the_process", &shell(script), |container| {
            container.ok(&["create", "--bundle", &container.bundle, container.id()])?;
            container.ok(&["start", container.id()])?;
            container.wait_for_file("ready")?;
            container.ok(&["kill", container.id(), "TERM"])?;
            container.wait_for_status("stopped")?;
            ensure!(container.session.work().join("mark").exists(), "the handler did not run");
            container.ok(&["delete", container.id()]).map(drop)
        })
    }

    #[test]
    fn run_passes_the_exit_code_and_the_streams() -> Result<()> {
        let mut program = shell("cat; echo err >&2; exit 42");
        program.input = b"through\n".to_vec();
        let outcome = program.run(Place::Cloister(None)).and_then(|done| {
            ensure!(done.status == Status::Code(42), "{done}");
            ensure!(done.stdout == "through\n" && done.stderr == "err\n", "{done}");
            let done = shell("kill -KILL $$").run(Place::Cloister(None))?;
            // The first process of a namespace cannot be killed from within it.
            ensure!(done.status == Status::Code(0), "{done}");
            let done =
                shell("(kill -SEGV $BASHPID; sleep 1) & wait $!; exit $?").run(Place::Cloister(None))?;
            ensure!(matches!(done.status, Status::Code(_)), "{done}");
            Ok(())
        });
        known::judge_whole(Place::Cloister(None), "containers/run", outcome)
    }

    #[test]
    fn processes_are_listed_as_by_ps() -> Result<()> {
        let script = "sh -c 'exec sleep 77' & wait";
        with_bundle("processes_are_listed_as_by_ps", &shell(script), |container| {
            container.start()?;
            let table = soon(|| {
                let table = container.ok(&["ps", "ID"])?.stdout;
                // The shell that is about to execute it has these words among its arguments.
                ensure!(table.contains(" sleep 77\n") && !table.contains("exec sleep 77\n"), "{table}");
                Ok(table)
            })?;
            ensure!(
                table.lines().next().is_some_and(|line| line.starts_with("UID") && line.ends_with("CMD")),
                "{table}"
            );
            ensure!(table.contains(script), "{table}");
            let chosen = container.ok(&["ps", "ID", "-o", "ppid,comm"])?.stdout;
            let words: Vec<_> =
                chosen.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).collect();
            ensure!(words == [["PPID", "COMMAND"], ["0", "sh"], ["1", "sleep"]], "{chosen}");
            let pids: Vec<i32> =
                serde_json::from_str(&container.ok(&["ps", "--format", "json", "ID"])?.stdout)?;
            ensure!(pids.len() == 2 && pids.contains(&1), "{pids:?}");
            container.refused(&["ps", "ID", "--forest"], &["--forest"])?;
            container.ok(&["delete", "--force", "ID"]).map(drop)
        })
    }

    #[test]
    fn files_are_read_from_outside() -> Result<()> {
        let script = "seq 300000 > /tmp/numbers; mkfifo /tmp/fifo; : > /work/ready; exec sleep 100";
        with_bundle("files_are_read_from_outside", &shell(script), |container| {
            container.start()?;
            container.wait_for_file("ready")?;
            let all: String = (1..=300_000).map(|number| format!("{number}\n")).collect();
            let done = container.ok(&["read", "ID", "/tmp/numbers"])?;
            ensure!(done.stdout == all, "{} bytes of {}", done.stdout.len(), all.len());
            let part = container.ok(&["read", "--offset", "2", "--size", "5", "ID", "/tmp/numbers"])?;
            ensure!(part.stdout == "2\n3\n4", "{part}");
            ensure!(container.ok(&["read", "ID", "/proc/1/comm"])?.stdout == "sleep\n");
            container.refused(&["read", "ID", "/no/such/file"], &["/no/such/file"])?;
            container.refused(&["read", "ID", "/tmp"], &["/tmp"])?;
            container.refused(&["read", "ID", "/tmp/fifo"], &["/tmp/fifo"])?;
            container.ok(&["delete", "--force", "ID"])?;
            container.refused(&["read", "ID", "/tmp/numbers"], &[container.id()])
        })
    }

    #[test]
    fn what_cannot_be_executed() -> Result<()> {
        let of = |path: &str| Program::new(Rootfs::Small, [path]);
        for (name, program, word) in [
            ("absent", of("/no/such/program"), "/no/such/program"),
            ("plain", of("/etc/passwd"), "/etc/passwd"),
            ("unknown", of("no-such-command"), "no-such-command"),
        ] {
            with_bundle(&format!("what_cannot_be_executed/{name}"), &program, |container| {
                container.refused(&["create", "--bundle", "BUNDLE", "ID"], &[word])?;
                container.refused(&["run", "--bundle", "BUNDLE", "ID"], &[word])
            })?;
        }
        Ok(())
    }
}
