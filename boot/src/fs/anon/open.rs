//! The opening of files without a name.

use std::sync::Arc;

use super::{AnonFileSystem, AnonInode, AnonKind};
use crate::context::SyscallCx;
use crate::error::{Errno, Fail, Outcome, SyscallResult};
use crate::fs::pipe::{Access, Pipe, PipeEnd};
use crate::fs::{Attributes, Dentry, FileKind, FileOps, Inode, Mount, OpenFile, OpenFlags, Path};
use crate::prelude::errno;
use crate::syscall::Address;

/// The file systems of files without a name: a field of the kernel.
#[derive(Debug)]
pub(crate) struct AnonFiles {
    pipes: Place,
    sockets: Place,
    objects: Place,
}

impl AnonFiles {
    /// Opens an object whose name is `name` (`[eventfd]`, `inotify`).
    pub(crate) fn open_object(&self, name: &str, ops: Box<dyn FileOps>, flags: OpenFlags) -> Arc<OpenFile> {
        let path =
            self.objects.path(Arc::clone(&self.objects.inode) as Arc<_>, &format!("anon_inode:{name}"));
        Arc::new(OpenFile::new(path, ops, flags))
    }

    /// Makes the inode of a saved file without a name, and returns it with its mount.
    ///
    /// # Errors
    ///
    /// `EINVAL` if no file here is of its kind.
    pub(crate) fn restore_inode(
        &self,
        attributes: Attributes,
    ) -> Result<(Arc<Mount>, Arc<dyn Inode>), Errno> {
        let place = match attributes.kind {
            FileKind::Fifo => &self.pipes,
            FileKind::Socket => &self.sockets,
            // All objects have one inode.
            FileKind::Anonymous => {
                return Ok((Arc::clone(&self.objects.mount), Arc::clone(&self.objects.inode) as _));
            }
            _ => return Err(errno::EINVAL),
        };
        let inode = AnonInode::with_attributes(Arc::clone(&place.file_system), attributes);
        Ok((Arc::clone(&place.mount), Arc::new(inode)))
    }
}

/// Where files of one sort are.
#[derive(Debug)]
struct Place {
    file_system: Arc<AnonFileSystem>,
    mount: Arc<Mount>,
    /// What all objects have in common.
    inode: Arc<AnonInode>,
}

impl Default for AnonFiles {
    fn default() -> Self {
        Self {
            pipes: Place::new(AnonKind::Pipe),
            sockets: Place::new(AnonKind::Socket),
            objects: Place::new(AnonKind::Object),
        }
    }
}

impl Place {
    fn new(kind: AnonKind) -> Self {
        let file_system = Arc::new(AnonFileSystem::new(kind));
        let inode = Arc::new(AnonInode::new(Arc::clone(&file_system), 0, 0, Default::default()));
        let root = Dentry::new_root(Arc::clone(&inode) as Arc<_>);
        let mount = Mount::new_internal(root, Arc::default());
        Self { file_system, mount, inode }
    }

    fn new_inode(&self, cx: &SyscallCx<'_>) -> Arc<AnonInode> {
        let credentials = cx.credentials();
        let now = cx.kernel().clock.realtime().into();
        Arc::new(AnonInode::new(Arc::clone(&self.file_system), credentials.fsuid, credentials.fsgid, now))
    }

    fn path(&self, inode: Arc<dyn Inode>, label: &str) -> Path {
        Path { mount: Arc::clone(&self.mount), dentry: Dentry::new_unnamed(inode, label.as_bytes()) }
    }
}

/// Opens both ends of a new pipe, with the status flags `flags`: the one for reading, the one for writing.
pub(crate) fn open_pipe(cx: &SyscallCx<'_>, flags: OpenFlags) -> (Arc<OpenFile>, Arc<OpenFile>) {
    let place = &cx.kernel().anon_files.pipes;
    let inode = place.new_inode(cx);
    let path = place.path(Arc::clone(&inode) as Arc<_>, &format!("pipe:[{}]", inode.number()));
    let pipe = Arc::new(Pipe::anonymous());
    // Opening it through /proc/PID/fd finds the pipe here.
    *inode.anchors().get_or_init().object.lock() = Some(Arc::clone(&pipe) as Arc<_>);
    let open = |access, flags| {
        let end = Box::new(PipeEnd::new(Arc::clone(&pipe), access));
        Arc::new(OpenFile::new(path.clone(), end, flags))
    };
    (open(Access::Read, flags), open(Access::Write, flags | OpenFlags::WRITE_ONLY))
}

/// Opens an object and gives it a descriptor, as [`AnonFiles::open_object`] and [`install`].
///
/// # Errors
///
/// `EMFILE` if the caller has no free descriptor.
pub(crate) fn install_object(
    cx: &SyscallCx<'_>,
    name: &str,
    ops: Box<dyn FileOps>,
    flags: OpenFlags,
) -> SyscallResult {
    let file = cx.kernel().anon_files.open_object(name, ops, flags & !OpenFlags::CLOSE_ON_EXEC);
    Ok(install(cx, file, flags)?.into())
}

/// Opens a new socket.
pub(crate) fn open_socket(cx: &SyscallCx<'_>, ops: Box<dyn FileOps>, flags: OpenFlags) -> Arc<OpenFile> {
    let place = &cx.kernel().anon_files.sockets;
    let inode = place.new_inode(cx);
    let path = place.path(Arc::clone(&inode) as Arc<_>, &format!("socket:[{}]", inode.number()));
    Arc::new(OpenFile::new(path, ops, flags | OpenFlags::READ_WRITE))
}

/// Gives `file` a descriptor; it is closed by `execve` if `flags` contain `O_CLOEXEC`.
///
/// # Errors
///
/// `EMFILE` if the caller has no free descriptor.
pub(crate) fn install(cx: &SyscallCx<'_>, file: Arc<OpenFile>, flags: OpenFlags) -> Result<i32, Fail> {
    cx.install(file, flags.contains(OpenFlags::CLOSE_ON_EXEC))
}

/// Gives two files descriptors, and writes these to `fds`; as [`install`].
///
/// # Errors
///
/// `EMFILE` if the caller has not two free descriptors, `EFAULT` if `fds` can't be written; none stays open then.
pub(crate) fn install_pair(
    cx: &SyscallCx<'_>,
    files: [Arc<OpenFile>; 2],
    fds: Address,
    flags: OpenFlags,
) -> SyscallResult {
    let [first, second] = files;
    let first = install(cx, first, flags)?;
    let installed = install(cx, second, flags).inspect_err(|_| drop(cx.files().remove(first)))?;
    let written = cx.memory().write(fds, &[first, installed]);
    written.inspect_err(|_| {
        drop(cx.files().remove(first));
        drop(cx.files().remove(installed));
    })?;
    Ok(Outcome::OK)
}
