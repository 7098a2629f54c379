//! Futexes (`futex(2)`, `futex(7)`, `get_robust_list(2)`).
//!
//! A futex is a word in guest memory; the kernel knows only those that somebody waits for, by their [`FutexKey`]. The
//! waiters are in the buckets of a hash table, [`FutexTable`]. Who waits is a `Waiter`, which is in at most one
//! bucket, and leaves it once: it is taken out by who wakes it, or takes itself out when its time is over or a signal
//! interrupts it; the bucket's lock decides who was first. A requeue moves it from one bucket to another.
//!
//! The call of a waiter holds its `Wait` while the task is parked; when the task is woken the call's handler runs
//! again, and sees by the waiters' places what has become of them.
//!
//! # Locking
//!
//! A bucket's lock ([`class::FUTEX`](cloister_sync::class::FUTEX)) is held while the word is looked at and the waiter
//! enters the bucket, so that no wake-up comes in between; two of them, in the order of their addresses, for a
//! requeue. Tasks are woken without it.
//!
//! # Snapshot
//!
//! Of a waiter it is only saved whether it was woken, so that no wake-up is lost. Otherwise its call begins anew in a
//! restored sandbox, with the time-out that it had: it looks at the word again, and returns with `EAGAIN` if that has
//! changed, as if it had come later.
//!
//! | module | subject |
//! |---|---|
//! | `key` | what tells futexes apart |
//! | `table` | buckets and waiters |
//! | `wait`, `wake` | the plain operations |
//! | `pi` | locks that the kernel hands over |
//! | `exit` | what becomes of a task's futexes when it ends |

mod exit;
mod key;
mod pi;
mod table;
mod wait;
mod wake;

#[cfg(test)]
mod tests;

pub(crate) use exit::on_task_exit;
pub(crate) use key::{FutexKey, Sharing};
pub(crate) use pi::{lock_pi, try_lock_pi, unlock_pi};
pub(crate) use table::FutexTable;
pub(super) use table::Wait;
pub(crate) use wait::{FutexWord, wait, wait_any};
pub(crate) use wake::{Requeue, WakeOp, requeue, wake, wake_op};
