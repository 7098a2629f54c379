//! The manager library: an agent's sandboxes, from Rust.

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::{BufRead, BufReader, Write};
    use std::time::{Duration, Instant, SystemTime};

    use anyhow::{Context, Result, ensure};
    use cloister_integration::{Container, Place, Program, Rootfs, paths, soon};
    use cloister_runtime::manager::decide::{Action, Shutdown};
    use cloister_runtime::manager::{
        Command, Config, ExitStatus, Lifetime, Manager, ManagerError, Origin, Overlay, Then,
    };
    use cloister_runtime::state::{ContainerId, Status, Store};
    use cloister_runtime::template::{Personal, TemplateName};
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;

    const HOUR: Duration = Duration::from_secs(3600);

    fn with_manager(
        name: &str,
        work: impl FnOnce(&Manager, &Container<'_>, Origin) -> Result<()>,
    ) -> Result<()> {
        let program = Program::bash(Rootfs::Small, "while :; do sleep 0.1; done").with_env("FROM", "bundle");
        Container::with(&format!("manager/{name}"), Place::Cloister(None), &program, |container| {
            let mut config = Config::new(Store::new(container.session.state_dir()));
            config.sandbox.binaries.boot = Some(paths::built("cloister-boot")?);
            config.sandbox.binaries.gofer = Some(paths::built("cloister-gofer")?);
            let folder = container.bundle.clone().into();
            work(&Manager::new(config), container, Origin::Bundle { folder, overlay: Overlay::None })
        })
    }

    fn id(container: &Container<'_>, name: &str) -> Result<ContainerId> {
        Ok(format!("{}-{name}", container.id()).parse()?)
    }

    fn shell(script: &str) -> Command {
        Command::new(["sh", "-c", script])
    }

    fn statuses(manager: &Manager) -> Result<Vec<Status>> {
        Ok(manager.list()?.iter().map(|sandbox| sandbox.status).collect())
    }

    #[test]
    fn sandboxes_are_made_used_and_removed() -> Result<()> {
        with_manager("life", |manager, container, origin| {
            let one = id(container, "one")?;
            manager.create(&one, origin.clone(), Lifetime::default())?;
            let again = manager.create(&one, origin, Lifetime::default());
            ensure!(again.is_err_and(|error| error.to_string().contains("exists already")), "made twice");
            let mut command = shell("cat; echo $FROM $MORE >&2; pwd; exit 3");
            command.env.push("MORE=given".to_owned());
            command.cwd = Some("/tmp".to_owned());
            command.input = b"input\n".to_vec();
            let output = manager.exec(&one, &command)?;
            ensure!(output.status == ExitStatus::Exited(3), "{output:?}");
            ensure!(output.stdout == b"input\n/tmp\n" && output.stderr == b"bundle given\n", "{output:?}");

            let mut running = manager.exec_streaming(&one, &shell("while read x; do echo got $x; done"))?;
            let mut stdin = running.stdin.take().context("no standard input")?;
            let mut lines = BufReader::new(running.stdout.take().context("no standard output")?).lines();
            for word in ["a", "b"] {
                writeln!(stdin, "{word}")?;
                ensure!(lines.next().transpose()? == Some(format!("got {word}")));
            }
            ensure!(running.wait(Some(Instant::now()))?.is_none(), "it ended too early");
            drop(stdin);
            ensure!(running.wait(None)? == Some(ExitStatus::Exited(0)));
            ensure!(running.wait(None)? == Some(ExitStatus::Exited(0)), "it is forgotten");

            let mut slow = shell("exec sleep 1000");
            slow.timeout = Some(Duration::from_millis(50));
            let failure = manager.exec(&one, &slow);
            ensure!(matches!(failure, Err(ManagerError::TimedOut(_))), "{failure:?}");
            let mut loud = shell("exec yes");
            loud.output_limit = 1 << 20;
            let failure = manager.exec(&one, &loud);
            ensure!(matches!(failure, Err(ManagerError::OutputLimit(_))), "{failure:?}");
            // Both were killed, so that there is nothing that can't be saved.
            soon(|| Ok(manager.pause(&one)?))?;
            ensure!(statuses(manager)? == [Status::Suspended]);
            ensure!(manager.exec(&one, &shell("true")).is_err(), "it ran on the disk");
            manager.resume(&one)?;
            ensure!(manager.exec(&one, &shell("true"))?.status == ExitStatus::Exited(0));
            manager.destroy(&one)?;
            ensure!(manager.list()?.is_empty() && manager.get(&one).is_err());
            Ok(())
        })
    }

    #[test]
    fn copies_of_templates_are_sandboxes() -> Result<()> {
        with_manager("templates", |manager, container, origin| {
            let (warm, copy) = (id(container, "warm")?, id(container, "copy")?);
            let name: TemplateName = "warm".parse()?;
            manager.create(&warm, origin, Lifetime::default())?;
            manager.create_template(&name, &warm)?;
            manager.destroy(&warm)?;
            let environment = vec!["FROM=copy".to_owned()];
            let personal = Personal { hostname: Some("copy".to_owned()), environment };
            manager.create(&copy, Origin::Template { name: name.clone(), personal }, Lifetime::default())?;
            let output =
                manager.exec(&copy, &shell("echo $FROM; uname -n; cat /proc/cloister/generation"))?;
            ensure!(output.stdout == b"copy\ncopy\n1\n", "{output:?}");
            ensure!(manager.templates()?.iter().map(|template| &template.name).eq([&name]));
            manager.delete_template(&name)?;
            ensure!(manager.templates()?.is_empty());
            manager.destroy(&copy)?;
            Ok(())
        })
    }

    #[test]
    fn a_creation_that_fails_leaves_nothing() -> Result<()> {
        with_manager("rollback", |manager, container, origin| {
            let one = id(container, "one")?;
            container
                .configure(|config| config["process"]["args"] = serde_json::json!(["no-such-program"]))?;
            ensure!(manager.create(&one, origin.clone(), Lifetime::default()).is_err());
            container.configure(|config| {
                config["process"]["args"] = serde_json::json!(["sleep", "1000"]);
                config["hooks"] = serde_json::json!({"poststart": [{"path": "/bin/false"}]});
            })?;
            ensure!(manager.create(&one, origin, Lifetime::default()).is_err());
            let absent = Origin::template("absent".parse()?);
            ensure!(manager.create(&one, absent, Lifetime::default()).is_err());
            let rootfs = Origin::Rootfs { folder: "/nonexistent".into(), args: vec![], env: vec![] };
            ensure!(manager.create(&one, rootfs, Lifetime::default()).is_err());
            ensure!(manager.list()?.is_empty(), "{:?}", manager.list()?);
            ensure!(!fs::exists(container.session.state_dir().join(one.as_str()))?);
            Ok(())
        })
    }

    #[test]
    fn who_does_nothing_is_put_away() -> Result<()> {
        with_manager("reaper", |manager, container, origin| {
            let [kept, slept, gone] = ["a-kept", "b-slept", "c-gone"].map(|name| id(container, name));
            let (kept, slept, gone) = (kept?, slept?, gone?);
            let idle = Some(HOUR);
            manager.create(&kept, origin.clone(), Lifetime { idle: None, then: Then::Destroy })?;
            manager.create(&slept, origin.clone(), Lifetime { idle, then: Then::Suspend })?;
            manager.create(&gone, origin, Lifetime { idle, then: Then::Destroy })?;
            ensure!(manager.reap(SystemTime::now())?.is_empty(), "none is idle yet");
            let late = SystemTime::now() + HOUR + HOUR;
            let running = manager.exec_streaming(&gone, &shell("exec sleep 1000"))?;
            let reports = manager.reap(late)?;
            ensure!(reports.len() == 1 && reports[0].id == slept, "{reports:?}");
            ensure!(reports[0].action == Action::Suspend && reports[0].outcome.is_ok(), "{reports:?}");
            ensure!(statuses(manager)? == [Status::Running, Status::Suspended, Status::Running]);
            drop(running);
            let reports = manager.reap(late)?;
            ensure!(reports.len() == 1 && reports[0].id == gone && reports[0].outcome.is_ok(), "{reports:?}");
            manager.resume(&slept)?;
            manager.touch(&slept)?;
            ensure!(manager.reap(SystemTime::now())?.is_empty(), "it was used just now");
            let reports = manager.shut_down(Shutdown::Suspend)?;
            ensure!(reports.len() == 2 && reports.iter().all(|report| report.outcome.is_ok()), "{reports:?}");
            ensure!(statuses(manager)? == [Status::Suspended, Status::Suspended]);
            manager.shut_down(Shutdown::Destroy)?;
            ensure!(manager.list()?.is_empty());
            Ok(())
        })
    }

    #[test]
    fn what_is_dead_is_removed_at_the_beginning() -> Result<()> {
        with_manager("reconcile", |manager, container, origin| {
            let [alive, dead] = ["alive", "dead"].map(|name| id(container, name));
            let (alive, dead) = (alive?, dead?);
            manager.create(&alive, origin.clone(), Lifetime::default())?;
            manager.create(&dead, origin, Lifetime::default())?;
            let state = container.ok(&["state", dead.as_str()])?;
            let state: serde_json::Value = serde_json::from_str(&state.stdout)?;
            let pid = state["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok()).context("no pid")?;
            kill(Pid::from_raw(pid), Signal::SIGKILL)?;
            soon(|| {
                ensure!(manager.get(&dead)?.status == Status::Stopped);
                Ok(())
            })?;
            let half = container.session.state_dir().join("half-made");
            fs::create_dir(&half)?;
            let reports = manager.reconcile()?;
            let done: Vec<_> = reports.iter().map(|report| (report.id.as_str(), report.action)).collect();
            let expected = [("half-made", Action::Destroy), (dead.as_str(), Action::Destroy)];
            ensure!(done == expected && reports.iter().all(|report| report.outcome.is_ok()), "{reports:?}");
            ensure!(!half.exists());
            ensure!(statuses(manager)? == [Status::Running]);
            ensure!(manager.reconcile()?.is_empty());
            manager.destroy(&alive)?;
            Ok(())
        })
    }
}
