//! One test at a time.
//!
//! The tests look for processes, mounts and cgroups that are left behind, so no two may run at once: neither two threads
//! of one test program nor two test programs.

use std::fs::File;

use anyhow::{Context, Result, anyhow};
use nix::fcntl::{Flock, FlockArg};

use crate::paths;

/// The right to run a test; given back when dropped.
#[derive(Debug)]
pub struct Exclusive {
    _lock: Flock<File>,
}

/// Waits for the right to run a test.
///
/// # Errors
/// When the lock file cannot be opened or locked.
pub fn acquire() -> Result<Exclusive> {
    let path = paths::target_subdir("integration")?.join("lock");
    let file = File::create(&path).with_context(|| format!("cannot open {}", path.display()))?;
    let lock = Flock::lock(file, FlockArg::LockExclusive)
        .map_err(|(_, errno)| anyhow!("cannot lock {}: {errno}", path.display()))?;
    Ok(Exclusive { _lock: lock })
}
