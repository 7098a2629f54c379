//! Makes a device node, FIFO or socket (`mknod(2)`).

use crate::message::exchange;
use crate::qid::Qid;

exchange! {
    /// Makes a node.
    Tmknod<'a> = 18 {
        /// The directory.
        dfid: u32,
        /// The node's name.
        name: &'a [u8],
        /// File type and permission bits.
        mode: u32,
        /// The device's major number.
        major: u32,
        /// The device's minor number.
        minor: u32,
        /// The node's group.
        gid: u32,
    }
    /// Confirms.
    Rmknod = 19 {
        /// The node.
        qid: Qid,
    }
}
