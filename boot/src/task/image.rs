//! The saved form of what the worker of a task keeps, and of the registers of its thread.

use std::sync::Arc;

use cloister_abi::Registers;
use cloister_platform::FpuState;
use serde::{Deserialize, Serialize};

use super::futex::Wait;
use super::{Credentials, Pid, Task, TaskAttributes, TaskParts, TaskRun, ThreadGroup, UtsNamespace};
use crate::error::{Errno, Restart};
use crate::fs::pipe::OpeningImage;
use crate::fs::{FdTable, FsContext, Inode};
use crate::ipc::Ipc;
use crate::kernel::Kernel;
use crate::mm::Mm;
use crate::net::NetNamespace;
use crate::prelude::errno;
use crate::seccomp::{Filter, ModeImage};
use crate::signal::{SignalActions, TaskSignals};
use crate::syscall::Call;
use crate::time::Instant;

/// The saved form of a [`TaskRun`], with the state of the thread. What the call waits for is not saved: its handler
/// registers again when it is run again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TaskRunImage {
    registers: Registers,
    fpu: FpuState,
    call: Option<Call>,
    restart: Option<Restart>,
    restart_block: Option<Call>,
    held: Option<HeldImage>,
    clear_child_tid: u64,
    robust_list: u64,
}

/// The saved form of what a call holds while it waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum HeldImage {
    /// A place in the queues of futexes.
    Futex {
        /// Which of the call's waiters was woken.
        woken: Option<usize>,
    },
    /// The half-open end of a FIFO.
    Fifo {
        /// The id of the inode in the snapshot.
        inode: u64,
        /// The end.
        opening: OpeningImage,
    },
}

impl TaskRunImage {
    /// Saves `run` and `fpu`, the state of its thread; `inode_id` tells the ids of inodes.
    pub(crate) fn of(run: &TaskRun, fpu: FpuState, inode_id: &dyn Fn(&Arc<dyn Inode>) -> u64) -> Self {
        Self {
            registers: run.registers,
            fpu,
            call: run.call.clone(),
            restart: run.restart,
            restart_block: run.restart_block.clone(),
            held: run.held.as_ref().map(|held| held.to_image(inode_id)),
            clear_child_tid: run.clear_child_tid,
            robust_list: run.robust_list,
        }
    }

    /// Returns what the thread is to start with.
    ///
    /// # Errors
    ///
    /// `EINVAL` if no processor has so much of it. (Whether this one takes it, the platform says.)
    pub(crate) fn fpu(&self) -> Result<&FpuState, Errno> {
        if self.fpu.bytes().len() > FpuState::MAX_BYTES { Err(errno::EINVAL) } else { Ok(&self.fpu) }
    }

    /// Brings back what a task is made with.
    pub(crate) fn restore(&self, mm: Arc<Mm>, files: Arc<FdTable>) -> TaskRun {
        TaskRun {
            call: self.call.clone(),
            restart: self.restart,
            restart_block: self.restart_block.clone(),
            clear_child_tid: self.clear_child_tid,
            robust_list: self.robust_list,
            ..TaskRun::new(self.registers, mm, files)
        }
    }

    /// Puts back what the call of `task` held into `run`; `inode_of` finds inodes by their ids.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the inode is not there or the image makes no sense.
    pub(crate) fn restore_held(
        &self,
        run: &mut TaskRun,
        task: &Arc<Task>,
        inode_of: impl FnOnce(u64) -> Option<Arc<dyn Inode>>,
    ) -> Result<(), Errno> {
        run.held = match self.held {
            None | Some(HeldImage::Futex { woken: None }) => None,
            Some(HeldImage::Futex { woken: Some(woken) }) => {
                Some(Box::new(Wait::restore_woken(task, woken)?))
            }
            Some(HeldImage::Fifo { inode, opening }) => {
                Some(opening.restore(&inode_of(inode).ok_or(errno::EINVAL)?)?)
            }
        };
        Ok(())
    }
}

/// The saved form of a [`Task`]. What it shares with others is named by ids that the snapshot gives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TaskImage {
    /// Its id.
    pub(crate) tid: Pid,
    /// The id of its thread group.
    pub(crate) tgid: Pid,
    /// What its worker keeps.
    pub(crate) run: TaskRunImage,
    /// The id of the address space.
    pub(crate) mm: u64,
    /// The id of the descriptor table.
    pub(crate) files: u64,
    /// The id of root, current directory and umask.
    pub(crate) fs: u64,
    /// The id of the UTS namespace.
    pub(crate) uts: u64,
    /// The id of what signals do.
    pub(crate) actions: u64,
    /// Which system calls it may make.
    pub(crate) seccomp: ModeImage,
    name: Vec<u8>,
    credentials: Credentials,
    signals: TaskSignals,
    attributes: TaskAttributes,
    started: Instant,
    is_vfork_pending: bool,
}

/// The ids of what a task shares with others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SharedIds {
    /// Of the address space.
    pub(crate) mm: u64,
    /// Of the descriptor table.
    pub(crate) files: u64,
    /// Of root, current directory and umask.
    pub(crate) fs: u64,
    /// Of the UTS namespace.
    pub(crate) uts: u64,
    /// Of what signals do.
    pub(crate) actions: u64,
}

/// What a task shares with others, found again.
#[derive(Clone, Debug)]
pub(crate) struct SharedParts {
    /// The address space.
    pub(crate) mm: Arc<Mm>,
    /// The descriptor table.
    pub(crate) files: Arc<FdTable>,
    /// Root, current directory and umask.
    pub(crate) fs: Arc<FsContext>,
    /// The UTS namespace.
    pub(crate) uts: Arc<UtsNamespace>,
    /// The namespace of System V objects.
    pub(crate) ipc: Arc<Ipc>,
    /// The network namespace.
    pub(crate) net: Arc<NetNamespace>,
    /// What signals do.
    pub(crate) actions: Arc<SignalActions>,
}

impl TaskImage {
    /// Saves a task that stands still.
    ///
    /// # Errors
    ///
    /// `ESRCH` if its host thread is gone, `EBUSY` if a worker has it.
    pub(crate) fn of(
        task: &Task,
        shared: SharedIds,
        inode_id: &dyn Fn(&Arc<dyn Inode>) -> u64,
        filter_id: &dyn Fn(&Arc<Filter>) -> u64,
    ) -> Result<Self, Errno> {
        let fpu = task.thread().ok_or(errno::ESRCH)?.fpu()?;
        let run = TaskRunImage::of(&*task.try_run().ok_or(errno::EBUSY)?, fpu, inode_id);
        let SharedIds { mm, files, fs, uts, actions } = shared;
        let signals = task.signals.lock().clone();
        let attributes = task.attributes.lock().clone();
        Ok(Self {
            tid: task.tid(),
            tgid: task.group().tgid(),
            run,
            mm,
            files,
            fs,
            uts,
            actions,
            seccomp: task.seccomp.mode().to_image(filter_id),
            name: task.name(),
            credentials: (*task.credentials()).clone(),
            signals,
            attributes,
            started: task.started(),
            is_vfork_pending: task.vfork.is_pending(),
        })
    }

    /// Makes the task, without a thread; what its call held is for [`TaskRunImage::restore_held`].
    pub(crate) fn restore(
        self,
        kernel: &Arc<Kernel>,
        group: Arc<ThreadGroup>,
        shared: SharedParts,
    ) -> Arc<Task> {
        let run = self.run.restore(Arc::clone(&shared.mm), Arc::clone(&shared.files));
        let parts = TaskParts {
            name: self.name,
            credentials: Arc::new(self.credentials),
            mm: Some(shared.mm),
            files: Some(shared.files),
            fs: shared.fs,
            uts: shared.uts,
            ipc: shared.ipc,
            net: shared.net,
            actions: shared.actions,
        };
        let kernel = Arc::clone(kernel);
        let task = Task::started_at(self.started, kernel, self.tid, group, parts, self.signals, run);
        *task.attributes.lock() = self.attributes;
        task.vfork.set_pending(self.is_vfork_pending);
        task
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Fail;
    use crate::fs::pipe::open_fifo;
    use crate::fs::tmpfs::{Tmpfs, TmpfsOptions};
    use crate::fs::{NewInode, NewInodeKind, OpenFlags};
    use crate::syscall::SyscallState;
    use crate::task::futex::{FutexKey, FutexWord, Sharing, wait, wake};
    use crate::testing::{MEMORY_START, TestKernel, saved};

    fn fpu() -> FpuState {
        FpuState::from_bytes((0..=255_u8).cycle().take(832).collect::<Vec<_>>())
    }

    fn fifo() -> Arc<dyn Inode> {
        let new = NewInode { kind: NewInodeKind::Fifo, permissions: 0o600, uid: 0, gid: 0 };
        Tmpfs::new_root(TmpfsOptions::default()).create(b"fifo", &new).unwrap()
    }

    #[test]
    fn registers_and_a_waiting_call_come_back() {
        let kernel = TestKernel::new();
        let mut task = kernel.root_task();
        let cx = task.cx();
        let began = cx.kernel().clock.monotonic();
        let call = Call {
            number: 202,
            arguments: [1, 2, 3, u64::MAX, 5, 6],
            state: Some(SyscallState::Deadline(Some(began))),
            began: Some(began),
            has_waited: true,
        };
        let run = cx.run;
        run.registers =
            Registers { rip: 0x40_1000, rsp: 0x7fff_0000, fs_base: 7, orig_rax: 202, ..Registers::default() };
        run.restart_block = Some(Call { number: 35, ..call.clone() });
        run.call = Some(call);
        run.restart = Some(Restart::Block);
        (run.clear_child_tid, run.robust_list) = (0x1000, 0x2000);
        let image = saved(&TaskRunImage::of(run, fpu(), &|_| 0));
        let restored = image.restore(Arc::clone(&run.mm), Arc::clone(&run.files));
        assert_eq!(TaskRunImage::of(&restored, fpu(), &|_| 0), image);
        assert_eq!((restored.registers, restored.call.as_ref()), (run.registers, run.call.as_ref()));
        assert_eq!(image.fpu(), Ok(&fpu()));
        let huge = FpuState::from_bytes(vec![0; FpuState::MAX_BYTES + 1]);
        assert_eq!(TaskRunImage::of(run, huge, &|_| 0).fpu(), Err(errno::EINVAL));
    }

    #[test]
    fn a_half_open_fifo_is_so_for_others_after_a_restore() {
        let kernel = TestKernel::new();
        let (mut reader, mut writer) = (kernel.root_task(), kernel.root_task());
        let before = fifo();
        let opened = open_fifo(&mut reader.cx(), &before, OpenFlags::empty());
        assert!(matches!(opened, Err(Fail::Park(_))));
        let image = saved(&TaskRunImage::of(reader.cx().run, fpu(), &|_| 5));
        reader.cx().run.held = None;

        let after = fifo();
        let task = Arc::clone(&reader.task);
        let inode_of = |id| (id == 5).then(|| Arc::clone(&after));
        image.restore_held(reader.cx().run, &task, inode_of).unwrap();
        assert_eq!(TaskRunImage::of(reader.cx().run, fpu(), &|_| 5).held, image.held);
        let flags = OpenFlags::WRITE_ONLY | OpenFlags::NON_BLOCKING;
        drop(open_fifo(&mut writer.cx(), &after, flags).expect("somebody is about to read"));
        // The writer is gone again; that it was there is not forgotten.
        let image = saved(&TaskRunImage::of(reader.cx().run, fpu(), &|_| 5));
        let again = fifo();
        image.restore_held(reader.cx().run, &task, |_| Some(Arc::clone(&again))).unwrap();
        open_fifo(&mut reader.cx(), &again, OpenFlags::empty()).expect("it has met a writer");

        let run = reader.cx().run;
        assert_eq!(image.restore_held(run, &task, |_| None), Err(errno::EINVAL));
        let directory: Arc<dyn Inode> = Tmpfs::new_root(TmpfsOptions::default());
        assert_eq!(image.restore_held(run, &task, |_| Some(directory)), Err(errno::EINVAL));
    }

    #[test]
    fn a_wake_up_is_not_lost() {
        let kernel = TestKernel::new();
        let mut task = kernel.root_task();
        let word = FutexWord { address: MEMORY_START, value: 0, bitset: u32::MAX, sharing: Sharing::Private };
        let mut cx = task.cx();
        assert!(matches!(wait(&mut cx, word, None, Restart::Sys), Err(Fail::Park(_))));
        let image = TaskRunImage::of(cx.run, fpu(), &|_| 0);
        assert_eq!(image.held, Some(HeldImage::Futex { woken: None }));
        let key = FutexKey::new(&cx.run.mm, MEMORY_START, Sharing::Private).unwrap();
        assert_eq!(wake(cx.kernel(), &key, 1, u32::MAX).unwrap(), 1);
        let mut image = saved(&TaskRunImage::of(cx.run, fpu(), &|_| 0));
        cx.run.held = None;
        let owner = Arc::clone(cx.task);
        image.restore_held(cx.run, &owner, |_| None).unwrap();
        wait(&mut cx, word, None, Restart::Sys).expect("it was woken before the checkpoint");
        image.held = Some(HeldImage::Futex { woken: Some(usize::MAX) });
        assert_eq!(image.restore_held(cx.run, &owner, |_| None), Err(errno::EINVAL));
    }
}
