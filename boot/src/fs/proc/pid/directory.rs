//! The directory itself.

use std::sync::Arc;

use super::{
    Subject, cgroup, cmdline, comm, environ, fd, limits, links, maps, mounts, net, stat, status, task, values,
};
use crate::error::Errno;
use crate::fs::Inode;
use crate::fs::kernfs::{Content, Directory, Entry, KernFs, Link, Node, Owner, Text};
use crate::kernel::Kernel;
use crate::prelude::errno;
use crate::task::{Pid, Task};

/// Makes the text of a file about a subject, as a task sees it.
type Make = fn(&Subject, &Task) -> Result<Vec<u8>, Errno>;
/// Sets a value of a subject.
type Set = fn(&Subject, &Task, &[u8]) -> Result<(), Errno>;

/// What an entry is.
#[derive(Clone, Copy)]
enum Kind {
    /// A file of text.
    Text(Make),
    /// A file of text that can be written.
    Settable(Make, Set),
    /// A link.
    Link(fn(&Subject) -> Arc<dyn Link>),
    /// A directory.
    Directory(fn(&Subject) -> Arc<dyn Directory>),
    /// A directory that only a process has, not a thread.
    ProcessDirectory(fn(&Subject) -> Arc<dyn Directory>),
}

/// All entries: name, permissions, what it is.
const ENTRIES: &[(&str, u32, Kind)] = &[
    ("auxv", 0o400, Kind::Text(values::auxv)),
    ("cgroup", 0o444, Kind::Text(cgroup::text)),
    ("cmdline", 0o444, Kind::Text(cmdline::text)),
    ("comm", 0o644, Kind::Settable(comm::text, comm::set)),
    ("cwd", 0o777, Kind::Link(|subject| links::cwd(subject))),
    ("environ", 0o400, Kind::Text(environ::text)),
    ("exe", 0o777, Kind::Link(|subject| links::exe(subject))),
    ("fd", 0o500, Kind::Directory(|subject| fd::links(subject))),
    ("fdinfo", 0o500, Kind::Directory(|subject| fd::infos(subject))),
    ("gid_map", 0o644, Kind::Text(values::id_map)),
    ("io", 0o400, Kind::Text(values::io)),
    ("limits", 0o444, Kind::Text(limits::text)),
    ("loginuid", 0o644, Kind::Text(values::no_login)),
    ("maps", 0o444, Kind::Text(maps::text)),
    ("mountinfo", 0o444, Kind::Text(mounts::mountinfo)),
    ("mounts", 0o444, Kind::Text(mounts::mounts)),
    ("net", 0o555, Kind::Directory(|_| net::directory())),
    ("ns", 0o511, Kind::Directory(|subject| links::namespaces(subject))),
    ("oom_adj", 0o644, Kind::Text(values::zero)),
    ("oom_score", 0o444, Kind::Text(values::zero)),
    ("oom_score_adj", 0o644, Kind::Settable(values::oom_score_adj, values::set_oom_score_adj)),
    ("personality", 0o400, Kind::Text(values::personality)),
    ("root", 0o777, Kind::Link(|subject| links::root(subject))),
    ("sessionid", 0o444, Kind::Text(values::no_login)),
    ("setgroups", 0o644, Kind::Text(values::setgroups)),
    ("smaps", 0o444, Kind::Text(maps::smaps)),
    ("stat", 0o444, Kind::Text(stat::text)),
    ("statm", 0o444, Kind::Text(stat::statm)),
    ("status", 0o444, Kind::Text(status::text)),
    ("task", 0o555, Kind::ProcessDirectory(|subject| task::directory(subject))),
    ("uid_map", 0o644, Kind::Text(values::id_map)),
    ("wchan", 0o444, Kind::Text(values::wchan)),
];

/// The position of `/proc/PID` inodes in the number: below it is the entry's index.
const INODE_SHIFT: u32 = 20;

/// Returns the number of an inode about the process or thread `id`: 0 is its directory.
pub(crate) fn inode(id: Pid, index: u64) -> u64 {
    (u64::from(id.unsigned_abs()) << INODE_SHIFT) + index + 0x1_0000
}

/// Returns the number that a name in decimal digits stands for.
pub(crate) fn parse(name: &[u8]) -> Option<i32> {
    let text = std::str::from_utf8(name).ok()?;
    let id: i32 = text.parse().ok()?;
    // Only the canonical form is a name: no sign, no leading zeros.
    (id > 0 && id.to_string() == text).then_some(id)
}

/// Returns the directory of a process, or of one of its threads by the thread's id: as in Linux it is not listed, but found.
///
/// # Errors
///
/// `ENOENT` if there is none.
pub(crate) fn process(
    kernel: &Arc<Kernel>,
    file_system: &Arc<KernFs>,
    id: Pid,
) -> Result<Arc<dyn Inode>, Errno> {
    let tgid = {
        let tree = kernel.processes.lock();
        match tree.process(id) {
            Some(_) => id,
            None => tree.task(id).map(|task| task.group().tgid()).ok_or(errno::ENOENT)?,
        }
    };
    Ok(new_inode(file_system, Subject { kernel: Arc::clone(kernel), tgid, tid: None }))
}

/// Makes the directory of a subject.
pub(super) fn new_inode(file_system: &Arc<KernFs>, subject: Subject) -> Arc<dyn Inode> {
    let (number, owner) = (inode(subject.id(), 0), owner(&subject));
    let directory = Content::Directory(Arc::new(SubjectDirectory { subject }));
    Node::inode(file_system, number, 0o555, owner, directory)
}

/// Returns who owns the files about a subject: its effective user and group.
pub(super) fn owner(subject: &Subject) -> Owner {
    let credentials = subject.task().map(|task| task.credentials());
    credentials.map_or_else(|_| Owner::default(), |c| Owner { uid: c.euid, gid: c.egid })
}

#[derive(Debug)]
struct SubjectDirectory {
    subject: Subject,
}

impl SubjectDirectory {
    /// Returns the entries that the subject has, with their indexes.
    fn known(&self) -> impl Iterator<Item = (u64, &'static (&'static str, u32, Kind))> {
        let is_thread = self.subject.tid.is_some();
        let has = move |kind: &Kind| !(is_thread && matches!(kind, Kind::ProcessDirectory(_)));
        (1..).zip(ENTRIES).filter(move |(_, (_, _, kind))| has(kind))
    }
}

impl Directory for SubjectDirectory {
    fn lookup(&self, file_system: &Arc<KernFs>, name: &[u8]) -> Result<Arc<dyn Inode>, Errno> {
        // The subject may have ended since its directory was found.
        self.subject.group().map_err(|_| errno::ENOENT)?;
        let (index, (_, permissions, kind)) =
            self.known().find(|(_, (known, ..))| known.as_bytes() == name).ok_or(errno::ENOENT)?;
        let content = kind.content(&self.subject);
        Ok(Node::inode(
            file_system,
            inode(self.subject.id(), index),
            *permissions,
            owner(&self.subject),
            content,
        ))
    }

    fn entries(&self, from: u64) -> Vec<Entry> {
        let entry = |(index, (name, _, kind)): (u64, &(&str, u32, Kind))| Entry {
            position: index,
            name: name.as_bytes().to_vec(),
            inode: inode(self.subject.id(), index),
            kind: kind.content(&self.subject).kind(),
        };
        self.known().filter(|(index, _)| *index > from).map(entry).collect()
    }
}

impl Kind {
    fn content(self, subject: &Subject) -> Content {
        match self {
            Self::Text(make) => {
                Content::Text(Arc::new(SubjectText { subject: subject.clone(), make, set: None }))
            }
            Self::Settable(make, set) => {
                Content::Text(Arc::new(SubjectText { subject: subject.clone(), make, set: Some(set) }))
            }
            Self::Link(make) => Content::Link(make(subject)),
            Self::Directory(make) | Self::ProcessDirectory(make) => Content::Directory(make(subject)),
        }
    }
}

struct SubjectText {
    subject: Subject,
    make: Make,
    set: Option<Set>,
}

impl Text for SubjectText {
    fn read(&self, task: &Arc<Task>) -> Result<Vec<u8>, Errno> {
        (self.make)(&self.subject, task)
    }

    fn write(&self, task: &Arc<Task>, value: &[u8]) -> Result<(), Errno> {
        let set = self.set.ok_or(errno::EIO)?;
        set(&self.subject, task, value.trim_ascii_end())
    }
}

impl std::fmt::Debug for SubjectText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SubjectText").field("subject", &self.subject.id()).finish_non_exhaustive()
    }
}
