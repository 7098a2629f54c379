//! Snapshots: the whole kernel to files, and back.
//!
//! A snapshot is taken of a sandbox that stands still: every task is between two instructions of guest code, or waits in a
//! call whose handler begins anew. So all there is to save are objects, each of which has an image of its own beside it.
//! This module finds them, gives them ids, and puts the images together.
//!
//! | module | subject |
//! |---|---|
//! | [`image`] | [`image::KernelImage`]: all of it |
//! | [`registry`] | ids of shared objects, by their addresses |
//! | [`save`] | from the tasks to everything that they can reach |
//! | [`load`] | from the image to a kernel that goes on |
//! | [`memory`] | pages of address spaces and of memory that they share |
//!
//! # Order
//!
//! Objects refer to each other in circles: an address space maps files, a descriptor table holds an epoll instance that watches
//! a socket on whose way is a descriptor of another table. So who brings them back first makes all, empty: file systems and
//! their names, groups, address spaces, tables, tasks, the tree; then files, by the tasks and paths that there are now; and then
//! fills them. No task runs before the last step.
//!
//! # What can't be saved
//!
//! Descriptors of the host that are not the container's own, files of the host that were removed while they are open, file
//! systems without an image. A snapshot with something left out would be worse than none, so each is an error with the object
//! and the process that has it.

mod failure;
mod image;
mod load;
mod memory;
mod registry;
mod save;

pub(crate) use load::{Given, Restored, restore};
pub(crate) use save::{Files, processes, save};

use std::sync::Arc;

use cloister_proto::container::{ContainerSpec, MountKind};

use crate::ipc::Ipc;
use crate::net::NetNamespace;
use crate::task::UtsNamespace;
use crate::tty::Terminal;

/// The namespaces that all processes of a container are in.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    /// System V objects.
    pub(crate) ipc: Arc<Ipc>,
    /// Sockets and their names.
    pub(crate) net: Arc<NetNamespace>,
    /// The names of the machine.
    pub(crate) uts: Arc<UtsNamespace>,
}

/// Returns how many connections to its gofer a container has.
fn gofer_connections(spec: &ContainerSpec) -> u32 {
    u32::try_from(cloister_proto::container::gofer_connections(spec)).unwrap_or(u32::MAX)
}

/// Returns where the mounts of a container are, and whether they show files of the host.
fn mounts(spec: &ContainerSpec) -> Vec<(Vec<u8>, bool)> {
    let is_host = |kind: &MountKind| matches!(kind, MountKind::Gofer { .. });
    spec.mounts.iter().map(|mount| (mount.destination.to_vec(), is_host(&mount.kind))).collect()
}

/// Returns the terminal as one of the type `T`, if it is.
fn downcast_terminal<T: Terminal>(terminal: &Arc<dyn Terminal>) -> Option<Arc<T>> {
    let any: Arc<dyn std::any::Any + Send + Sync> = Arc::clone(terminal) as Arc<_>;
    any.downcast().ok()
}
