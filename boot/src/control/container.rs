//! One container.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use cloister_proto::container::{ContainerSpec, Namespace};
use cloister_proto::control::{ContainerState, ErrorKind, ExitStatus as Reply, Failure, Response, Status};
use cloister_sync::{Lock, class};

use super::connection::ControlConnection;
use super::file_server::FileServerWatch;
use super::namespaces::Namespaces;
use crate::fs::FsContext;
use crate::kernel::Kernel;
use crate::seccomp::Mode;
use crate::signal::Signal;
use crate::snapshot::{Restored, Shared};
use crate::task::{ExitStatus, Pid, Task, TaskSet, number};

/// Who is to be told about the end of a process.
#[derive(Clone, Debug)]
pub(super) struct Replier {
    connection: Weak<ControlConnection>,
    id: u64,
}

impl Replier {
    /// Answers the request `id` of `connection`.
    pub(super) fn new(connection: Weak<ControlConnection>, id: u64) -> Self {
        Self { connection, id }
    }

    /// Answers, if the client is still there.
    pub(super) fn reply(&self, result: Result<Response, Failure>) {
        if let Some(connection) = self.connection.upgrade() {
            connection.reply(self.id, result);
        }
    }
}

/// A container.
#[derive(Debug)]
pub(crate) struct Container {
    /// Its id.
    pub(crate) id: String,
    /// What it is.
    pub(crate) spec: ContainerSpec,
    /// Root and mounts.
    pub(crate) fs: Arc<FsContext>,
    /// Which system calls the processes that are put into it may make.
    pub(crate) seccomp: Mode,
    /// All else that its processes start in.
    pub(super) namespaces: Namespaces,
    /// Its tasks.
    pub(crate) tasks: Arc<TaskSet>,
    _file_servers: Vec<Arc<FileServerWatch>>,
    life: Lock<Life, { class::CONTAINER }>,
}

/// What a container is made of.
#[derive(Debug)]
pub(super) struct NewContainer {
    /// Its id.
    pub(super) id: String,
    /// What it is.
    pub(super) spec: ContainerSpec,
    /// Its first task, without a program.
    pub(super) first: Arc<Task>,
    /// Watches over what serves its files.
    pub(super) file_servers: Vec<Arc<FileServerWatch>>,
}

/// Where in its life a container is.
#[derive(Debug, Default)]
struct Life {
    /// The first task, until it is started.
    first: Option<Arc<Task>>,
    init: Pid,
    /// Processes that were put in from outside, and the first one, until they were waited for.
    processes: BTreeMap<Pid, Watched>,
    /// Who waits until it is destroyed, if it is to be.
    destroyers: Option<Vec<Replier>>,
}

#[derive(Debug, Default)]
struct Watched {
    status: Option<ExitStatus>,
    waiters: Vec<Replier>,
}

impl Container {
    /// Makes a container that was not started.
    pub(super) fn new(new: NewContainer) -> Self {
        let NewContainer { id, spec, first, file_servers } = new;
        Self {
            id,
            spec,
            fs: first.fs(),
            seccomp: first.seccomp.mode(),
            namespaces: Namespaces::of(&first),
            tasks: Arc::clone(first.group().tasks()),
            _file_servers: file_servers,
            life: Lock::new(Life { first: Some(first), ..Life::default() }),
        }
    }

    /// Returns whether its PID namespace ends with its first process.
    pub(super) fn owns_pid_namespace(&self) -> bool {
        self.spec.namespaces.pid == Namespace::Own
    }

    /// Takes the first task, to be started by the caller.
    ///
    /// # Errors
    ///
    /// `InvalidState` if it was started before.
    pub(super) fn claim_start(&self) -> Result<Arc<Task>, Failure> {
        let started =
            || Failure::new(ErrorKind::InvalidState, format!("container `{}` was started before", self.id));
        self.life.lock().first.take().ok_or_else(started)
    }

    /// Says that `pid` is its first process.
    pub(super) fn set_init(&self, pid: Pid) {
        let mut life = self.life.lock();
        life.init = pid;
        // Who waits for the end of a container that was not started is in the place of process 0.
        let early = life.processes.remove(&0).unwrap_or_default();
        life.processes.insert(pid, early);
    }

    /// Drops the first task if it was not started. Returns whether there was one.
    pub(super) fn drop_first(&self) -> bool {
        let first = self.life.lock().first.take();
        first.inspect(|first| first.end()).is_some()
    }

    /// Takes note that `replier` is to be answered when it is destroyed.
    pub(super) fn begin_destruction(&self, replier: Replier) {
        self.life.lock().destroyers.get_or_insert_default().push(replier);
    }

    /// Takes those that wait until it is destroyed; `None` if it is not to be.
    pub(super) fn end_destruction(&self) -> Option<Vec<Replier>> {
        self.life.lock().destroyers.take()
    }

    /// Says that there will be no first process: the container is stopped.
    pub(super) fn end_without_start(&self, status: ExitStatus) {
        let waiters = {
            let mut life = self.life.lock();
            let init = life.init;
            let watched = life.processes.entry(init).or_default();
            watched.status = Some(status);
            std::mem::take(&mut watched.waiters)
        };
        tell(&waiters, status);
    }

    /// Says that a process that was put in from outside got no program.
    pub(super) fn forget(&self, pid: Pid) {
        self.life.lock().processes.remove(&pid);
    }

    /// Says that the process `pid` was put in from outside.
    pub(super) fn watch(&self, pid: Pid) {
        self.life.lock().processes.insert(pid, Watched::default());
    }

    /// Makes a container that was saved, whose first process is `init`.
    pub(super) fn restored(
        id: String,
        spec: ContainerSpec,
        seccomp: Mode,
        restored: Restored,
        file_servers: Vec<Arc<FileServerWatch>>,
    ) -> Self {
        let Restored { fs, shared, task_set, init, processes, tasks: _ } = restored;
        let watched = |(pid, status)| (pid, Watched { status, waiters: Vec::new() });
        let processes = processes.into_iter().map(watched).collect();
        Self {
            id,
            spec,
            fs,
            seccomp,
            namespaces: Namespaces::restored(task_set.pid_namespace, shared),
            tasks: task_set,
            _file_servers: file_servers,
            life: Lock::new(Life { init, processes, ..Life::default() }),
        }
    }

    /// Returns the namespaces that its processes start in and that are saved.
    pub(crate) fn shared(&self) -> Shared {
        let Namespaces { ipc, net, uts, .. } = &self.namespaces;
        Shared { ipc: Arc::clone(ipc), net: Arc::clone(net), uts: Arc::clone(uts) }
    }

    /// Returns the processes that can be waited for, and how those ended that have.
    pub(crate) fn watched(&self) -> Vec<(Pid, Option<ExitStatus>)> {
        self.life.lock().processes.iter().map(|(pid, watched)| (*pid, watched.status)).collect()
    }

    /// Returns the id of its first process; 0 before the start.
    pub(crate) fn init(&self) -> Pid {
        self.life.lock().init
    }

    /// Returns a task of it: of its first process, started or not.
    pub(super) fn task(&self, kernel: &Kernel) -> Option<Arc<Task>> {
        let (first, init) = {
            let life = self.life.lock();
            (life.first.clone(), life.init)
        };
        first.or_else(|| kernel.processes.lock().process(init)?.tasks.first().cloned())
    }

    /// Returns its state.
    pub(super) fn state(&self) -> ContainerState {
        let life = self.life.lock();
        let ended = life.processes.get(&life.init).is_some_and(|init| init.status.is_some());
        let status = match (&life.first, ended) {
            (Some(_), _) => Status::Created,
            (None, false) if self.tasks.freezer.is_frozen() => Status::Paused,
            (None, false) => Status::Running,
            (None, true) => Status::Stopped,
        };
        let init = if ended { 0 } else { self.tasks.pid_namespace.number(life.init) };
        ContainerState { status, init }
    }

    /// Answers `replier` when the process ends (`None`: the first one): `Some` if it has.
    ///
    /// # Errors
    ///
    /// `NotFound` if the process was not put in from outside, or was waited for before.
    pub(super) fn wait(&self, pid: Option<Pid>, replier: Replier) -> Result<Option<ExitStatus>, Failure> {
        let mut life = self.life.lock();
        let key = pid.unwrap_or(life.init);
        if pid.is_none() {
            life.processes.entry(key).or_default();
        }
        let Some(watched) = life.processes.get_mut(&key) else {
            let message = format!("no process {} to wait for in container `{}`", number(key), self.id);
            return Err(Failure::new(ErrorKind::NotFound, message));
        };
        let Some(status) = watched.status else {
            watched.waiters.push(replier);
            return Ok(None);
        };
        if pid.is_some() {
            life.processes.remove(&key);
        }
        Ok(Some(status))
    }

    /// Answers who waits for processes that are killed with the first one: nobody may be there to do so later.
    pub(super) fn end_others(&self) {
        let killed = ExitStatus::Signaled { signal: Signal::KILL.number(), core_dumped: false };
        let waiters: Vec<_> = {
            let mut life = self.life.lock();
            let living = life.processes.values_mut().filter(|watched| watched.status.is_none());
            living.flat_map(|watched| std::mem::take(&mut watched.waiters)).collect()
        };
        tell(&waiters, killed);
    }

    /// Takes note of the end of a process and answers who waits. Returns whether it was the first one.
    pub(super) fn on_process_exit(&self, pid: Pid, status: ExitStatus) -> bool {
        let (waiters, is_init) = {
            let mut life = self.life.lock();
            let is_init = life.init == pid && pid != 0;
            let Some(watched) = life.processes.get_mut(&pid) else { return false };
            watched.status = Some(status);
            let waiters = std::mem::take(&mut watched.waiters);
            if !is_init && !waiters.is_empty() {
                life.processes.remove(&pid);
            }
            (waiters, is_init)
        };
        tell(&waiters, status);
        is_init
    }
}

fn tell(waiters: &[Replier], status: ExitStatus) {
    for waiter in waiters {
        waiter.reply(Ok(to_reply(status).into()));
    }
}

/// Returns a status as the protocol tells it.
pub(super) fn to_reply(status: ExitStatus) -> Reply {
    match status {
        ExitStatus::Exited(code) => Reply::Exited(code),
        ExitStatus::Signaled { signal, .. } => Reply::Signaled(signal),
    }
}
