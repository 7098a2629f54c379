//! Descriptors of processes (`pidfd_open(2)`).

use std::any::Any;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Pid, ThreadGroup, number};
use crate::context::SyscallCx;
use crate::error::{Fail, fail};
use crate::event::{Events, WaitQueue};
use crate::fs::{FileOps, OpenFile, OpenFlags, anon};
use crate::prelude::errno;

/// A descriptor of a process: readable when the process has ended.
#[derive(Debug)]
pub(crate) struct PidFd {
    group: Arc<ThreadGroup>,
}

/// What a checkpoint keeps of a [`PidFd`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PidFdImage {
    /// The process, which may be gone: then it is one that has ended, and is known by nobody else.
    pub(crate) tgid: Pid,
}

impl PidFd {
    /// Returns the process.
    pub(crate) fn group(&self) -> &Arc<ThreadGroup> {
        &self.group
    }

    /// Returns what a checkpoint keeps.
    pub(crate) fn to_image(&self) -> PidFdImage {
        PidFdImage { tgid: self.group.tgid() }
    }

    /// Makes it anew; `group` is the process that the image names.
    pub(crate) fn from_image(image: PidFdImage, group: &Arc<ThreadGroup>) -> Option<Self> {
        (group.tgid() == image.tgid).then(|| Self { group: Arc::clone(group) })
    }

    /// Opens a descriptor of the process `group`, which `execve` closes.
    ///
    /// # Errors
    ///
    /// `EMFILE` if the caller has no free descriptor.
    pub(crate) fn install(
        cx: &SyscallCx<'_>,
        group: &Arc<ThreadGroup>,
        flags: OpenFlags,
    ) -> Result<i32, Fail> {
        let flags = flags | OpenFlags::READ_WRITE;
        let ops = Box::new(Self { group: Arc::clone(group) });
        let file = cx.kernel().anon_files.open_object("[pidfd]", ops, flags);
        anon::install(cx, file, flags | OpenFlags::CLOSE_ON_EXEC)
    }

    /// Returns the process that `file` is a descriptor of.
    ///
    /// # Errors
    ///
    /// `EBADF` if it is none.
    pub(crate) fn group_of(file: &OpenFile) -> Result<&Arc<ThreadGroup>, Fail> {
        let ops: &dyn Any = file.ops();
        ops.downcast_ref::<Self>().map(|pidfd| &pidfd.group).ok_or(fail(errno::EBADF, "not a pidfd"))
    }
}

impl FileOps for PidFd {
    fn is_stream(&self) -> bool {
        true
    }

    fn poll(&self, _file: &OpenFile) -> Events {
        if self.group.has_ended() { Events::READABLE } else { Events::empty() }
    }

    fn poll_queue(&self) -> Option<&WaitQueue> {
        Some(&self.group.end_events)
    }

    fn fd_info(&self) -> String {
        let tgid = number(self.group.tgid());
        format!("Pid:\t{tgid}\nNSpid:\t{tgid}\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{TestKernel, saved};

    #[test]
    fn an_image_names_its_process() {
        let fixture = TestKernel::new();
        let (first, second) = (fixture.root_task(), fixture.root_task());
        let made = PidFd { group: Arc::clone(first.task.group()) };
        let image = saved(&made.to_image());
        let again = PidFd::from_image(image, first.task.group()).unwrap();
        assert_eq!(again.fd_info(), made.fd_info());
        assert!(PidFd::from_image(image, second.task.group()).is_none(), "another process");
    }
}
