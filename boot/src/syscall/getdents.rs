//! `getdents(2)`, `getdents64(2)`.

use super::{Address, Fd, UInt};
use crate::error::{SyscallResult, fail};
use crate::fs::{DirectorySink, FileCx, FileKind};
use crate::prelude::{SyscallCx, errno};

/// The most bytes that are gathered at once.
const MAX_BYTES: usize = 256 << 10;

/// The form of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// `struct linux_dirent`: the kind in the last byte.
    Old,
    /// `struct linux_dirent64`: the kind before the name.
    New,
}

/// Gathers entries in the guest's form.
#[derive(Debug)]
struct Buffer {
    bytes: Vec<u8>,
    room: usize,
    form: Form,
    /// An entry did not fit.
    is_full: bool,
}

impl DirectorySink for Buffer {
    fn entry(&mut self, inode: u64, next: u64, kind: FileKind, name: &[u8]) -> bool {
        // The header, the name with its NUL, and for the old form the kind.
        let header = if self.form == Form::New { 19 } else { 18 };
        let trailer = if self.form == Form::New { 1 } else { 2 };
        let len = (header + name.len() + trailer).next_multiple_of(8);
        let Some(record_len) = u16::try_from(len).ok().filter(|_| self.bytes.len() + len <= self.room) else {
            self.is_full = true;
            return false;
        };
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&inode.to_ne_bytes());
        self.bytes.extend_from_slice(&next.to_ne_bytes());
        self.bytes.extend_from_slice(&record_len.to_ne_bytes());
        if self.form == Form::New {
            self.bytes.push(kind.to_dirent_type());
        }
        self.bytes.extend_from_slice(name);
        self.bytes.resize(start + len, 0);
        if self.form == Form::Old
            && let Some(last) = self.bytes.last_mut()
        {
            *last = kind.to_dirent_type();
        }
        true
    }
}

/// Handles `getdents(fd, dirp, count)`.
pub(super) fn sys_getdents(cx: &mut SyscallCx<'_>, fd: Fd, dirp: Address, count: UInt) -> SyscallResult {
    getdents(cx, fd, dirp, count, Form::Old)
}

/// Handles `getdents64(fd, dirp, count)`.
pub(super) fn sys_getdents64(cx: &mut SyscallCx<'_>, fd: Fd, dirp: Address, count: UInt) -> SyscallResult {
    getdents(cx, fd, dirp, count, Form::New)
}

fn getdents(cx: &SyscallCx<'_>, fd: Fd, dirp: Address, count: UInt, form: Form) -> SyscallResult {
    let file = cx.file(fd)?;
    if file.inode().kind() != FileKind::Directory {
        return Err(fail(errno::ENOTDIR, "not a directory"));
    }
    if file.path().dentry.is_removed() {
        return Err(fail(errno::ENOENT, "the directory was removed"));
    }
    let room = (count as usize).min(MAX_BYTES);
    let mut buffer = Buffer { bytes: Vec::with_capacity(room.min(32 << 10)), room, form, is_full: false };
    let mut position = file.position();
    let mut next = *position;
    file.ops().read_directory(&FileCx { task: cx.task, file: &file }, &mut next, &mut buffer)?;
    if buffer.bytes.is_empty() && buffer.is_full {
        return Err(fail(errno::EINVAL, "`count` is too small for an entry"));
    }
    cx.memory().write_bytes(dirp, &buffer.bytes)?;
    *position = next;
    Ok(buffer.bytes.len().into())
}
