//! Makes a directory, symbolic link, device node, FIFO or socket.

use crate::attr::Attr;
use crate::message::exchange;

exchange! {
    /// Makes a file of any type but a regular one, with exactly these permission bits and owners.
    Tmake<'a> = 206 {
        /// The directory to make it in.
        dfid: u32,
        /// The fid for the new file.
        newfid: u32,
        /// The file's name.
        name: &'a [u8],
        /// File type and permission bits.
        mode: u32,
        /// The file's owner.
        uid: u32,
        /// The file's group.
        gid: u32,
        /// The device of a device node, encoded as in glibc's `makedev(3)`.
        rdev: u64,
        /// What a symbolic link holds; empty for every other type.
        target: &'a [u8],
    }
    /// Confirms.
    Rmake = 207 {
        /// The new file.
        attr: Attr,
    }
}
