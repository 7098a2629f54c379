//! The file of a program: whether it may be executed, and reading it.

use std::sync::Arc;

use cloister_abi::Errno;

use crate::context::SyscallCx;
use crate::error::{Fail, fail};
use crate::fs::{
    Access, FileCx, FileKind, Follow, MapSource, MountFlags, OpenCx, OpenFile, OpenFlags, Path, Walker,
    permission,
};
use crate::mm::MemoryObject;
use crate::prelude::errno;
use crate::task::Task;

/// How much of a file is read at once, when it is first looked at: the headers of nearly all programs.
const HEAD_BYTES: usize = 4096;

/// A file that may be executed, and its beginning.
#[derive(Debug)]
pub(super) struct Executable {
    /// The file.
    pub(super) file: Arc<OpenFile>,
    head: Vec<u8>,
}

impl Executable {
    /// Opens what `path` names, starting at `base`.
    ///
    /// # Errors
    ///
    /// `EACCES` if it is not a regular file, may not be executed, or is mounted with `noexec`; what the path walk and the
    /// file system say.
    pub(super) fn open(cx: &SyscallCx<'_>, base: Path, path: &[u8], follow: Follow) -> Result<Self, Fail> {
        let mut walker = Walker::new(cx.task);
        let found = walker.lookup(base, path, follow)?;
        if follow == Follow::No && found.inode().kind() == FileKind::Symlink {
            return Err(fail(errno::ELOOP, "a symbolic link that is not to be followed"));
        }
        Self::open_path(cx.task, walker.credentials(), found)
    }

    /// Opens a file that was found before.
    ///
    /// # Errors
    ///
    /// As [`Executable::open`].
    pub(super) fn open_path(
        task: &Arc<Task>,
        credentials: &crate::task::Credentials,
        path: Path,
    ) -> Result<Self, Fail> {
        if path.inode().kind() != FileKind::Regular {
            return Err(fail(errno::EACCES, "not a regular file"));
        }
        if path.mount.flags().contains(MountFlags::NO_EXECUTE) {
            return Err(fail(errno::EACCES, "mounted with `noexec`"));
        }
        permission::check(credentials, &path, Access::EXECUTE)?;
        let open_cx = OpenCx { task, path: &path, flags: OpenFlags::empty() };
        let ops = Arc::clone(path.inode()).open(&open_cx)?;
        let file = Arc::new(OpenFile::new(path, ops, OpenFlags::empty()));
        let mut head = vec![0; HEAD_BYTES];
        let len = read_at(task, &file, 0, &mut head)?;
        head.truncate(len);
        Ok(Self { file, head })
    }

    /// Returns the first bytes: at most 4,096.
    pub(super) fn head(&self) -> &[u8] {
        &self.head
    }

    /// Fills `into` from `offset`.
    ///
    /// # Errors
    ///
    /// `ENOEXEC` if the file ends before, or what the file system says.
    pub(super) fn read_exact_at(&self, task: &Arc<Task>, offset: u64, into: &mut [u8]) -> Result<(), Errno> {
        let start = usize::try_from(offset).map_err(|_| errno::ENOEXEC)?;
        let in_head = start.checked_add(into.len()).and_then(|end| self.head.get(start..end));
        if let Some(bytes) = in_head {
            into.copy_from_slice(bytes);
            return Ok(());
        }
        if read_at(task, &self.file, offset, into)? < into.len() {
            return Err(errno::ENOEXEC);
        }
        Ok(())
    }

    /// Returns what its mappings show.
    ///
    /// # Errors
    ///
    /// `ENOEXEC` if it can't be mapped.
    pub(super) fn object(&self, task: &Arc<Task>) -> Result<Arc<MemoryObject>, Fail> {
        match self.file.ops().map(&FileCx { task, file: &self.file }) {
            Ok(MapSource::Host(host)) => Ok(MemoryObject::of_file(host, Arc::clone(&self.file))?),
            Ok(MapSource::Anonymous) | Err(errno::ENODEV) => {
                Err(fail(errno::ENOEXEC, "the file can't be mapped"))
            }
            Err(errno) => Err(fail(errno, "the file can't be mapped")),
        }
    }
}

/// Reads at `offset` until `into` is full or the file ends. Returns how much that is.
fn read_at(task: &Arc<Task>, file: &Arc<OpenFile>, offset: u64, into: &mut [u8]) -> Result<usize, Errno> {
    let cx = FileCx { task, file };
    let mut done = 0;
    loop {
        let Some(mut rest) = into.get_mut(done..).filter(|rest| !rest.is_empty()) else { return Ok(done) };
        let at = offset.checked_add(done as u64).ok_or(errno::ENOEXEC)?;
        match file.ops().read_at(&cx, at, &mut rest)? {
            0 => return Ok(done),
            len => done += len,
        }
    }
}
