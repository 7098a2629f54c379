//! `/proc/PID/fd` and `/proc/PID/fdinfo`.

use std::fmt::Write;
use std::sync::Arc;

use super::Subject;
use super::directory::{inode, owner};
use crate::error::Errno;
use crate::fs::kernfs::{Content, Directory, Entry, KernFs, Link, Node, Text};
use crate::fs::{FileKind, Inode, OpenFile, OpenFlags, Path};
use crate::prelude::errno;
use crate::task::Task;

/// Makes the directory of links to the open files.
pub(super) fn links(subject: &Subject) -> Arc<dyn Directory> {
    Arc::new(Fds { subject: subject.clone(), is_info: false })
}

/// Makes the directory of what is known of the open files.
pub(super) fn infos(subject: &Subject) -> Arc<dyn Directory> {
    Arc::new(Fds { subject: subject.clone(), is_info: true })
}

#[derive(Debug)]
struct Fds {
    subject: Subject,
    is_info: bool,
}

/// Entries of `fd` and `fdinfo` in the inode numbers; the guest's descriptors are fewer than the distance.
const FIRST_LINK: u64 = 0x1000;
const FIRST_INFO: u64 = 0x8_0000;

impl Fds {
    fn inode(&self, fd: i32) -> u64 {
        let first = if self.is_info { FIRST_INFO } else { FIRST_LINK };
        inode(self.subject.id(), first + u64::from(fd.unsigned_abs()))
    }
}

impl Directory for Fds {
    fn lookup(&self, file_system: &Arc<KernFs>, name: &[u8]) -> Result<Arc<dyn Inode>, Errno> {
        let fd: i32 =
            std::str::from_utf8(name).ok().and_then(|name| name.parse().ok()).ok_or(errno::ENOENT)?;
        let open = Fd { subject: self.subject.clone(), fd };
        let file = open.file().map_err(|_| errno::ENOENT)?;
        let (permissions, content) = if self.is_info {
            (0o400, Content::Text(Arc::new(open)))
        } else {
            // The owner's bits tell how it is open, as Linux does.
            let flags = file.flags();
            let bits = 0o100
                | if flags.is_readable() { 0o400 } else { 0 }
                | if flags.is_writable() { 0o200 } else { 0 };
            (bits, Content::Link(Arc::new(open) as Arc<dyn Link>))
        };
        Ok(Node::inode(file_system, self.inode(fd), permissions, owner(&self.subject), content))
    }

    fn entries(&self, from: u64) -> Vec<Entry> {
        let Some(files) = self.subject.task().ok().and_then(|task| task.files()) else { return Vec::new() };
        let kind = if self.is_info { FileKind::Regular } else { FileKind::Symlink };
        let entry = |(fd, _, _): (i32, _, _)| Entry {
            position: u64::from(fd.unsigned_abs()) + 1,
            name: fd.to_string().into_bytes(),
            inode: self.inode(fd),
            kind,
        };
        files.entries().into_iter().map(entry).filter(|entry| entry.position > from).collect()
    }
}

/// A descriptor of the subject.
#[derive(Debug)]
struct Fd {
    subject: Subject,
    fd: i32,
}

impl Fd {
    fn file(&self) -> Result<Arc<OpenFile>, Errno> {
        let files = self.subject.task()?.files().ok_or(errno::ENOENT)?;
        files.get(self.fd).ok_or(errno::ENOENT)
    }
}

impl Link for Fd {
    fn target(&self, task: &Task) -> Result<Vec<u8>, Errno> {
        self.subject.task_for(task)?;
        Ok(self.file()?.path().to_text(&task.fs().root()).for_proc())
    }

    fn path(&self, task: &Task) -> Option<Result<Path, Errno>> {
        Some(self.subject.task_for(task).and_then(|_| Ok(self.file()?.path().clone())))
    }
}

impl Text for Fd {
    fn read(&self, task: &Arc<Task>) -> Result<Vec<u8>, Errno> {
        let subject = self.subject.task_for(task)?;
        let file = self.file()?;
        let mut flags = file.flags();
        let descriptor_flags = subject.files().and_then(|files| files.flags(self.fd)).unwrap_or_default();
        flags.set(OpenFlags::CLOSE_ON_EXEC, !descriptor_flags.is_empty());
        // The file may be the very one that is being read.
        let position = file.try_position().map_or(0, |position| *position);
        let path = file.path();
        let mut text = format!("pos:\t{position}\nflags:\t0{:o}\nmnt_id:\t{}\n", flags.bits(), path.mount.id);
        if let Ok(attributes) = file.inode().attributes() {
            // Writing to a string can't fail.
            let _ = writeln!(text, "ino:\t{}", attributes.inode);
        }
        text += &file.ops().fd_info();
        Ok(text.into_bytes())
    }
}
