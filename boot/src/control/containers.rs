//! The containers of the sandbox.

use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use cloister_proto::control::{Done, ErrorKind, Failure, Response};
use cloister_sync::{Lock, class};

use super::container::{Container, Replier, to_reply};
use super::file_server::FileServerWatch;
use crate::kernel::Kernel;
use crate::signal::{self, Signal};
use crate::task::{ExitStatus, Pid};

/// The containers of the sandbox. The first one made is the root container: the sandbox ends with it.
#[derive(Debug, Default)]
pub(crate) struct Containers {
    table: Lock<Table, { class::CONTAINERS }>,
    exit_code: AtomicU8,
    file_servers: Lock<Vec<Arc<FileServerWatch>>, { class::CONTAINERS }>,
}

/// The exit code of a sandbox that could not go on.
const ABORTED: u8 = 128;

#[derive(Debug, Default)]
struct Table {
    root: Option<String>,
    by_id: BTreeMap<String, Arc<Container>>,
}

impl Containers {
    /// Adds a container.
    ///
    /// # Errors
    ///
    /// `AlreadyExists` if there is one with its id.
    pub(super) fn add(&self, container: Container) -> Result<Arc<Container>, Failure> {
        let mut table = self.table.lock();
        if table.by_id.contains_key(&container.id) {
            let message = format!("container `{}` exists already", container.id);
            return Err(Failure::new(ErrorKind::AlreadyExists, message));
        }
        table.root.get_or_insert_with(|| container.id.clone());
        let container = Arc::new(container);
        table.by_id.insert(container.id.clone(), Arc::clone(&container));
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

    /// Returns the exit code of the root container, as shells tell it.
    pub(crate) fn exit_code(&self) -> u8 {
        self.exit_code.load(Ordering::Relaxed)
    }

    /// Watches over a connection to a gofer until the sandbox ends.
    ///
    /// # Errors
    ///
    /// If it can't be watched.
    pub(super) fn watch_file_server(
        &self,
        kernel: &Arc<Kernel>,
        connection: &impl AsFd,
    ) -> std::io::Result<()> {
        let watch = FileServerWatch::start(kernel, connection)?;
        self.file_servers.lock().push(watch);
        Ok(())
    }

    /// Ends the sandbox, which can't go on.
    pub(super) fn abort(&self, kernel: &Kernel) {
        self.exit_code.store(ABORTED, Ordering::Relaxed);
        kernel.finish();
    }

    /// Answers `replier` when a process of a container ends (`None`: its first one), or at once if it has.
    pub(super) fn wait(
        &self,
        id: &str,
        pid: Option<Pid>,
        replier: Replier,
    ) -> Result<Option<Response>, Failure> {
        let status = self.get(id)?.wait(pid, replier)?;
        Ok(status.map(|status| to_reply(status).into()))
    }

    /// Takes note of the end of a process. With the first process of a container the container ends.
    pub(crate) fn on_process_exit(&self, kernel: &Arc<Kernel>, tgid: Pid, status: ExitStatus) {
        let (containers, root) = {
            let table = self.table.lock();
            (table.by_id.values().cloned().collect::<Vec<_>>(), table.root.clone())
        };
        for container in containers {
            if !container.on_process_exit(tgid, status) {
                continue;
            }
            container.end_others();
            if root.as_deref() == Some(&*container.id) {
                self.exit_code.store(to_reply(status).code(), Ordering::Relaxed);
                kernel.finish();
            } else {
                kill_all(kernel, &container);
            }
        }
    }

    /// Says that the first process of `container` could not be made.
    pub(super) fn fail_start(&self, kernel: &Kernel, container: &Container, status: ExitStatus) {
        container.fail_start(status);
        if self.table.lock().root.as_deref() == Some(&*container.id) {
            self.exit_code.store(to_reply(status).code(), Ordering::Relaxed);
            kernel.finish();
        }
    }

    /// Ends a container's processes and forgets it; the sandbox ends with its root container.
    pub(super) fn destroy(
        &self,
        kernel: &Kernel,
        id: &str,
        _replier: Replier,
    ) -> Result<Option<Response>, Failure> {
        let container = self.get(id)?;
        kill_all(kernel, &container);
        let mut table = self.table.lock();
        table.by_id.remove(id);
        if table.root.as_deref() == Some(id) {
            kernel.finish();
        }
        Ok(Some(Done.into()))
    }
}

/// Kills all processes of a container.
fn kill_all(kernel: &Kernel, _container: &Container) {
    let groups: Vec<_> =
        kernel.processes.lock().processes().map(|process| Arc::clone(&process.group)).collect();
    for group in groups {
        signal::send_from_outside(kernel, &group, Signal::KILL);
    }
}
