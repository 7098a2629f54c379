//! Creates a regular file and hands over the host's descriptor.

use crate::attr::Attr;
use crate::message::exchange;

exchange! {
    /// Creates a file that must not exist, with exactly these permission bits and owners.
    TcreateFd<'a> = 204 {
        /// The directory.
        dfid: u32,
        /// The fid for the new file.
        newfid: u32,
        /// The file's name.
        name: &'a [u8],
        /// Linux' open flags for the descriptor; `O_CREAT` and `O_EXCL` are implied.
        flags: u32,
        /// The permission bits.
        mode: u32,
        /// The file's owner.
        uid: u32,
        /// The file's group.
        gid: u32,
    }
    /// Carries the descriptor.
    RcreateFd = 205 {
        /// The new file.
        attr: Attr,
    }
}
