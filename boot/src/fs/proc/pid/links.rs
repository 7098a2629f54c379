//! `/proc/PID/cwd`, `exe`, `root` and `ns/*`.

use std::sync::Arc;

use super::Subject;
use super::directory::{inode, owner};
use crate::error::Errno;
use crate::fs::kernfs::{Content, Directory, Entry, KernFs, Link, Node};
use crate::fs::{FileKind, Inode, Path};
use crate::prelude::errno;
use crate::task::Task;

/// A link to a place that is no matter of names.
#[derive(Debug)]
pub(super) struct PlaceLink {
    subject: Subject,
    place: fn(&Subject, &Task) -> Result<Path, Errno>,
}

impl Link for PlaceLink {
    fn target(&self, task: &Task) -> Result<Vec<u8>, Errno> {
        let place = (self.place)(&self.subject, task)?;
        Ok(place.to_text(&task.fs().root()).for_proc())
    }

    fn path(&self, task: &Task) -> Option<Result<Path, Errno>> {
        Some((self.place)(&self.subject, task))
    }
}

/// Makes the link to the current directory.
pub(super) fn cwd(subject: &Subject) -> Arc<dyn Link> {
    let place = |subject: &Subject, reader: &Task| Ok(subject.task_for(reader)?.fs().cwd());
    Arc::new(PlaceLink { subject: subject.clone(), place })
}

/// Makes the link to the root directory.
pub(super) fn root(subject: &Subject) -> Arc<dyn Link> {
    let place = |subject: &Subject, reader: &Task| Ok(subject.task_for(reader)?.fs().root());
    Arc::new(PlaceLink { subject: subject.clone(), place })
}

/// Makes the link to the program.
pub(super) fn exe(subject: &Subject) -> Arc<dyn Link> {
    let place = |subject: &Subject, reader: &Task| {
        let mm = subject.task_for(reader)?.mm().ok_or(errno::ENOENT)?;
        mm.program().file.map(|file| file.path().clone()).ok_or(errno::ENOENT)
    };
    Arc::new(PlaceLink { subject: subject.clone(), place })
}

/// The kinds of namespaces. All processes share the ones that the sandbox started with; the numbers are as fixed as
/// Linux' for its first ones.
const NAMESPACES: &[(&str, &str, u64)] = &[
    ("cgroup", "cgroup", 4_026_531_835),
    ("ipc", "ipc", 4_026_531_839),
    ("mnt", "mnt", 4_026_531_841),
    ("net", "net", 4_026_531_840),
    ("pid", "pid", 4_026_531_836),
    ("pid_for_children", "pid", 4_026_531_836),
    ("user", "user", 4_026_531_837),
    ("uts", "uts", 4_026_531_838),
];

/// Makes the directory of the namespaces.
pub(super) fn namespaces(subject: &Subject) -> Arc<dyn Directory> {
    Arc::new(Namespaces { subject: subject.clone() })
}

#[derive(Debug)]
struct Namespaces {
    subject: Subject,
}

#[derive(Debug)]
struct NamespaceLink(&'static str, u64);

impl Link for NamespaceLink {
    fn target(&self, _task: &Task) -> Result<Vec<u8>, Errno> {
        Ok(format!("{}:[{}]", self.0, self.1).into_bytes())
    }

    fn path(&self, _task: &Task) -> Option<Result<Path, Errno>> {
        Some(Err(errno::EACCES))
    }
}

/// Entries of `ns` in the inode numbers.
const FIRST_INDEX: u64 = 0x200;

impl Directory for Namespaces {
    fn lookup(&self, file_system: &Arc<KernFs>, name: &[u8]) -> Result<Arc<dyn Inode>, Errno> {
        let (index, (_, kind, number)) = (FIRST_INDEX..)
            .zip(NAMESPACES)
            .find(|(_, (known, ..))| known.as_bytes() == name)
            .ok_or(errno::ENOENT)?;
        let link = Content::Link(Arc::new(NamespaceLink(kind, *number)));
        Ok(Node::inode(file_system, inode(self.subject.id(), index), 0o777, owner(&self.subject), link))
    }

    fn entries(&self, from: u64) -> Vec<Entry> {
        let entry = |(position, (name, ..)): (u64, &(&str, &str, u64))| Entry {
            position,
            name: name.as_bytes().to_vec(),
            inode: inode(self.subject.id(), FIRST_INDEX + position - 1),
            kind: FileKind::Symlink,
        };
        (1..).zip(NAMESPACES).filter(|(position, _)| *position > from).map(entry).collect()
    }
}
