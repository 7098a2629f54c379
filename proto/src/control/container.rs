//! `CreateContainer`, `StartContainer`, `State` and `Destroy`: the life of a container.

use crate::codec::{Decode, Encode};
use crate::container::ContainerSpec;

/// Makes a container: its namespaces, mounts and first process, which does not run yet.
///
/// Descriptors: standard input, output and error, [`preserved`](crate::container::ProcessSpec::preserved) ones, then the gofer connections: the root's, and one for each mount of kind
/// `Gofer` in order ([`crate::container::gofer_connections`] of them).
///
/// The first container of a sandbox is its *root container*, with which the sandbox ends. Those that come later run beside it.
///
/// Errors: `AlreadyExists`; `InvalidArgument` for a wrong number of descriptors; `NotFound` if a container whose namespace it
/// is to share is not there; `InvalidState` if there are too many PID namespaces; `Os` when a mount fails.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct CreateContainer {
    /// The container's id.
    pub id: String,
    /// What the container is.
    pub spec: Box<ContainerSpec>,
}

/// Starts the first process of a created container.
///
/// Errors: `NotFound`; `InvalidState` if it was started before; `Execute` when the program cannot be executed, after which
/// the container is stopped.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct StartContainer {
    /// The container's id.
    pub id: String,
}

/// Tells a container's state. Errors: `NotFound`.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct State {
    /// The container's id.
    pub id: String,
}

/// Reply to [`State`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ContainerState {
    /// Where in its life the container is.
    pub status: Status,
    /// The first process' id as the container's PID namespace numbers it; 0 when there is none any more.
    pub init: i32,
}

/// Where in its life a container is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Status {
    /// Made, not started.
    Created,
    /// The first process runs.
    Running,
    /// Frozen.
    Paused,
    /// The first process has ended.
    Stopped,
}

/// Ends all of a container's processes and forgets it; answered when they have ended. Errors: `NotFound`.
///
/// Destroying the sandbox's root container ends the sandbox, as soon as the request is answered.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Destroy {
    /// The container's id.
    pub id: String,
}
