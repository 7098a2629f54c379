//! Many containers at a time, by several callers at once. `CLOISTER_TEST_CROWD` says how many.

#[cfg(test)]
mod tests {
    use std::env;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::thread;

    use anyhow::{Context, Result, ensure};
    use cloister_integration::{Container, Place, Program, Rootfs, soon};

    /// How many containers there are unless the caller says so.
    const NR_CONTAINERS: u32 = 16;
    const NR_CALLERS: u32 = 4;

    /// Does the work for each of `0..count`, by all callers at once.
    fn in_parallel(count: u32, work: impl Fn(u32) -> Result<()> + Sync) -> Result<()> {
        let next = AtomicU32::new(0);
        let caller = || -> Result<()> {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    return Ok(());
                }
                work(number).with_context(|| format!("container {number}"))?;
            }
        };
        thread::scope(|scope| {
            let callers: Vec<_> = (0..NR_CALLERS).map(|_| scope.spawn(caller)).collect();
            callers
                .into_iter()
                .try_for_each(|caller| caller.join().map_err(|_| anyhow::anyhow!("a caller panicked"))?)
        })
    }

    #[test]
    fn none_is_lost() -> Result<()> {
        let count = match env::var("CLOISTER_TEST_CROWD") {
            Ok(text) => text.parse().context("CLOISTER_TEST_CROWD is not a number")?,
            Err(_) => NR_CONTAINERS,
        };
        let program = Program::new(Rootfs::Small, ["sleep", "1000"]);
        Container::with("crowd/none_is_lost", Place::Cloister(None), &program, |container| {
            let id = |number: u32| format!("{}-{number:03}", container.id());
            let outcome = lead_them(container, count, id);
            if outcome.is_err() {
                // Those that are left are not what the failure is about.
                let _ =
                    in_parallel(count, |number| container.ok(&["delete", "--force", &id(number)]).map(drop));
            }
            outcome
        })
    }

    fn lead_them(container: &Container<'_>, count: u32, id: impl Fn(u32) -> String + Sync) -> Result<()> {
        in_parallel(count, |number| {
            container.ok(&["create", "--bundle", "BUNDLE", &id(number)])?;
            container.ok(&["start", &id(number)]).map(drop)
        })?;
        let wanted: String = (0..count).map(|number| id(number) + "\n").collect();
        let list = container.ok(&["list", "--quiet"])?;
        ensure!(list.stdout == wanted, "{list}");
        in_parallel(count, |number| {
            let word = number.to_string();
            let done = container.ok(&["exec", &id(number), "sh", "-c", "echo $0 /proc/[0-9]*", &word])?;
            let words: Vec<_> = done.stdout.split_whitespace().collect();
            // Its own first process, and the shell.
            ensure!(words.len() == 3 && words[0] == word && words[1] == "/proc/1", "it sees others\n{done}");
            let state = container.ok(&["state", &id(number)])?;
            ensure!(state.stdout.contains("\"running\""), "{state}");
            Ok(())
        })?;
        in_parallel(count, |number| {
            container.ok(&["kill", &id(number), "KILL"])?;
            soon(|| container.ok(&["delete", &id(number)]).map(drop))
        })?;
        let list = container.ok(&["list", "--quiet"])?;
        ensure!(list.stdout.is_empty(), "{list}");
        Ok(())
    }
}
