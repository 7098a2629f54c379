//! `ptmx` (`ptmx(4)`): each open makes a terminal.

use std::sync::Arc;

use super::Directory;
use crate::error::{Fail, fail};
use crate::fs::{FileKind, FileOps, OpenCx, Path, downcast_inode};
use crate::prelude::errno;
use crate::tty::{Master, Pty};

/// Opens the device `ptmx` through a name outside of devpts: the instance is the one mounted on `pts` beside it.
///
/// # Errors
///
/// `ENODEV` if there is none, `ENOSPC` if it has too many terminals.
pub(crate) fn open(cx: &OpenCx<'_>) -> Result<Box<dyn FileOps>, Fail> {
    let no_instance = fail(errno::ENODEV, "no devpts is mounted on `pts` beside the device");
    let Some(parent) = cx.path.dentry.parent() else { return Err(no_instance) };
    let Ok(pts) = parent.lookup(b"pts", &cx.path.mount.cache) else { return Err(no_instance) };
    if pts.inode().kind() != FileKind::Directory {
        return Err(no_instance);
    }
    let root = cx.path.with_dentry(pts).into_mounted();
    let Some(directory) = downcast_inode::<Directory>(root.inode()) else { return Err(no_instance) };
    make(cx, &directory, root)
}

/// Makes a terminal in `directory`, which is seen at `root`, and opens its master.
///
/// # Errors
///
/// `ENOSPC` if there are too many.
pub(super) fn make(cx: &OpenCx<'_>, directory: &Directory, root: Path) -> Result<Box<dyn FileOps>, Fail> {
    let kernel = cx.task.kernel();
    let owner = cx.task.credentials();
    let new = |index, directory| Arc::new(Pty::new(index, kernel, directory));
    let (pty, _) = directory.add((owner.fsuid, owner.fsgid), new)?;
    Ok(Box::new(Master::new(pty, root)))
}
