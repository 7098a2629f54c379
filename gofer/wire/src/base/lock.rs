//! Locks a range of a file (`fcntl(2)`, `F_SETLK`).

use crate::message::exchange;

/// A shared lock.
pub const F_RDLCK: u8 = 0;
/// An exclusive lock.
pub const F_WRLCK: u8 = 1;
/// No lock.
pub const F_UNLCK: u8 = 2;
/// The client waits for the lock and will ask again.
pub const LOCK_BLOCK: u32 = 1;
/// The lock was held before the server restarted.
pub const LOCK_RECLAIM: u32 = 2;
/// The lock was given.
pub const LOCK_SUCCESS: u8 = 0;
/// Another lock is in the way.
pub const LOCK_BLOCKED: u8 = 1;
/// The lock cannot be given.
pub const LOCK_ERROR: u8 = 2;
/// The server has just started and only takes reclaims.
pub const LOCK_GRACE: u8 = 3;

exchange! {
    /// Asks for a lock.
    Tlock<'a> = 52 {
        /// The open file.
        fid: u32,
        /// [`F_RDLCK`], [`F_WRLCK`] or [`F_UNLCK`].
        kind: u8,
        /// [`LOCK_BLOCK`], [`LOCK_RECLAIM`].
        flags: u32,
        /// The first byte.
        start: u64,
        /// The number of bytes, 0 for all.
        length: u64,
        /// The process that asks.
        proc_id: u32,
        /// The machine that asks.
        client_id: &'a [u8],
    }
    /// Says whether the lock was given.
    Rlock = 53 {
        /// [`LOCK_SUCCESS`], [`LOCK_BLOCKED`], [`LOCK_ERROR`] or [`LOCK_GRACE`].
        status: u8,
    }
}
