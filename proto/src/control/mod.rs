//! What the runtime asks of a sandbox's kernel, and the answers.
//!
//! A client connects to the control socket and sends [`Envelope`]s with [`Request`]s; the kernel answers each with an
//! envelope of the same id, not necessarily in order: a [`Wait`] is answered when the container ends, and does not hold up
//! what is asked after it. The first request of a connection is [`Hello`]; the kernel refuses all others before it.
//!
//! Each method is a type of its own with the type of its reply ([`Method`]); [`Client`] ties both together.

mod checkpoint;
mod client;
mod container;
mod debug;
mod execute;
mod freeze;
mod hello;
mod keep;
mod limits;
mod message;
mod processes;
mod read_file;
mod signal;
mod timeline;
mod wait;

pub use checkpoint::{
    Checkpoint, CheckpointReply, FileSum, PrepareCheckpoint, PrepareCheckpointReply, Restore, RestoreAs,
    RestoreMemory,
};
pub use client::{Client, ClientError, Event, Ticket};
pub use container::{ContainerState, CreateContainer, Destroy, StartContainer, State, Status};
pub use debug::{SetLog, Stacks, StacksReply, Statistics, StatisticsReply, Strace};
pub use execute::{Execute, ExecuteReply, OnHangUp};
pub use freeze::{Hold, Otherwise, Pause, Resume};
pub use hello::Hello;
pub use keep::Keep;
pub use limits::SetLimits;
pub use message::{Done, Envelope, ErrorKind, Failure, Method, Request, Response};
pub use processes::{Process, Processes, ProcessesReply};
pub use read_file::{ReadFile, ReadFileReply};
pub use signal::{Signal, SignalTarget};
pub use timeline::{Mark, Timeline, TimelineReply};
pub use wait::{ExitStatus, Wait, WaitPid};
