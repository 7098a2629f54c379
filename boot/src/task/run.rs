//! What only the worker that runs a task uses.

use std::any::Any;
use std::fmt::Debug;
use std::sync::Arc;

use cloister_abi::Registers;

use super::image::HeldImage;
use crate::error::Restart;
use crate::event::Registration;
use crate::fs::{FdTable, Inode};
use crate::kernel::TimerHandle;
use crate::mm::Mm;
use crate::syscall::Call;

/// What only the worker that runs a task uses; others see copies of some of it in the task.
#[derive(Debug)]
pub(crate) struct TaskRun {
    /// The general registers.
    pub(crate) registers: Registers,
    /// The address space; [`Task::mm`](super::Task::mm) is the copy for others.
    pub(crate) mm: Arc<Mm>,
    /// The descriptor table; [`Task::files`](super::Task::files) is the copy for others.
    pub(crate) files: Arc<FdTable>,
    /// The system call that the task is in.
    pub(crate) call: Option<Call>,
    /// What becomes of `call`, which a signal has interrupted.
    pub(crate) restart: Option<Restart>,
    /// The call that a signal interrupted, which `restart_syscall` goes on with.
    pub(crate) restart_block: Option<Call>,
    /// The queues whose wake-up it waits for.
    pub(crate) registrations: Vec<Registration>,
    /// What the call holds while it waits, dropped when it is over.
    pub(crate) held: Option<Box<dyn Held>>,
    /// The timer of the deadline of its wait.
    pub(crate) deadline_timer: Option<TimerHandle>,
    /// Where to store zero and wake a futex when the task ends (`set_tid_address(2)`); 0 for nowhere.
    pub(crate) clear_child_tid: u64,
    /// The head of the list of robust futexes (`set_robust_list(2)`); 0 for none.
    pub(crate) robust_list: u64,
}

/// What a call holds while it waits: the half-open end of a FIFO, its place in the queue of a futex.
pub(crate) trait Held: Any + Send + Sync + Debug {
    /// Returns its saved form; `inode_id` tells the ids of inodes.
    fn to_image(&self, inode_id: &dyn Fn(&Arc<dyn Inode>) -> u64) -> HeldImage;
}

impl TaskRun {
    /// Takes what the call held when it went to wait; what is none of `T` is dropped.
    pub(crate) fn take_held<T: Held>(&mut self) -> Option<Box<T>> {
        let held: Box<dyn Any> = self.held.take()?;
        held.downcast().ok()
    }

    /// Returns the state of a task that starts with `registers`.
    pub(crate) fn new(registers: Registers, mm: Arc<Mm>, files: Arc<FdTable>) -> Self {
        Self {
            registers,
            mm,
            files,
            call: None,
            restart: None,
            restart_block: None,
            registrations: Vec::new(),
            held: None,
            deadline_timer: None,
            clear_child_tid: 0,
            robust_list: 0,
        }
    }
}
