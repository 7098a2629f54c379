//! The containers of the sandbox.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicUsize, Ordering};

use cloister_proto::control::{Done, ErrorKind, Failure, Response};
use cloister_sync::{Lock, class};

use super::container::{Container, Replier, to_reply};
use super::freeze::thaw;
use crate::kernel::Kernel;
use crate::signal::{self, Signal};
use crate::task::{ExitStatus, Pid, PidNamespace, ThreadGroup};

/// The containers of the sandbox. The first one made is the root container: the sandbox ends with it.
#[derive(Debug, Default)]
pub(crate) struct Containers {
    table: Lock<Table, { class::CONTAINERS }>,
    exit_code: AtomicU8,
    next_set_id: AtomicU32,
    nr_containers: AtomicUsize,
    /// Containers that stand still, or are about to.
    nr_frozen: AtomicUsize,
}

/// The exit code of a sandbox that could not go on.
const ABORTED: u8 = 128;
/// How a process ends that the kernel kills.
const KILLED: ExitStatus = ExitStatus::Signaled { signal: Signal::KILL.number(), core_dumped: false };

#[derive(Debug, Default)]
struct Table {
    root: Option<String>,
    by_id: BTreeMap<String, Arc<Container>>,
}

impl Containers {
    /// Checks that a container `id` can be added.
    ///
    /// # Errors
    ///
    /// `AlreadyExists` if there is one with its id.
    pub(super) fn check_new(&self, id: &str) -> Result<(), Failure> {
        let message = || format!("container `{id}` exists already");
        let exists = self.table.lock().by_id.contains_key(id);
        if exists { Err(Failure::new(ErrorKind::AlreadyExists, message())) } else { Ok(()) }
    }

    /// Adds a container.
    ///
    /// # Errors
    ///
    /// As [`Self::check_new`].
    pub(super) fn add(&self, container: Container) -> Result<Arc<Container>, Failure> {
        self.check_new(&container.id)?;
        let mut table = self.table.lock();
        table.root.get_or_insert_with(|| container.id.clone());
        let container = Arc::new(container);
        table.by_id.insert(container.id.clone(), Arc::clone(&container));
        self.nr_containers.store(table.by_id.len(), Ordering::Relaxed);
        Ok(container)
    }

    /// Returns the container `id`.
    ///
    /// # Errors
    ///
    /// `NotFound`.
    pub(super) fn get(&self, id: &str) -> Result<Arc<Container>, Failure> {
        let not_found = || Failure::new(ErrorKind::NotFound, format!("no container `{id}` in this sandbox"));
        self.table.lock().by_id.get(id).cloned().ok_or_else(not_found)
    }

    /// Returns all containers in the order of their ids.
    pub(super) fn all(&self) -> Vec<Arc<Container>> {
        self.table.lock().by_id.values().cloned().collect()
    }

    /// Returns whether there was no container yet: the next one is the root container.
    pub(super) fn is_empty(&self) -> bool {
        self.table.lock().root.is_none()
    }

    fn is_root(&self, container: &Container) -> bool {
        self.table.lock().root.as_deref() == Some(&*container.id)
    }

    /// Returns an id for the tasks of a new container.
    pub(super) fn new_set_id(&self) -> u32 {
        self.next_set_id.fetch_add(1, Ordering::Relaxed)
    }

    /// Returns whether there is one container and no other.
    pub(super) fn is_only_one(&self) -> bool {
        self.table.lock().by_id.len() == 1
    }

    /// Returns the exit code of the root container, as shells tell it.
    pub(crate) fn exit_code(&self) -> u8 {
        self.exit_code.load(Ordering::Relaxed)
    }

    /// Returns whether a container stands still, or is about to.
    pub(crate) fn has_frozen(&self) -> bool {
        self.nr_frozen.load(Ordering::Relaxed) > 0
    }

    /// Returns whether all containers stand still, or are about to.
    pub(crate) fn are_all_frozen(&self) -> bool {
        self.has_frozen()
            && self.nr_frozen.load(Ordering::Relaxed) >= self.nr_containers.load(Ordering::Relaxed)
    }

    /// Takes note that a container is to stand still.
    pub(super) fn note_frozen(&self) {
        self.nr_frozen.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes note that a container goes on.
    pub(super) fn note_thawed(&self) {
        self.nr_frozen.fetch_sub(1, Ordering::Relaxed);
    }

    /// Ends a container whose files are gone; with the root container the sandbox, which can't go on.
    pub(super) fn on_file_server_end(&self, kernel: &Kernel, id: &str) {
        // One that is gone needs no files.
        let Ok(container) = self.get(id) else { return };
        if self.is_root(&container) {
            self.exit_code.store(ABORTED, Ordering::Relaxed);
            kernel.finish();
        } else {
            self.kill(kernel, &container);
        }
    }

    /// Answers `replier` when a process of a container ends (`None`: its first one), or at once if it has.
    pub(super) fn wait(
        &self,
        id: &str,
        number: Option<i32>,
        replier: Replier,
    ) -> Result<Option<Response>, Failure> {
        let container = self.get(id)?;
        let pid = number.map(|number| container.tasks.pid_namespace.pid(number));
        let status = container.wait(pid, replier)?;
        Ok(status.map(|status| to_reply(status).into()))
    }

    /// Takes note of the end of a process. With the first process of a container the container ends.
    pub(crate) fn on_process_exit(&self, kernel: &Kernel, group: &ThreadGroup, status: ExitStatus) {
        for container in self.all() {
            if container.on_process_exit(group.tgid(), status) {
                container.end_others();
                if self.is_root(&container) {
                    self.exit_code.store(to_reply(status).code(), Ordering::Relaxed);
                    kernel.finish();
                    return;
                }
                kill_all(kernel, &container);
            }
            self.finish_destruction(kernel, &container);
        }
    }

    /// Says that a container ends that has no first process: it could not be made, or is not to be.
    pub(super) fn end_without_start(&self, kernel: &Kernel, container: &Container, status: ExitStatus) {
        container.end_without_start(status);
        if self.is_root(container) {
            self.exit_code.store(to_reply(status).code(), Ordering::Relaxed);
            kernel.finish();
        }
    }

    /// Kills a container, whether it was started or not.
    pub(super) fn kill(&self, kernel: &Kernel, container: &Container) {
        if container.drop_first() {
            self.end_without_start(kernel, container, KILLED);
        }
        kill_all(kernel, container);
    }

    /// Ends a container's processes and forgets it, and answers `replier` then; the sandbox ends with its root container.
    pub(super) fn destroy(
        &self,
        kernel: &Kernel,
        id: &str,
        replier: Replier,
    ) -> Result<Option<Response>, Failure> {
        let container = self.get(id)?;
        self.kill(kernel, &container);
        if self.is_root(&container) {
            kernel.finish();
            return Ok(Some(Done.into()));
        }
        container.begin_destruction(replier);
        self.finish_destruction(kernel, &container);
        Ok(None)
    }

    /// Forgets a container that is to be destroyed, if its processes have ended.
    fn finish_destruction(&self, kernel: &Kernel, container: &Container) {
        if container.tasks.nr_tasks() > 0 {
            return;
        }
        let Some(repliers) = container.end_destruction() else { return };
        thaw(kernel, &container.tasks.freezer);
        {
            let mut table = self.table.lock();
            table.by_id.remove(&container.id);
            self.nr_containers.store(table.by_id.len(), Ordering::Relaxed);
        }
        self.forget_pid_namespace(kernel, container.namespaces.pid);
        for replier in repliers {
            replier.reply(Ok(Done.into()));
        }
    }

    /// Forgets a PID namespace if nobody is in it, and nobody can get into it.
    fn forget_pid_namespace(&self, kernel: &Kernel, namespace: PidNamespace) {
        let is_used = self.all().iter().any(|other| other.namespaces.pid == namespace);
        let mut tree = kernel.processes.lock();
        let has_process = |pid: Pid| PidNamespace::of(pid) == namespace;
        if !is_used && !tree.processes().any(|process| has_process(process.group.tgid())) {
            tree.forget_pid_namespace(namespace);
        }
    }
}

/// Kills all processes of a container, and all others in the PID namespace that ends with its first process
/// (`pid_namespaces(7)`).
fn kill_all(kernel: &Kernel, container: &Container) {
    let namespace = container.owns_pid_namespace().then_some(container.namespaces.pid);
    let groups: Vec<_> = {
        let tree = kernel.processes.lock();
        let is_inside = |group: &ThreadGroup| {
            Arc::ptr_eq(group.tasks(), &container.tasks) || namespace == Some(PidNamespace::of(group.tgid()))
        };
        let groups = tree.processes().map(|process| &process.group);
        groups.filter(|group| is_inside(group)).cloned().collect()
    };
    for group in groups {
        signal::send_from_outside(kernel, &group, Signal::KILL);
    }
}
