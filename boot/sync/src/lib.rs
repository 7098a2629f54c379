//! Locks that know their order.
//!
//! Every lock of the kernel names its [`class`] in its type. Debug and test builds keep the classes that a
//! thread holds and panic when one is taken out of order, so a dead lock is found by the first test that runs
//! the two paths, not by the one user whose threads meet.

pub mod class;
mod lock;
mod order;

pub use lock::{Lock, LockGuard};
pub use order::assert_only_held;
