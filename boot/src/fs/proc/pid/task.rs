//! `/proc/PID/task`.

use std::sync::Arc;

use super::Subject;
use super::directory::{inode, new_inode, parse};
use crate::error::Errno;
use crate::fs::kernfs::{Directory, Entry, KernFs};
use crate::fs::{FileKind, Inode};
use crate::prelude::errno;
use crate::task::{Pid, PidNamespace, number};

/// Makes the directory of the threads of a process.
pub(super) fn directory(subject: &Subject) -> Arc<dyn Directory> {
    Arc::new(Threads { subject: subject.clone() })
}

#[derive(Debug)]
struct Threads {
    subject: Subject,
}

impl Threads {
    fn ids(&self) -> Vec<Pid> {
        let tree = self.subject.kernel.processes.lock();
        let tasks =
            tree.process(self.subject.tgid).map(|process| process.tasks.as_slice()).unwrap_or_default();
        let mut ids: Vec<Pid> = tasks.iter().map(|task| task.tid()).collect();
        // A zombie still shows its first thread.
        if ids.is_empty() {
            ids.push(self.subject.tgid);
        }
        ids.sort_unstable();
        ids
    }
}

impl Directory for Threads {
    fn lookup(&self, file_system: &Arc<KernFs>, name: &[u8]) -> Result<Arc<dyn Inode>, Errno> {
        let namespace = PidNamespace::of(self.subject.tgid);
        let tid = parse(name)
            .map(|tid| namespace.pid(tid))
            .filter(|tid| self.ids().contains(tid))
            .ok_or(errno::ENOENT)?;
        Ok(new_inode(file_system, Subject { tid: Some(tid), ..self.subject.clone() }))
    }

    fn entries(&self, from: u64) -> Vec<Entry> {
        let entry = |tid: Pid| Entry {
            position: u64::from(number(tid).unsigned_abs()),
            name: number(tid).to_string().into_bytes(),
            inode: inode(tid, 0),
            kind: FileKind::Directory,
        };
        self.ids().into_iter().map(entry).filter(|entry| entry.position > from).collect()
    }
}
