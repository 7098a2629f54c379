//! `/dev/tty` (`tty(4)`): the controlling terminal of whoever opens it.

use crate::error::{Fail, fail};
use crate::fs::{FileOps, OpenCx};
use crate::prelude::errno;

/// Opens the controlling terminal.
///
/// # Errors
///
/// `ENXIO` if the session has none.
pub(super) fn open(_cx: &OpenCx<'_>) -> Result<Box<dyn FileOps>, Fail> {
    Err(fail(errno::ENXIO, "the session has no terminal"))
}
