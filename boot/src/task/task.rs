//! A task: one guest thread.
//!
//! # Locking
//!
//! The worker that runs a task holds its [`class::TASK_RUN`] lock all the time; what others may look at or change is
//! under [`class::TASK`]; its place in the scheduler under [`class::SCHEDULE`].

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use cloister_abi::Registers;
use cloister_platform::{CpuTime, Thread, Trap, TrapHandler};
use cloister_sync::{Lock, LockGuard, class};

use super::schedule::{Place, Schedule};
use super::{Credentials, Pid, PidNamespace, TaskAttributes, TaskRun, ThreadGroup, UtsNamespace, Vfork};
use crate::context::SyscallCx;
use crate::event::{Events, Wake};
use crate::fs::{FdTable, FsContext};
use crate::ipc::Ipc;
use crate::kernel::{Expire, Kernel};
use crate::mm::Mm;
use crate::net::NetNamespace;
use crate::seccomp::Seccomp;
use crate::signal::{self, BeforeUser, SignalActions, TaskSignals};
use crate::syscall::{self, Progress};
use crate::time::Instant;

/// The longest name of a task, without the final NUL (`TASK_COMM_LEN`).
const MAX_NAME: usize = 15;

/// A task: one guest thread.
pub(crate) struct Task {
    /// Changes only when the task executes a program and takes the leader's id.
    tid: AtomicI32,
    kernel: Arc<Kernel>,
    group: Arc<ThreadGroup>,
    started: Instant,
    run: Lock<TaskRun, { class::TASK_RUN }>,
    parts: Lock<TaskParts, { class::TASK }>,
    /// Pending signals and the mask.
    pub(crate) signals: Lock<TaskSignals, { class::TASK }>,
    /// What it has set for itself.
    pub(crate) attributes: Lock<TaskAttributes, { class::TASK }>,
    /// Which system calls it may make.
    pub(crate) seccomp: Seccomp,
    /// Whether its maker waits for it.
    pub(crate) vfork: Vfork,
    schedule: Lock<Schedule, { class::SCHEDULE }>,
}

/// The parts of a task that can be shared with others or be exchanged.
#[derive(Clone, Debug)]
pub(crate) struct TaskParts {
    /// The name, at most 15 bytes (`prctl(2)`, `PR_SET_NAME`).
    pub(crate) name: Vec<u8>,
    /// Who it is.
    pub(crate) credentials: Arc<Credentials>,
    /// The address space; `None` once the task has ended.
    pub(crate) mm: Option<Arc<Mm>>,
    /// The descriptor table; `None` once the task has ended.
    pub(crate) files: Option<Arc<FdTable>>,
    /// Root, current directory and umask.
    pub(crate) fs: Arc<FsContext>,
    /// The host name's namespace.
    pub(crate) uts: Arc<UtsNamespace>,
    /// The namespace of System V objects.
    pub(crate) ipc: Arc<Ipc>,
    /// The network namespace.
    pub(crate) net: Arc<NetNamespace>,
    /// What signals do.
    pub(crate) actions: Arc<SignalActions>,
}

impl Task {
    /// Makes a task that does not run yet.
    pub(crate) fn new(
        kernel: Arc<Kernel>,
        tid: Pid,
        group: Arc<ThreadGroup>,
        parts: TaskParts,
        signals: TaskSignals,
        run: TaskRun,
    ) -> Arc<Self> {
        Self::started_at(kernel.clock.monotonic(), kernel, tid, group, parts, signals, run)
    }

    /// Makes a task that does not run yet and was made at the time `started`.
    pub(super) fn started_at(
        started: Instant,
        kernel: Arc<Kernel>,
        tid: Pid,
        group: Arc<ThreadGroup>,
        parts: TaskParts,
        signals: TaskSignals,
        run: TaskRun,
    ) -> Arc<Self> {
        Arc::new(Self {
            started,
            tid: AtomicI32::new(tid),
            kernel,
            group,
            run: Lock::new(run),
            parts: Lock::new(parts),
            signals: Lock::new(signals),
            attributes: Lock::default(),
            seccomp: Seccomp::default(),
            vfork: Vfork::default(),
            schedule: Lock::new(Schedule::new()),
        })
    }

    /// Returns its id.
    pub(crate) fn tid(&self) -> Pid {
        self.tid.load(Ordering::Relaxed)
    }

    /// Returns the PID namespace that it is in.
    pub(crate) fn pid_namespace(&self) -> PidNamespace {
        PidNamespace::of(self.group.tgid())
    }

    /// Gives it the id of its thread group, whose leader has ended; with the tree locked.
    pub(super) fn take_leader_id(&self) {
        self.tid.store(self.group.tgid(), Ordering::Relaxed);
    }

    /// Returns when it was made.
    pub(crate) fn started(&self) -> Instant {
        self.started
    }

    /// Tells for people what it is doing.
    pub(crate) fn describe_activity(&self) -> String {
        let place = self.schedule.lock().place();
        // Its worker holds the lock while it handles the task.
        let call = self.run.try_lock().and_then(|run| run.call.clone());
        match call {
            Some(call) => {
                let name = syscall::lookup(call.number).map_or("?", |row| row.name);
                let now = self.kernel.clock.monotonic();
                let waits = now.saturating_duration_since(call.began.unwrap_or(now));
                format!("{place:?} in {name}{:x?} for {waits:.3?}", call.arguments)
            }
            None => format!("{place:?}"),
        }
    }

    /// Returns the kernel.
    pub(crate) fn kernel(&self) -> &Arc<Kernel> {
        &self.kernel
    }

    /// Returns its thread group.
    pub(crate) fn group(&self) -> &Arc<ThreadGroup> {
        &self.group
    }

    /// Returns its name.
    pub(crate) fn name(&self) -> Vec<u8> {
        self.parts.lock().name.clone()
    }

    /// Sets its name to at most 15 bytes of `name`.
    pub(crate) fn set_name(&self, name: &[u8]) {
        self.parts.lock().name = name.get(..MAX_NAME).unwrap_or(name).to_vec();
    }

    /// Returns its credentials.
    pub(crate) fn credentials(&self) -> Arc<Credentials> {
        Arc::clone(&self.parts.lock().credentials)
    }

    /// Returns its address space, unless it has ended.
    pub(crate) fn mm(&self) -> Option<Arc<Mm>> {
        self.parts.lock().mm.clone()
    }

    /// Returns its descriptor table, unless it has ended.
    pub(crate) fn files(&self) -> Option<Arc<FdTable>> {
        self.parts.lock().files.clone()
    }

    /// Returns its root, current directory and umask.
    pub(crate) fn fs(&self) -> Arc<FsContext> {
        Arc::clone(&self.parts.lock().fs)
    }

    /// Returns its UTS namespace.
    pub(crate) fn uts(&self) -> Arc<UtsNamespace> {
        Arc::clone(&self.parts.lock().uts)
    }

    /// Returns its namespace of System V objects.
    pub(crate) fn ipc(&self) -> Arc<Ipc> {
        Arc::clone(&self.parts.lock().ipc)
    }

    /// Returns its network namespace.
    pub(crate) fn net(&self) -> Arc<NetNamespace> {
        Arc::clone(&self.parts.lock().net)
    }

    /// Returns what signals do to it.
    pub(crate) fn actions(&self) -> Arc<SignalActions> {
        Arc::clone(&self.parts.lock().actions)
    }

    /// Returns access to the parts that can be shared or exchanged. A change of `mm` or `files` is also made in the
    /// [`TaskRun`].
    pub(crate) fn parts(&self) -> LockGuard<'_, TaskParts> {
        self.parts.lock()
    }

    /// Returns the host thread that runs its guest code.
    pub(crate) fn thread(&self) -> Option<Arc<dyn Thread>> {
        self.schedule.lock().thread().map(Arc::clone)
    }

    /// Sets the host thread that runs its guest code; the one before ends.
    pub(crate) fn set_thread(&self, thread: Arc<dyn Thread>) {
        let before = self.schedule.lock().replace_thread(Some(thread));
        if let Some(before) = before {
            before.exit();
        }
    }

    /// Returns the processor time that it has used.
    pub(crate) fn cpu_time(&self) -> CpuTime {
        self.thread().map(|thread| thread.cpu_time()).unwrap_or_default()
    }

    /// Returns what its worker keeps, unless one has it.
    pub(super) fn try_run(&self) -> Option<LockGuard<'_, TaskRun>> {
        self.run.try_lock()
    }

    /// Works on a task that does not run yet, as its worker would.
    pub(crate) fn enter<T>(self: &Arc<Self>, work: impl FnOnce(&mut SyscallCx<'_>) -> T) -> T {
        let mut run = self.run.lock();
        work(&mut SyscallCx { task: self, run: &mut run })
    }

    /// Lets a new task run guest code, with the registers of its [`TaskRun`]: as soon as a worker is free, since the
    /// caller may be the worker of another.
    pub(crate) fn start(self: &Arc<Self>) {
        self.schedule.lock().start();
        self.kernel.run_queue.push(Arc::clone(self), &self.kernel.reactor);
    }

    /// Goes on with a task that was woken.
    pub(crate) fn run_again(self: &Arc<Self>) {
        let mut run = self.run.lock();
        self.schedule.lock().begin();
        run.deadline_timer = None;
        // A call that a signal has interrupted is over: what is left is to look at the signals (again, after a stop).
        let progress = match run.call {
            Some(_) if run.restart.is_none() => {
                syscall::proceed(&mut SyscallCx { task: self, run: &mut run })
            }
            _ => Progress::Done,
        };
        self.advance(&mut run, progress);
    }

    /// Makes it look at its signals soon: stops its guest code, or interrupts its wait.
    pub(crate) fn kick(self: &Arc<Self>) {
        if self.schedule.lock().kick() {
            self.kernel.run_queue.push(Arc::clone(self), &self.kernel.reactor);
        }
    }

    /// Stops its guest code, if it runs any, so that it is held while the sandbox is frozen. Returns whether it ran.
    pub(crate) fn halt(&self) -> bool {
        self.schedule.lock().halt()
    }

    /// Returns whether it is to leave, whatever else it does.
    pub(crate) fn is_killed(&self) -> bool {
        self.group.state().exit.is_some()
    }

    /// Returns whether a worker may take it: it does not stand still with its container, or leaves.
    pub(crate) fn may_run(&self) -> bool {
        !self.group.tasks().freezer.is_frozen() || self.is_killed()
    }

    /// Returns whether a signal is to be handled before its guest code goes on.
    pub(crate) fn has_deliverable_signal(&self) -> bool {
        signal::has_deliverable(self)
    }

    /// Returns whether it runs or is about to, as opposed to waiting.
    pub(crate) fn is_running(&self) -> bool {
        matches!(self.schedule.lock().place(), Place::User | Place::Kernel | Place::Queued)
    }

    /// Ends its host thread; its worker calls this last.
    pub(crate) fn end(&self) {
        self.schedule.lock().end();
    }

    /// Takes the task from the end of a system call or a trap to guest code, to sleep, or to its end.
    fn advance(self: &Arc<Self>, run: &mut TaskRun, mut progress: Progress) {
        loop {
            match progress {
                Progress::Exited => return,
                Progress::Waits(park) => {
                    run.deadline_timer = park.deadline.map(|deadline| {
                        let timer: Arc<dyn Expire> = Arc::clone(self) as Arc<_>;
                        self.kernel.timers.set(deadline, Arc::downgrade(&timer))
                    });
                    if self.schedule.lock().try_park() {
                        return;
                    }
                    progress = syscall::proceed(&mut SyscallCx { task: self, run });
                    continue;
                }
                Progress::Interrupted(restart) => run.restart = Some(restart),
                Progress::Done => {}
            }
            match signal::before_user(&mut SyscallCx { task: self, run }) {
                BeforeUser::Resume => {}
                BeforeUser::Exited => return,
                BeforeUser::Stopped => {
                    if self.schedule.lock().try_park() {
                        return;
                    }
                    progress = Progress::Done;
                    continue;
                }
            }
            if self.group.tasks().freezer.is_frozen() {
                // Until the thaw, or its end.
                return self.start();
            }
            if self.schedule.lock().try_resume(&run.registers) {
                return;
            }
            progress = Progress::Done;
        }
    }
}

impl TrapHandler for Task {
    fn on_trap(self: Arc<Self>, trap: Trap, registers: &Registers) {
        let mut run = self.run.lock();
        self.schedule.lock().begin();
        run.registers = *registers;
        let mut cx = SyscallCx { task: &self, run: &mut run };
        let progress = match trap {
            Trap::Syscall => syscall::enter(&mut cx),
            Trap::Exception(exception) => {
                signal::on_exception(&mut cx, &exception);
                Progress::Done
            }
            Trap::Interrupted => Progress::Done,
            Trap::Gone { signal } => {
                signal::on_host_kill(&mut cx, signal);
                Progress::Done
            }
        };
        self.advance(&mut run, progress);
        drop(run);
        self.group.tasks().freezer.note_stop();
    }

    fn is_fixed_text(&self, range: Range<u64>) -> bool {
        self.mm().is_some_and(|mm| mm.is_fixed_text(&range))
    }
}

impl Wake for Task {
    fn wake(self: Arc<Self>, _events: Events) -> bool {
        let (used, must_queue) = self.schedule.lock().wake();
        if must_queue {
            self.kernel.run_queue.push(Arc::clone(&self), &self.kernel.reactor);
        }
        used
    }
}

impl Expire for Task {
    fn expire(self: Arc<Self>, _now: Instant) {
        if self.schedule.lock().wake().1 {
            self.kernel.run_queue.push(Arc::clone(&self), &self.kernel.reactor);
        }
    }
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task").field("tid", &self.tid()).finish_non_exhaustive()
    }
}
