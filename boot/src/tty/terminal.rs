//! What sessions know of a terminal.

use std::any::Any;
use std::fmt::Debug;
use std::sync::Arc;

use crate::error::Fail;
use crate::fs::{FileOps, OpenFlags};

/// A terminal that can control a session: a pseudo-terminal or a terminal of the host.
pub(crate) trait Terminal: Any + Send + Sync + Debug {
    /// Returns its number, as `st_rdev` and `/proc/PID/stat` tell it; `None` if the sandbox has no name for it.
    fn device(&self) -> Option<(u32, u32)>;

    /// Returns whether processes in the background that write to it are stopped (`TOSTOP`).
    fn stops_background_writers(&self) -> bool;

    /// Opens it again, with `flags`: through `/dev/tty`, or its name in `/dev/pts`.
    ///
    /// # Errors
    ///
    /// `EIO` if it was hung up, or is locked.
    fn open(self: Arc<Self>, flags: OpenFlags) -> Result<Box<dyn FileOps>, Fail>;
}

/// Returns whether both are the same terminal.
pub(super) fn is_same(a: &Arc<dyn Terminal>, b: &Arc<dyn Terminal>) -> bool {
    std::ptr::addr_eq(Arc::as_ptr(a), Arc::as_ptr(b))
}
