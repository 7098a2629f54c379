//! Crashes: a command, the sandbox's kernel or the file server is killed, while the command stands before or after one of
//! its system calls. Whatever the moment, the state can be read, `delete --force` removes all, and nothing is left.
//!
//! `CLOISTER_TEST_CRASHES` says how many points are tried. They are drawn from `CLOISTER_TEST_SEED`, by default always the same
//! ones: a run of many should have a seed of its own.

#[cfg(test)]
mod tests {
    use std::env;

    use anyhow::{Context, Result, ensure};
    use cloister_integration::process::Status;
    use cloister_integration::processes::Process;
    use cloister_integration::{Container, Place, Program, Rootfs, interrupted};
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;

    /// How many points are tried unless the caller says so.
    const NR_POINTS: u64 = 32;

    /// What they are drawn from unless the caller says so.
    const SEED: u64 = 1;

    /// Commands that are interrupted, and those that make what they need.
    const COMMANDS: [(&[&str], &[&[&str]]); 8] = [
        (&["create", "--bundle", "BUNDLE", "ID"], &[]),
        (&["run", "--detach", "--bundle", "BUNDLE", "ID"], &[]),
        (&["start", "ID"], &[CREATE]),
        (&["exec", "ID", "true"], &[CREATE, START]),
        (&["exec", "--detach", "ID", "sleep", "1000"], &[CREATE, START]),
        (&["kill", "ID", "KILL"], &[CREATE, START]),
        (&["delete", "ID"], &[CREATE, START, &["kill", "ID", "KILL"], &["wait", "ID"]]),
        (&["delete", "--force", "ID"], &[CREATE, START, &["exec", "--detach", "ID", "sleep", "1000"]]),
    ];
    const CREATE: &[&str] = &["create", "--bundle", "BUNDLE", "ID"];
    const START: &[&str] = &["start", "ID"];

    /// Numbers that look random, all from one seed (splitmix64).
    struct Numbers(u64);

    impl Numbers {
        /// A number below `bound`.
        fn below(&mut self, bound: u64) -> u64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut word = self.0;
            word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            (word ^ (word >> 31)) % bound.max(1)
        }
    }

    fn number_of(variable: &str) -> Result<Option<u64>> {
        match env::var(variable) {
            Ok(text) => Ok(Some(text.parse().with_context(|| format!("{variable} is not a number"))?)),
            Err(_) => Ok(None),
        }
    }

    fn with_container(work: impl FnOnce(&Container<'_>) -> Result<()>) -> Result<()> {
        let program = Program::new(Rootfs::Small, ["sh", "-c", "sleep 1000 & wait"]);
        Container::with("crashes", Place::Cloister(None), &program, work)
    }

    fn prepare(container: &Container<'_>, commands: &[&[&str]]) -> Result<()> {
        commands.iter().try_for_each(|command| {
            let done = container.run(command)?;
            // `wait` passes the end of what was killed on.
            ensure!(
                done.status == Status::Code(0) || command.first() == Some(&"wait"),
                "{command:?}\n{done}"
            );
            Ok(())
        })
    }

    /// Kills the command, or one of the processes that it or an earlier one has started. What was killed.
    fn kill_one(command: Process, choice: u64) -> String {
        let mut others: Vec<_> = Process::own().children();
        others.extend(command.children());
        others.retain(|process| *process != command);
        others.sort();
        let victim = match choice {
            0 => command,
            _ => usize::try_from(choice - 1)
                .ok()
                .and_then(|n| others.get(n % others.len().max(1)).copied())
                .unwrap_or(command),
        };
        let name =
            if victim == command { "the command".to_owned() } else { victim.name().unwrap_or_default() };
        // A failure means that it has just ended.
        let _ = kill(Pid::from_raw(victim.0), Signal::SIGKILL);
        name
    }

    /// What holds whatever was killed.
    fn check(container: &Container<'_>) -> Result<()> {
        let list = container.ok(&["list", "--format", "json"])?;
        serde_json::from_str::<serde_json::Value>(&list.stdout).with_context(|| format!("{list}"))?;
        let state = container.run(&["state", "ID"])?;
        match state.status {
            Status::Code(0) => drop(serde_json::from_str::<serde_json::Value>(&state.stdout)?),
            _ => {
                let one_line = state.stderr.lines().count() == 1 && state.stderr.contains(container.id());
                ensure!(one_line, "the error is not one line about the container\n{state}");
                // What is not there, or is half there, is in nobody's way.
                container.ok(CREATE)?;
            }
        }
        container.ok(&["delete", "--force", "ID"])?;
        container.refused(&["state", "ID"], &[container.id()])?;
        let list = container.ok(&["list", "--quiet"])?;
        ensure!(list.stdout.is_empty(), "{list}");
        Ok(())
    }

    #[test]
    fn at_any_point() -> Result<()> {
        let seed = number_of("CLOISTER_TEST_SEED")?.unwrap_or(SEED);
        let mut numbers = Numbers(seed);
        let mut lengths = Vec::new();
        for (command, needed) in COMMANDS {
            with_container(|container| {
                prepare(container, needed)?;
                lengths.push(interrupted::count(&mut container.command(command)?)?);
                container.ok(&["delete", "--force", "ID"]).map(drop)
            })?;
        }
        for nr_point in 0..number_of("CLOISTER_TEST_CRASHES")?.unwrap_or(NR_POINTS) {
            let chosen = usize::try_from(numbers.below(COMMANDS.len() as u64))?;
            let ((command, needed), length) = (COMMANDS[chosen], lengths[chosen]);
            let (point, choice) = (1 + numbers.below(length), numbers.below(4));
            let mut victim = String::new();
            let outcome = with_container(|container| {
                prepare(container, needed)?;
                let mut command = container.command(command)?;
                interrupted::at(&mut command, point, |process| victim = kill_one(process, choice))?;
                check(container)
            });
            outcome.with_context(|| {
                format!("CLOISTER_TEST_SEED={seed}, number {nr_point}: {victim} killed at point {point} of {length} of {command:?}")
            })?;
        }
        Ok(())
    }
}
