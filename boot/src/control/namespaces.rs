//! The namespaces of a container: its own, or those of others of the sandbox.

use std::sync::Arc;

use cloister_proto::container::{ContainerSpec, Namespace};
use cloister_proto::control::{ErrorKind, Failure};

use super::{Container, Containers};
use crate::ipc::Ipc;
use crate::kernel::Kernel;
use crate::net::NetNamespace;
use crate::snapshot::Shared;
use crate::task::{PidNamespace, Task, UtsNames, UtsNamespace};

/// The namespaces that the processes of a container start in, besides that of mounts.
#[derive(Clone, Debug)]
pub(super) struct Namespaces {
    /// Processes and their numbers.
    pub(super) pid: PidNamespace,
    /// System V objects.
    pub(super) ipc: Arc<Ipc>,
    /// Sockets and their names.
    pub(super) net: Arc<NetNamespace>,
    /// The names of the machine.
    pub(super) uts: Arc<UtsNamespace>,
}

impl Namespaces {
    /// Makes and finds those that a description asks for. A PID namespace is made last: who does not use it has to
    /// [forget](super::Containers::forget_pid_namespace) it.
    ///
    /// # Errors
    ///
    /// `NotFound` if another container is not there, `InvalidState` if there are too many PID namespaces.
    pub(super) fn new(kernel: &Kernel, spec: &ContainerSpec) -> Result<Self, Failure> {
        let containers = &kernel.containers;
        let asked = &spec.namespaces;
        Ok(Self {
            ipc: find(containers, &asked.ipc, |other| Arc::clone(&other.namespaces.ipc))?.unwrap_or_default(),
            net: find(containers, &asked.net, |other| Arc::clone(&other.namespaces.net))?.unwrap_or_default(),
            uts: find(containers, &asked.uts, |other| Arc::clone(&other.namespaces.uts))?.unwrap_or_else(
                || {
                    let names = UtsNames { host: spec.hostname.to_vec(), domain: spec.domainname.to_vec() };
                    Arc::new(UtsNamespace::new(names))
                },
            ),
            pid: match find(containers, &asked.pid, |other| other.namespaces.pid)? {
                Some(pid) => pid,
                None if containers.is_empty() => PidNamespace::default(),
                None => kernel.processes.lock().new_pid_namespace().ok_or_else(|| {
                    Failure::new(ErrorKind::InvalidState, "the sandbox has too many PID namespaces")
                })?,
            },
        })
    }

    /// Returns those of a container that was saved.
    pub(super) fn restored(pid: PidNamespace, shared: Shared) -> Self {
        let Shared { ipc, net, uts } = shared;
        Self { pid, ipc, net, uts }
    }

    /// Returns those that a task is in.
    pub(super) fn of(task: &Task) -> Self {
        Self { pid: task.pid_namespace(), ipc: task.ipc(), net: task.net(), uts: task.uts() }
    }
}

/// Finds another container's namespace; `None` if it is to be its own.
fn find<T>(
    containers: &Containers,
    asked: &Namespace,
    of: impl Fn(&Container) -> T,
) -> Result<Option<T>, Failure> {
    match asked {
        Namespace::Own => Ok(None),
        Namespace::Of(id) => containers.get(id).map(|other| Some(of(&other))),
    }
}
