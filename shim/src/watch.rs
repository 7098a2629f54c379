//! Waiting for descriptors without blocking.

#![expect(unsafe_code, reason = "tokio has no safe way to watch a descriptor")]

use std::io;
use std::os::fd::OwnedFd;

use tokio::io::unix::AsyncFd;

/// A descriptor that is watched. It is owned: nobody closes it, or puts another in its place, while it is.
pub(crate) type Watched = AsyncFd<OwnedFd>;

/// Takes a descriptor over to watch it, within a runtime.
pub(crate) fn watch(descriptor: OwnedFd) -> io::Result<Watched> {
    // SAFETY: an `OwnedFd` is open as long as it lives and always the same, and the value that is made owns it.
    Ok(unsafe { AsyncFd::register(descriptor) }?)
}
