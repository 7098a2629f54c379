//! A container that the shim serves.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cloister_proto::container::ProcessSpec;
use cloister_proto::control::{Pause, Processes, Resume};
use cloister_runtime::container::connect;
use cloister_runtime::state::{ContainerId, Entry, Store};
use parking_lot::Mutex;

use super::{Phase, Process};
use crate::error::ShimError;

/// A container.
#[derive(Debug)]
pub(crate) struct Container {
    pub(crate) id: ContainerId,
    pub(crate) bundle: PathBuf,
    pub(crate) store: Store,
    /// Its first process.
    pub(crate) init: Arc<Process>,
    /// Those that were put into it, by the names that containerd gives them.
    pub(super) execs: Mutex<BTreeMap<String, Arc<Exec>>>,
    pub(super) is_paused: AtomicBool,
    /// Whether it was brought back, and so is resumed and not started.
    pub(super) is_restored: bool,
}

/// A process that was put into a container.
#[derive(Debug)]
pub(crate) struct Exec {
    pub(super) process: Arc<Process>,
    pub(super) spec: ProcessSpec,
}

/// The name of a process in errors and events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProcessName {
    pub(crate) container: String,
    /// Empty for the container's first process.
    pub(crate) exec_id: String,
}

impl fmt::Display for ProcessName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.exec_id {
            "" => write!(f, "container {}", self.container),
            exec_id => write!(f, "process {exec_id} of container {}", self.container),
        }
    }
}

impl Container {
    /// A process by the name that containerd gives it; its first one has none.
    pub(crate) fn process(&self, exec_id: &str) -> Result<Arc<Process>, ShimError> {
        if exec_id.is_empty() {
            return Ok(self.init.clone());
        }
        self.exec_named(exec_id).map(|exec| exec.process.clone())
    }

    pub(super) fn exec_named(&self, exec_id: &str) -> Result<Arc<Exec>, ShimError> {
        let missing = || ShimError::NoProcess { id: self.id.to_string(), exec_id: exec_id.to_owned() };
        self.execs.lock().get(exec_id).cloned().ok_or_else(missing)
    }

    /// Whether it stands still.
    pub(crate) fn is_paused(&self) -> bool {
        self.is_paused.load(Ordering::Relaxed) && self.init.state().phase == Phase::Running
    }

    /// Makes it stand still.
    pub(crate) async fn pause(self: &Arc<Self>) -> Result<(), ShimError> {
        self.call("pause", |id| Pause { id }).await?;
        self.is_paused.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Lets it go on.
    pub(crate) async fn resume(self: &Arc<Self>) -> Result<(), ShimError> {
        self.call("resume", |id| Resume { id }).await?;
        self.is_paused.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// The ids of its processes as it numbers them, with the names that containerd gave them.
    pub(crate) async fn processes(self: &Arc<Self>) -> Result<Vec<(u32, Option<String>)>, ShimError> {
        let reply = self.call("list the processes of", |id| Processes { id }).await?;
        let execs: HashMap<u32, String> = self
            .execs
            .lock()
            .iter()
            .filter(|(_, exec)| exec.process.state().phase == Phase::Running)
            .map(|(name, exec)| (exec.process.state().pid, name.clone()))
            .collect();
        let pids = reply.processes.iter().filter_map(|process| u32::try_from(process.pid).ok());
        Ok(pids.map(|pid| (pid, execs.get(&pid).cloned())).collect())
    }

    /// Makes a request of its kernel.
    pub(super) async fn call<M>(
        self: &Arc<Self>,
        action: &'static str,
        request: impl FnOnce(String) -> M + Send + 'static,
    ) -> Result<M::Reply, ShimError>
    where
        M: cloister_proto::control::Method + 'static,
        M::Reply: Send + 'static,
    {
        let container = self.clone();
        blocking(move || {
            let entry = container.entry()?;
            let id = entry.id().to_string();
            let reply = connect(&entry, action)?.call(request(id.clone()), &[]);
            reply.map_err(|source| ShimError::Client { action, id, source })
        })
        .await
    }

    /// Its folder, not locked.
    pub(super) fn entry(&self) -> Result<Entry, ShimError> {
        Ok(self.store.peek(&self.id)?)
    }
}

/// Does what may block on a thread for that.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ShimError> + Send + 'static,
) -> Result<T, ShimError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| ShimError::host("finish")(error.into()))?
}
