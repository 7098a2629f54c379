//! `/dev/tty` and `/dev/console` (`tty(4)`, `console(4)`): the controlling terminal of whoever opens it.

use crate::error::{Fail, fail};
use crate::fs::{FileOps, OpenCx};
use crate::prelude::errno;
use crate::tty::job_control;

/// Opens the controlling terminal. A container has no console but that.
///
/// # Errors
///
/// `ENXIO` if the session has none, `EIO` if it was hung up.
pub(super) fn open(cx: &OpenCx<'_>) -> Result<Box<dyn FileOps>, Fail> {
    let terminal = job_control::controlling_terminal(cx.task);
    terminal.ok_or(fail(errno::ENXIO, "the session has no terminal"))?.open(cx.flags)
}
