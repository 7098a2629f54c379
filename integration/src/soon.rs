//! Waits for what other processes are about to do.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Result;

/// How long it may take on a machine that does much else.
const SOON: Duration = Duration::from_secs(60);

/// Checks again and again until the check succeeds.
///
/// # Errors
/// The last check's, when none succeeds soon.
pub fn soon<T>(mut check: impl FnMut() -> Result<T>) -> Result<T> {
    let until = Instant::now() + SOON;
    loop {
        match check() {
            Err(_) if Instant::now() < until => sleep(Duration::from_millis(5)),
            outcome => return outcome,
        }
    }
}
