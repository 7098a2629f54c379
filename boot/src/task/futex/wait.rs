//! Waiting: `FUTEX_WAIT`, `FUTEX_WAIT_BITSET`, `futex_waitv(2)`.

use super::table::{Wait, Waiter};
use super::{FutexKey, Sharing};
use crate::context::SyscallCx;
use crate::error::{Fail, Restart, fail};
use crate::kernel::Park;
use crate::mm::Mm;
use crate::prelude::errno;
use crate::time::Instant;

/// A word to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FutexWord {
    /// Its address.
    pub(crate) address: u64,
    /// The value that it must have for the wait to begin.
    pub(crate) value: u32,
    /// Which wake-ups to wait for.
    pub(crate) bitset: u32,
    /// Who may wake.
    pub(crate) sharing: Sharing,
}

/// Waits until `word` is woken.
///
/// # Errors
///
/// `EAGAIN` if the word has another value, `ETIMEDOUT` once `deadline` is over, `EINVAL` and `EFAULT` for its address.
pub(crate) fn wait(
    cx: &mut SyscallCx<'_>,
    word: FutexWord,
    deadline: Option<Instant>,
    restart: Restart,
) -> Result<(), Fail> {
    wait_any(cx, &[word], deadline, restart).map(drop)
}

/// Waits until one of `words` is woken, and returns which.
///
/// # Errors
///
/// As [`wait`].
pub(crate) fn wait_any(
    cx: &mut SyscallCx<'_>,
    words: &[FutexWord],
    deadline: Option<Instant>,
    restart: Restart,
) -> Result<usize, Fail> {
    let wait = match take_wait(cx) {
        Some(wait) => wait,
        None => match begin(cx, words)? {
            Begun::Woken(index) => return Ok(index),
            Begun::Waits(wait) => wait,
        },
    };
    go_on(cx, wait, deadline, restart)
}

/// Takes the wait that the call began in an earlier run of its handler.
pub(super) fn take_wait(cx: &mut SyscallCx<'_>) -> Option<Wait> {
    cx.run.take_held().map(|wait| *wait)
}

/// Goes on waiting, unless that is over.
pub(super) fn go_on(
    cx: &mut SyscallCx<'_>,
    wait: Wait,
    deadline: Option<Instant>,
    restart: Restart,
) -> Result<usize, Fail> {
    if let Some(index) = wait.woken() {
        return Ok(index);
    }
    let is_over = deadline.is_some_and(|deadline| deadline <= cx.kernel().clock.monotonic());
    if is_over || cx.is_interrupted() {
        // Who has woken it in the meantime must not have done so in vain.
        return match wait.cancel() {
            Some(index) => Ok(index),
            None if is_over => Err(fail(errno::ETIMEDOUT, "nobody woke it in time")),
            None => Err(Fail::Restart(restart)),
        };
    }
    cx.run.held = Some(Box::new(wait));
    Err(Fail::Park(Park { deadline, restart }))
}

enum Begun {
    Woken(usize),
    Waits(Wait),
}

/// Enters the buckets of `words`, if all have their values.
fn begin(cx: &SyscallCx<'_>, words: &[FutexWord]) -> Result<Begun, Fail> {
    let mut wait = Wait::new(cx.kernel());
    for word in words {
        match enter(cx, word, &mut wait) {
            Ok(()) => {}
            Err(failure) => {
                return match wait.cancel() {
                    Some(index) => Ok(Begun::Woken(index)),
                    None => Err(failure),
                };
            }
        }
    }
    Ok(Begun::Waits(wait))
}

fn enter(cx: &SyscallCx<'_>, word: &FutexWord, wait: &mut Wait) -> Result<(), Fail> {
    let key = FutexKey::new(cx.mm(), word.address, word.sharing)?;
    let waiter = Waiter::new(cx.task, word.bitset, None);
    let mut bucket = cx.kernel().futexes.lock(&key);
    if load(cx.mm(), word.address)? != word.value {
        return Err(fail(errno::EAGAIN, "the word has another value"));
    }
    bucket.push(key, &waiter);
    wait.waiters.push(waiter);
    Ok(())
}

/// Reads a word.
///
/// # Errors
///
/// `EFAULT` if it can't be read.
pub(super) fn load(mm: &Mm, address: u64) -> Result<u32, Fail> {
    let mut bytes = [0; 4];
    if mm.read(address, &mut bytes) < bytes.len() {
        return Err(fail(errno::EFAULT, "the word can't be read"));
    }
    Ok(u32::from_le_bytes(bytes))
}
