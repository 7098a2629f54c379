//! `ReadFile`: a file of a container, for who controls the sandbox.

use std::sync::Arc;

use cloister_proto::control::{ErrorKind, Failure, ReadFile, ReadFileReply};

use super::create::failed;
use super::process::superuser;
use crate::error::{Errno, Fail};
use crate::fs::{FileCx, FileKind, Follow, OpenCx, OpenFile, OpenFlags, Path, Walker};
use crate::kernel::Kernel;
use crate::prelude::errno;
use crate::task::Task;

/// The most bytes of one reply.
const MOST: u32 = 1 << 20;

/// Reads a part of a file, as the container's superuser.
///
/// # Errors
///
/// As [`ReadFile`] says.
pub(super) fn read_file(kernel: &Kernel, request: &ReadFile) -> Result<ReadFileReply, Failure> {
    let container = kernel.containers.get(&request.id)?;
    let task = container.task(kernel).ok_or_else(|| {
        Failure::new(ErrorKind::InvalidState, format!("container `{}` has no process", request.id))
    })?;
    let what = || format!("read `{}`", String::from_utf8_lossy(&request.path));
    let mut walker = Walker::with_credentials(&task, Arc::new(superuser()));
    let found = walker.lookup(container.fs.root(), &request.path, Follow::Yes);
    let read = found.and_then(|path| {
        // Others may never end, or wait for somebody.
        match path.inode().kind() {
            FileKind::Regular => read(&task, path, request),
            FileKind::Directory => Err(errno::EISDIR),
            _ => Err(errno::EINVAL),
        }
    });
    read.map(|bytes| ReadFileReply { bytes }).map_err(|errno| failed(what(), errno))
}

fn read(task: &Arc<Task>, path: Path, request: &ReadFile) -> Result<Vec<u8>, Errno> {
    let cx = OpenCx { task, path: &path, flags: OpenFlags::empty() };
    let ops = Arc::clone(path.inode()).open(&cx).map_err(|failure| match failure {
        Fail::Errno(errno, _) => errno,
        // Only special files make an open wait.
        Fail::Restart(_) | Fail::Park(_) => errno::EINTR,
    })?;
    let file = Arc::new(OpenFile::new(path, ops, OpenFlags::empty()));
    let cx = FileCx { task, file: &file };
    let mut bytes = vec![0; usize::try_from(request.size.min(MOST)).map_err(|_| errno::EINVAL)?];
    let len = file.ops().read_at(&cx, request.offset, &mut &mut *bytes)?;
    bytes.truncate(len);
    Ok(bytes)
}
