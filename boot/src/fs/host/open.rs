//! How the descriptors that the sandbox was given become files.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Weak};

use cloister_sync::{Lock, class};
use rustix::fs::OFlags;

use super::descriptor::to_errno;
use super::inode::{HostFileSystem, HostInode};
use super::{HostDescriptor, HostFile, HostStream, Terminal};
use crate::error::Errno;
use crate::fs::{Dentry, FileKind, FileOps, Mount, OpenFile, OpenFlags, Path, new_device_number};
use crate::kernel::Kernel;
use crate::prelude::errno;

/// The file system of host descriptors, and the terminals among them: a field of the kernel.
#[derive(Debug)]
pub(crate) struct HostFiles {
    file_system: Arc<HostFileSystem>,
    /// By device number: standard input, output and error are one terminal, with one foreground process group.
    terminals: Lock<BTreeMap<u64, Weak<Terminal>>, { class::SOCKET_NAMES }>,
}

impl Default for HostFiles {
    fn default() -> Self {
        let file_system = Arc::new(HostFileSystem { device: new_device_number() });
        Self { file_system, terminals: Lock::default() }
    }
}

/// Makes a guest file of the host descriptor `fd`, with the access that it was opened with and the status flags `flags`. `given_as`
/// is the number by which the container was given it, unless it is put in later.
///
/// # Errors
///
/// `EBADF` if it is only a path, and those of the host.
pub(crate) fn open_stdio(
    kernel: &Arc<Kernel>,
    fd: OwnedFd,
    given_as: Option<u32>,
    flags: OpenFlags,
) -> Result<Arc<OpenFile>, Errno> {
    let host_flags = rustix::fs::fcntl_getfl(&fd).map_err(to_errno)?;
    if host_flags.contains(OFlags::PATH) {
        return Err(errno::EBADF);
    }
    let stat = rustix::fs::fstat(&fd).map_err(to_errno)?;
    let kind = FileKind::from_mode(stat.st_mode).ok_or(errno::EBADF)?;
    let inode_fd = fd.try_clone()?;
    let is_terminal = kind == FileKind::CharDevice && rustix::termios::isatty(&fd);
    let label = match kind {
        FileKind::Fifo => format!("pipe:[{}]", stat.st_ino),
        FileKind::Socket => format!("socket:[{}]", stat.st_ino),
        _ => format!("host:[{}]", stat.st_ino),
    };
    let ops: Box<dyn FileOps> = match kind {
        FileKind::Regular | FileKind::BlockDevice | FileKind::Directory => {
            Box::new(HostFile::new(fd, given_as))
        }
        _ => {
            let descriptor = HostDescriptor::new(fd, given_as, &kernel.reactor)?;
            let terminal = is_terminal.then(|| kernel.host_files.terminal(kernel, stat.st_rdev, &descriptor));
            Box::new(HostStream::new(descriptor, terminal))
        }
    };
    let files = &kernel.host_files;
    let inode = Arc::new(HostInode::new(Arc::clone(&files.file_system), inode_fd, kind, given_as));
    let dentry = Dentry::new_unnamed(inode, label.as_bytes());
    let mount = Mount::new_internal(Arc::clone(&dentry), Arc::default());
    let access = host_flags & (OFlags::ACCMODE | OFlags::APPEND);
    let flags = flags | OpenFlags::from_bits_retain(access.bits());
    Ok(Arc::new(OpenFile::new(Path { mount, dentry }, ops, flags)))
}

impl HostFiles {
    /// Returns the terminal with the device number `device`.
    fn terminal(&self, kernel: &Arc<Kernel>, device: u64, descriptor: &Arc<HostDescriptor>) -> Arc<Terminal> {
        let mut terminals = self.terminals.lock();
        let known = terminals.get(&device).and_then(Weak::upgrade);
        known.unwrap_or_else(|| {
            let terminal = Terminal::new(kernel, Arc::clone(descriptor));
            terminals.insert(device, Arc::downgrade(&terminal));
            terminal
        })
    }
}
