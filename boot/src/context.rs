//! What the handler of a system call works with.

use std::sync::Arc;
use std::time::Duration;

use cloister_abi::Registers;

use crate::error::{Errno, Fail, Restart, fail};
use crate::event::{Events, WaitQueue};
use crate::fs::{FdFlags, FdTable, OpenFile};
use crate::kernel::{Kernel, Park};
use crate::mm::{Mm, UserMemory};
use crate::prelude::errno;
use crate::syscall::{Fd, SyscallState};
use crate::task::{Credentials, Pid, Resource, Task, TaskRun, ThreadGroup};
use crate::time::Instant;

/// What the handler of a system call works with: the calling task, and what only its worker may touch.
#[derive(Debug)]
pub(crate) struct SyscallCx<'a> {
    /// The calling task.
    pub(crate) task: &'a Arc<Task>,
    /// What only the worker that runs the task uses.
    pub(crate) run: &'a mut TaskRun,
}

impl SyscallCx<'_> {
    /// Returns the kernel.
    pub(crate) fn kernel(&self) -> &Arc<Kernel> {
        self.task.kernel()
    }

    /// Returns the caller's thread group (process).
    pub(crate) fn group(&self) -> &Arc<ThreadGroup> {
        self.task.group()
    }

    /// Returns the id that `number` stands for in the caller's PID namespace; one that nothing has if it stands for none.
    pub(crate) fn pid(&self, number: i32) -> Pid {
        self.task.pid_namespace().pid(number)
    }

    /// Returns the number by which the caller knows `pid`; 0 if that is of another PID namespace.
    pub(crate) fn number(&self, pid: Pid) -> i32 {
        self.task.pid_namespace().number(pid)
    }

    /// Returns the caller's registers.
    pub(crate) fn registers(&self) -> &Registers {
        &self.run.registers
    }

    /// Returns the caller's registers, to be changed.
    pub(crate) fn registers_mut(&mut self) -> &mut Registers {
        &mut self.run.registers
    }

    /// Returns the caller's address space.
    pub(crate) fn mm(&self) -> &Arc<Mm> {
        &self.run.mm
    }

    /// Returns access to the caller's memory.
    pub(crate) fn memory(&self) -> UserMemory {
        UserMemory::new(Arc::clone(&self.run.mm))
    }

    /// Returns the caller's descriptor table.
    pub(crate) fn files(&self) -> &Arc<FdTable> {
        &self.run.files
    }

    /// Returns the caller's credentials.
    pub(crate) fn credentials(&self) -> Arc<Credentials> {
        self.task.credentials()
    }

    /// Gives the caller other credentials. Those that can do more, or that are somebody else's, take away what only the
    /// one before has asked for (`prctl(2)`, `PR_SET_DUMPABLE` and `PR_SET_PDEATHSIG`).
    pub(crate) fn set_credentials(&self, new: Credentials) {
        let new = Arc::new(new);
        let old = std::mem::replace(&mut self.task.parts().credentials, Arc::clone(&new));
        let ids = |who: &Credentials| [who.euid, who.egid, who.fsuid, who.fsgid];
        if ids(&old) != ids(&new) || !old.permitted.contains(new.permitted) {
            let mut attributes = self.task.attributes.lock();
            attributes.is_dumpable = false;
            attributes.parent_death_signal = None;
        }
    }

    /// Returns the soft limit of a resource for the caller's process; `u64::MAX` for none.
    pub(crate) fn rlimit(&self, resource: Resource) -> u64 {
        self.group().rlimit(resource)
    }

    /// Returns the open file that `fd` refers to, `O_PATH` ones included.
    ///
    /// # Errors
    ///
    /// `EBADF` if it is not open.
    pub(crate) fn any_file(&self, fd: Fd) -> Result<Arc<OpenFile>, Fail> {
        self.files().get(fd.0).ok_or(fail(errno::EBADF, "not open"))
    }

    /// Returns the open file that `fd` refers to.
    ///
    /// # Errors
    ///
    /// `EBADF` if it is not open, or only a path (`O_PATH`).
    pub(crate) fn file(&self, fd: Fd) -> Result<Arc<OpenFile>, Fail> {
        let file = self.any_file(fd)?;
        if file.is_path() {
            return Err(fail(errno::EBADF, "opened with O_PATH"));
        }
        Ok(file)
    }

    /// Returns the limit of descriptor numbers (`RLIMIT_NOFILE`): all are below.
    pub(crate) fn open_files_limit(&self) -> u64 {
        self.group().rlimits().get(Resource::OpenFiles).soft
    }

    /// Gives `file` the lowest free descriptor, which an `execve` closes if `close_on_exec` says so.
    ///
    /// # Errors
    ///
    /// `EMFILE` if the caller has no free descriptor.
    pub(crate) fn install(&self, file: Arc<OpenFile>, close_on_exec: bool) -> Result<i32, Fail> {
        let flags = FdFlags::close_on_exec(close_on_exec);
        self.files().add(file, flags, self.open_files_limit()).because("no descriptor is free")
    }

    /// Returns the state that the call kept when it went to wait.
    pub(crate) fn state(&self) -> Option<&SyscallState> {
        self.run.call.as_ref().and_then(|call| call.state.as_ref())
    }

    /// Keeps `state` for when the call's handler is run again.
    pub(crate) fn set_state(&mut self, state: SyscallState) {
        if let Some(call) = &mut self.run.call {
            call.state = Some(state);
        }
    }

    /// Returns whether a signal is to be handled, so that the call must not wait.
    pub(crate) fn is_interrupted(&self) -> bool {
        self.task.has_deliverable_signal()
    }

    /// Returns the end of a time-out that began when the call did: the same however often its handler is run.
    /// `None`: it waits for ever. Uses the call's [`SyscallState`].
    pub(crate) fn deadline(&mut self, timeout: Option<Duration>) -> Option<Instant> {
        if let Some(SyscallState::Deadline(deadline)) = self.state() {
            return *deadline;
        }
        let deadline = timeout.map(|timeout| self.kernel().clock.monotonic().saturating_add(timeout));
        self.set_state(SyscallState::Deadline(deadline));
        deadline
    }

    /// Has the task woken when `queue` is woken with one of `events`, until the handler is run again or ends. As a
    /// waiter that only looks: see [`WaitQueue`].
    pub(crate) fn wake_on(&mut self, queue: &WaitQueue, events: Events) {
        let registration = queue.register(events, Arc::clone(self.task) as Arc<_>);
        self.run.registrations.push(registration);
    }

    /// As [`SyscallCx::wake_on`], for a call that tries, first thing when it is run again, to use up what it waits for.
    pub(crate) fn wake_exclusively_on(&mut self, queue: &WaitQueue, events: Events) {
        let registration = queue.register_exclusive(events, Arc::clone(self.task) as Arc<_>);
        self.run.registrations.push(registration);
    }

    /// Returns the failure by which the call waits for what it registered with ([`SyscallCx::wake_on`]) or for
    /// `deadline`; or, if a signal is to be handled, the one by which it is interrupted.
    pub(crate) fn park(&self, deadline: Option<Instant>, restart: Restart) -> Fail {
        if self.is_interrupted() { Fail::Restart(restart) } else { Fail::Park(Park { deadline, restart }) }
    }

    /// Runs `attempt` until it fails with something else than `EAGAIN`, waiting for `events` of `queue` in between.
    ///
    /// The attempt is run again after the task was registered, so no wake-up is lost; it must not have done
    /// anything when it fails with `EAGAIN`.
    ///
    /// # Errors
    ///
    /// What `attempt` fails with; `EAGAIN` only if `deadline` has passed.
    pub(crate) fn block_on<T>(
        &mut self,
        queue: &WaitQueue,
        events: Events,
        deadline: Option<Instant>,
        restart: Restart,
        mut attempt: impl FnMut(&mut Self) -> Result<T, Fail>,
    ) -> Result<T, Fail> {
        match attempt(self) {
            Err(failure) if failure.is(errno::EAGAIN) => {}
            ended => return ended,
        }
        self.wake_exclusively_on(queue, events);
        match attempt(self) {
            Err(failure) if failure.is(errno::EAGAIN) => {
                if deadline.is_some_and(|deadline| deadline <= self.kernel().clock.monotonic()) {
                    return Err(failure);
                }
                Err(self.park(deadline, restart))
            }
            ended => ended,
        }
    }
}

/// Turns an error number of a lower layer into a failure with a cause that the strace shows.
pub(crate) trait Because<T> {
    /// Adds the cause.
    fn because(self, cause: &'static str) -> Result<T, Fail>;
}

impl<T> Because<T> for Result<T, Errno> {
    fn because(self, cause: &'static str) -> Result<T, Fail> {
        self.map_err(|errno| fail(errno, cause))
    }
}
