//! The files of `/dev` that every container has (OCI runtime specification, "Default Devices").

use std::sync::Arc;

use crate::error::Errno;
use crate::fs::{Inode, NewInode, NewInodeKind};

/// Makes the usual devices, links and directories in the directory `dev`.
///
/// # Errors
///
/// The file system's.
pub(crate) fn populate(dev: &Arc<dyn Inode>) -> Result<(), Errno> {
    let devices =
        [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];
    for (name, major, minor) in devices {
        make(dev, name, 0o666, NewInodeKind::CharDevice(major, minor))?;
    }
    let links = [
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
        ("ptmx", "pts/ptmx"),
    ];
    for (name, target) in links {
        make(dev, name, 0o777, NewInodeKind::Symlink(target.as_bytes().to_vec()))?;
    }
    for (name, permissions) in [("pts", 0o755), ("shm", 0o1777), ("mqueue", 0o1777)] {
        make(dev, name, permissions, NewInodeKind::Directory)?;
    }
    Ok(())
}

fn make(dev: &Arc<dyn Inode>, name: &str, permissions: u32, kind: NewInodeKind) -> Result<(), Errno> {
    dev.create(name.as_bytes(), &NewInode { kind, permissions, uid: 0, gid: 0 }).map(drop)
}
