//! Whom a directory is about.

use std::sync::Arc;

use crate::error::Errno;
use crate::kernel::Kernel;
use crate::mm::Mm;
use crate::prelude::errno;
use crate::task::{Capabilities, Pid, Task, ThreadGroup};

/// The process or thread that a directory is about. It may be gone when a file is read.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    /// The kernel.
    pub(super) kernel: Arc<Kernel>,
    /// The process.
    pub(super) tgid: Pid,
    /// The thread, in `/proc/PID/task/TID`.
    pub(super) tid: Option<Pid>,
}

impl Subject {
    /// Returns the id that its directory is named after.
    pub(super) fn id(&self) -> Pid {
        self.tid.unwrap_or(self.tgid)
    }

    /// Returns its thread group, a zombie's too.
    ///
    /// # Errors
    ///
    /// `ESRCH` if it is gone.
    pub(super) fn group(&self) -> Result<Arc<ThreadGroup>, Errno> {
        self.kernel.processes.group(self.tgid).ok_or(errno::ESRCH)
    }

    /// Returns the thread, or the first living one of the process.
    ///
    /// # Errors
    ///
    /// `ESRCH` if it is gone or a zombie.
    pub(super) fn task(&self) -> Result<Arc<Task>, Errno> {
        let tree = self.kernel.processes.lock();
        let process = tree.process(self.tgid).ok_or(errno::ESRCH)?;
        let task = match self.tid {
            Some(tid) => process.tasks.iter().find(|task| task.tid() == tid),
            None => process.tasks.first(),
        };
        task.cloned().ok_or(errno::ESRCH)
    }

    /// Returns its address space; `None` for a zombie.
    pub(super) fn mm(&self) -> Option<Arc<Mm>> {
        self.task().ok()?.mm()
    }

    /// Returns its thread if `reader` may look into it (`ptrace(2)`, "Ptrace access mode checking").
    ///
    /// # Errors
    ///
    /// `EACCES` if it may not, `ESRCH` if it is gone.
    pub(super) fn task_for(&self, reader: &Task) -> Result<Arc<Task>, Errno> {
        let task = self.task()?;
        let (own, other) = (reader.credentials(), task.credentials());
        let is_same_user = [other.uid, other.euid, other.suid].iter().all(|uid| *uid == own.fsuid)
            && [other.gid, other.egid, other.sgid].iter().all(|gid| *gid == own.fsgid)
            && own.permitted.contains(other.permitted);
        if task.tid() == reader.tid()
            || task.group().tgid() == reader.group().tgid()
            || is_same_user
            || own.has(Capabilities::SYS_PTRACE)
        {
            Ok(task)
        } else {
            Err(errno::EACCES)
        }
    }
}
