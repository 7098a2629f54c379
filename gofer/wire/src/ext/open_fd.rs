//! Opens a regular file and hands over the host's descriptor.

use crate::message::exchange;

exchange! {
    /// Opens the file of `fid`, which stays as it is: a fid can be opened any number of times.
    ///
    /// Only regular files are opened; anything else answers `ENXIO` (`EISDIR` for a directory, `ELOOP` for a symbolic
    /// link), because what it does is the business of the guest's kernel. Flags other than the access mode, `O_TRUNC`,
    /// `O_APPEND`, `O_DIRECT`, `O_SYNC`, `O_DSYNC` and `O_NOATIME` are ignored.
    TopenFd = 202 {
        /// The file.
        fid: u32,
        /// Linux' open flags.
        flags: u32,
    }
    /// Carries the descriptor.
    RopenFd = 203 {}
}
