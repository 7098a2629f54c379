//! How tasks and processes are related: ids, threads, parents and children, process groups, sessions.
//!
//! # Locking
//!
//! One lock, [`class::PROCESS_TREE`], for all relations: they are read far more often than changed, and most changes
//! (a fork, an exit, a `setsid`) touch several of them at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use cloister_platform::CpuTime;
use cloister_sync::{Lock, LockGuard, class};
use serde::{Deserialize, Serialize};

use super::{PID_MAX, Pid, PidNamespace, Task, TaskSet, ThreadGroup};
use crate::signal::Signal;
use crate::tty::Sessions;

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ExitStatus {
    /// By `exit` with this code (its low 8 bits).
    Exited(u8),
    /// By this signal.
    Signaled {
        /// The signal's number.
        signal: u8,
        /// Whether Linux would have written a core dump.
        core_dumped: bool,
    },
}

impl ExitStatus {
    /// Returns the status in the form of `wait(2)`.
    pub(crate) fn to_wait_status(self) -> u32 {
        match self {
            Self::Exited(code) => u32::from(code) << 8,
            Self::Signaled { signal, core_dumped } => u32::from(signal) | (u32::from(core_dumped) << 7),
        }
    }
}

/// A process and its relations.
#[derive(Debug)]
pub(crate) struct Process {
    /// The thread group.
    pub(crate) group: Arc<ThreadGroup>,
    /// The living tasks, the leader first while it lives.
    pub(crate) tasks: Vec<Arc<Task>>,
    /// The parent's id; 0 for the first process of a container and for those that were put in from outside.
    pub(crate) parent: Pid,
    /// The children's ids, oldest first, zombies included.
    pub(crate) children: Vec<Pid>,
    /// The process group's id.
    pub(crate) process_group: Pid,
    /// The session's id.
    pub(crate) session: Pid,
    /// What its parent is told by when it ends: usually `SIGCHLD`, 0 for nothing.
    pub(crate) exit_signal: u8,
    /// The name of its last task, for `/proc`.
    pub(crate) name: Vec<u8>,
    /// The real user of its last task, for who waits for it.
    pub(crate) uid: u32,
    /// How it ended, until its parent takes note.
    pub(crate) zombie: Option<ExitStatus>,
    /// Whether it takes in the orphans among its descendants (`PR_SET_CHILD_SUBREAPER`).
    pub(crate) is_subreaper: bool,
    /// Whether it has executed a program since it was made: its process group can't be changed by its parent then.
    pub(crate) has_executed: bool,
}

impl Process {
    /// Returns the processor time of all its threads, those that have ended included.
    pub(crate) fn cpu_time(&self) -> CpuTime {
        let ended = self.group.state().ended_threads_time;
        self.tasks.iter().fold(ended, |time, task| time + task.cpu_time())
    }
}

/// What the [`ProcessTree`]'s lock protects.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    pub(super) last_pid: Pid,
    /// The PID namespaces, each with the number that was handed out last in it.
    pub(super) namespaces: BTreeMap<PidNamespace, i32>,
    pub(super) tasks: BTreeMap<Pid, Arc<Task>>,
    pub(super) processes: BTreeMap<Pid, Process>,
    pub(super) sessions: Sessions,
}

/// All tasks and processes of the sandbox.
#[derive(Debug, Default)]
pub(crate) struct ProcessTree {
    tree: Lock<Tree, { class::PROCESS_TREE }>,
}

impl ProcessTree {
    /// Takes the lock.
    pub(crate) fn lock(&self) -> LockGuard<'_, Tree> {
        self.tree.lock()
    }

    /// Returns the living task `tid`.
    pub(crate) fn task(&self, tid: Pid) -> Option<Arc<Task>> {
        self.lock().tasks.get(&tid).cloned()
    }

    /// Returns the thread group `tgid`, zombies included.
    pub(crate) fn group(&self, tgid: Pid) -> Option<Arc<ThreadGroup>> {
        self.lock().processes.get(&tgid).map(|process| Arc::clone(&process.group))
    }
}

impl Tree {
    /// Makes a PID namespace; `None` if there are too many. The sandbox's first one is there without.
    pub(crate) fn new_pid_namespace(&mut self) -> Option<PidNamespace> {
        let is_free = |namespace: &PidNamespace| {
            *namespace != PidNamespace::default() && !self.namespaces.contains_key(namespace)
        };
        let namespace = PidNamespace::all().find(is_free)?;
        self.namespaces.insert(namespace, 0);
        Some(namespace)
    }

    /// Takes note that a PID namespace has no process and gets none any more.
    pub(crate) fn forget_pid_namespace(&mut self, namespace: PidNamespace) {
        self.namespaces.remove(&namespace);
    }

    /// Reserves an id in `namespace` that no task, process, process group or session has; the caller adds a task with it
    /// before it unlocks the tree. `None` if there are too many tasks.
    pub(crate) fn new_pid(&mut self, namespace: PidNamespace) -> Option<Pid> {
        let last = self.namespaces.get(&namespace).copied().unwrap_or(0);
        // As Linux: numbers go up, and start again behind those of the system's daemons.
        let first = if last + 1 >= PID_MAX { 300 } else { last + 1 };
        let is_free = |number: &i32| !self.is_used(namespace.pid(*number), *number <= last);
        let number = (first..PID_MAX).chain(300..first).find(is_free)?;
        self.namespaces.insert(namespace, number);
        self.last_pid = namespace.pid(number);
        Some(self.last_pid)
    }

    /// Returns the id that was handed out last, in whatever namespace.
    pub(crate) fn last_pid(&self) -> Pid {
        self.last_pid
    }

    /// Returns whether something has the id `pid`; process groups and sessions are looked at if it `was_used` before.
    fn is_used(&self, pid: Pid, was_used: bool) -> bool {
        self.tasks.contains_key(&pid)
            || self.processes.contains_key(&pid)
            || (was_used && self.processes.values().any(|p| p.process_group == pid || p.session == pid))
    }

    /// Adds a process with its first task.
    pub(crate) fn add_process(&mut self, process: Process) {
        let tgid = process.group.tgid();
        if let Some(parent) = self.processes.get_mut(&process.parent) {
            parent.children.push(tgid);
        }
        for task in &process.tasks {
            process.group.tasks().note_added();
            self.tasks.insert(task.tid(), Arc::clone(task));
        }
        self.processes.insert(tgid, process);
    }

    /// Adds a task to its thread group, which must be in the tree.
    pub(crate) fn add_task(&mut self, task: Arc<Task>) {
        if let Some(process) = self.processes.get_mut(&task.group().tgid()) {
            process.tasks.push(Arc::clone(&task));
            task.group().tasks().note_added();
            self.tasks.insert(task.tid(), task);
        }
    }

    /// Removes a task that has ended from its thread group.
    pub(crate) fn remove_task(&mut self, task: &Task) {
        if self.tasks.remove(&task.tid()).is_some() {
            task.group().tasks().note_removed();
        }
        if let Some(process) = self.processes.get_mut(&task.group().tgid()) {
            process.tasks.retain(|other| other.tid() != task.tid());
        }
    }

    /// Makes the only task of a group its leader, and takes note that the process has executed a program.
    pub(super) fn on_exec(&mut self, task: &Arc<Task>) {
        let tgid = task.group().tgid();
        if task.tid() != tgid {
            self.tasks.remove(&task.tid());
            task.take_leader_id();
            self.tasks.insert(tgid, Arc::clone(task));
        }
        if let Some(process) = self.processes.get_mut(&tgid) {
            process.has_executed = true;
            process.exit_signal = Signal::CHLD.number();
        }
    }

    /// Removes a process, all of whose tasks have ended, and the parent's note of it.
    pub(crate) fn remove_process(&mut self, tgid: Pid) -> Option<Process> {
        let process = self.processes.remove(&tgid)?;
        if let Some(parent) = self.processes.get_mut(&process.parent) {
            parent.children.retain(|child| *child != tgid);
        }
        Some(process)
    }

    /// Removes a zombie whose end was taken note of. Returns it.
    pub(crate) fn reap(&mut self, tgid: Pid) -> Option<Process> {
        let process = self.remove_process(tgid)?;
        // Children of a process without a reaper are left over when a container ends.
        for child in &process.children {
            if let Some(child) = self.processes.get_mut(child) {
                child.parent = 0;
            }
        }
        Some(process)
    }

    /// Returns who takes in the children of `tgid` when it ends: its nearest living ancestor that is a subreaper, or the
    /// first process of its container (`prctl(2)`, `PR_SET_CHILD_SUBREAPER`).
    pub(crate) fn reaper_of(&self, tgid: Pid) -> Option<Pid> {
        let mut at = self.processes.get(&tgid)?.parent;
        loop {
            let process = self.processes.get(&at)?;
            if (process.is_subreaper || process.parent == 0) && process.zombie.is_none() {
                return Some(at);
            }
            at = process.parent;
        }
    }

    /// Returns the living task `tid`.
    pub(crate) fn task(&self, tid: Pid) -> Option<&Arc<Task>> {
        self.tasks.get(&tid)
    }

    /// Returns the process `tgid`, zombies included.
    pub(crate) fn process(&self, tgid: Pid) -> Option<&Process> {
        self.processes.get(&tgid)
    }

    /// Returns the process `tgid`, to be changed.
    pub(crate) fn process_mut(&mut self, tgid: Pid) -> Option<&mut Process> {
        self.processes.get_mut(&tgid)
    }

    /// Returns all processes, zombies included, in the order of their ids.
    pub(crate) fn processes(&self) -> impl Iterator<Item = &Process> {
        self.processes.values()
    }

    /// Returns the processes of a container, zombies included, in the order of their ids.
    pub(crate) fn processes_of(&self, set: &TaskSet) -> impl Iterator<Item = &Process> {
        self.processes.values().filter(move |process| std::ptr::eq(&raw const **process.group.tasks(), set))
    }

    /// Returns the living tasks of a container.
    pub(crate) fn tasks_of(&self, set: &TaskSet) -> impl Iterator<Item = &Arc<Task>> {
        self.processes_of(set).flat_map(|process| &process.tasks)
    }

    /// Returns which terminal controls which session.
    pub(crate) fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// Returns which terminal controls which session, to be changed.
    pub(crate) fn sessions_mut(&mut self) -> &mut Sessions {
        &mut self.sessions
    }

    /// Returns all living tasks in the order of their ids.
    pub(crate) fn tasks(&self) -> impl Iterator<Item = &Arc<Task>> {
        self.tasks.values()
    }
}
