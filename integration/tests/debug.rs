//! `debug`: looking into a sandbox's kernel.

#[cfg(test)]
mod tests {
    use anyhow::{Context, Result, ensure};
    use cloister_integration::{Container, Place, Program, Rootfs, soon};

    fn with_container(name: &str, work: impl FnOnce(&Container<'_>) -> Result<()>) -> Result<()> {
        let program = Program::new(Rootfs::Small, ["sh", "-c", "while :; do sleep 0.05; done"]);
        Container::with(&format!("debug/{name}"), Place::Cloister(None), &program, |container| {
            container.start()?;
            work(container)?;
            container.ok(&["delete", "--force", "ID"]).map(drop)
        })
    }

    #[test]
    fn the_timeline_is_one_of_both_sides() -> Result<()> {
        with_container("the_timeline_is_one_of_both_sides", |container| {
            let table = container.ok(&["debug", "timeline", "ID"])?.stdout;
            let places: Vec<_> = [
                "create: begins",
                "kernel: answers requests",
                "create: is connected to the kernel",
                "kernel: has the container",
                "create: has the container",
                "kernel: is asked to start it",
                "kernel: its program runs",
            ]
            .iter()
            .map(|step| table.find(step))
            .collect();
            ensure!(places.iter().all(Option::is_some) && places.is_sorted(), "{table}");
            Ok(())
        })
    }

    #[test]
    fn tasks_and_figures() -> Result<()> {
        with_container("tasks_and_figures", |container| {
            let stacks = container.ok(&["debug", "stacks", "ID"])?.stdout;
            ensure!(stacks.contains("task 1 of process 1 [sh]"), "{stacks}");
            let figures = container.ok(&["debug", "statistics", "ID"])?.stdout;
            let figures: serde_json::Value = serde_json::from_str(&figures)?;
            for name in ["tasks", "memory", "syscalls"] {
                ensure!(figures[name].as_u64() > Some(0), "{name}: {figures}");
            }
            Ok(())
        })
    }

    #[test]
    fn calls_are_traced_from_now_on() -> Result<()> {
        with_container("calls_are_traced_from_now_on", |container| {
            let log = container.session.state_dir().join(container.id()).join("log");
            let read = || std::fs::read_to_string(&log).context("no log");
            ensure!(!read()?.contains("nanosleep"), "they are traced without a wish");
            container.ok(&["debug", "strace", "ID", "on"])?;
            soon(|| {
                ensure!(read()?.contains("nanosleep"), "no call is traced");
                Ok(())
            })?;
            container.ok(&["debug", "strace", "ID", "off"]).map(drop)
        })
    }

    #[test]
    fn only_the_calls_that_are_named_are_traced() -> Result<()> {
        with_container("only_the_calls_that_are_named_are_traced", |container| {
            container.ok(&["debug", "strace", "ID", "wait4,exit_group"])?;
            let log = container.session.state_dir().join(container.id()).join("log");
            soon(|| {
                let log = std::fs::read_to_string(&log)?;
                ensure!(log.contains("wait4(") && log.contains("exit_group("), "{log}");
                ensure!(!log.contains("nanosleep("), "{log}");
                Ok(())
            })?;
            container.refused(&["debug", "strace", "ID", "read,nope"], &["\"nope\" is no system call"])
        })
    }

    #[test]
    fn the_log_s_filter_is_changed_at_run_time() -> Result<()> {
        with_container("the_log_s_filter_is_changed_at_run_time", |container| {
            let log = container.session.state_dir().join(container.id()).join("log");
            let has_requests = || anyhow::Ok(std::fs::read_to_string(&log)?.contains("control request"));
            container.ok(&["ps", "ID"])?;
            ensure!(!has_requests()?, "requests are logged without a wish");
            container.ok(&["debug", "log", "ID", "warn,cloister_boot::control=debug"])?;
            soon(|| {
                container.ok(&["ps", "ID"])?;
                ensure!(has_requests()?, "no request is logged");
                Ok(())
            })?;
            container.refused(&["debug", "log", "ID", "x=loud"], &["log filter \"x=loud\""])
        })
    }
}
