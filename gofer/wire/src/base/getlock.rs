//! Asks whether a lock could be had (`fcntl(2)`, `F_GETLK`).

use crate::message::exchange;

exchange! {
    /// Asks about a lock.
    Tgetlock<'a> = 54 {
        /// The open file.
        fid: u32,
        /// The kind of lock wanted.
        kind: u8,
        /// The first byte.
        start: u64,
        /// The number of bytes, 0 for all.
        length: u64,
        /// The process that asks.
        proc_id: u32,
        /// The machine that asks.
        client_id: &'a [u8],
    }
    /// Describes a lock in the way, or says `F_UNLCK`.
    Rgetlock<'r> = 55 {
        /// The kind of the lock in the way.
        kind: u8,
        /// Its first byte.
        start: u64,
        /// Its number of bytes.
        length: u64,
        /// The process that has it.
        proc_id: u32,
        /// The machine that has it.
        client_id: &'r [u8],
    }
}
