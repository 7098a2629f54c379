//! Guest threads: made, stopped, resumed, ended.
//!
//! | module | subject |
//! |---|---|
//! | `table` | the threads that there are |
//! | `guest_threads` | which of them run, and where |
//! | `trap` | what the trap of a thread means |
//! | `resume` | how a stopped thread goes on |
//! | `interrupt` | how a running thread is stopped |
//! | `life` | how threads are made, and end |
//! | `guest_thread` | what the kernel has of a thread |

mod guest_thread;
mod guest_threads;
mod interrupt;
mod life;
mod resume;
mod table;
mod trap;

pub(super) use self::guest_threads::GuestThreads;
pub(super) use self::interrupt::INTERRUPT;
#[cfg(any(test, fuzzing))]
pub(super) use self::trap::trap_of;
