//! Envelopes, and the enumerations of all requests and responses.

use super::{
    Checkpoint, CheckpointReply, ContainerState, CreateContainer, Destroy, Execute, ExecuteReply, ExitStatus,
    Hello, Hold, Keep, Pause, PrepareCheckpoint, PrepareCheckpointReply, Processes, ProcessesReply, ReadFile,
    ReadFileReply, Restore, Resume, SetLimits, SetLog, Signal, Stacks, StacksReply, StartContainer, State,
    Statistics, StatisticsReply, Strace, Timeline, TimelineReply, Wait, WaitPid,
};
use crate::codec::{Decode, Encode};
use crate::version::Handshake;

/// A request or response with the number that ties them together.
///
/// The client chooses the id; it is unique among the requests of its connection that are not answered yet.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Envelope<T> {
    /// The request's id.
    pub id: u64,
    /// The request or response.
    pub body: T,
}

/// A request with the type of its reply.
pub trait Method: Into<Request> {
    /// The reply to a success.
    type Reply: TryFrom<Response, Error = Response>;
}

/// Ties each variant of [`Request`] to its type and that to its reply.
macro_rules! requests {
    ($($name:ident -> $reply:ident),+ $(,)?) => {
        impl Request {
            /// The method's name, for logs and errors.
            #[must_use]
            pub fn name(&self) -> &'static str {
                match self { $(Self::$name(_) => stringify!($name),)+ }
            }
        }

        $(
            impl From<$name> for Request {
                fn from(request: $name) -> Self {
                    Self::$name(request)
                }
            }

            impl Method for $name {
                type Reply = $reply;
            }
        )+
    };
}

/// Ties each variant of [`Response`] to its type.
macro_rules! responses {
    ($($name:ident),+ $(,)?) => {
        $(
            impl From<$name> for Response {
                fn from(reply: $name) -> Self {
                    Self::$name(reply)
                }
            }

            impl TryFrom<Response> for $name {
                type Error = Response;

                fn try_from(response: Response) -> Result<Self, Response> {
                    match response {
                        Response::$name(reply) => Ok(reply),
                        other => Err(other),
                    }
                }
            }
        )+
    };
}

/// All requests.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Request {
    // `Hello` stays first: its encoding must be the same in all versions for a mismatch to be told.
    /// Opens the conversation.
    Hello(Hello),
    /// Makes a container.
    CreateContainer(CreateContainer),
    /// Starts a container's first process.
    StartContainer(StartContainer),
    /// Waits for a container's end.
    Wait(Wait),
    /// Sends a signal into a container.
    Signal(Signal),
    /// Tells a container's state.
    State(State),
    /// Lists a container's processes.
    Processes(Processes),
    /// Starts another process in a container.
    Execute(Execute),
    /// Waits for the end of a process started by [`Execute`].
    WaitPid(WaitPid),
    /// Freezes a container.
    Pause(Pause),
    /// Lets a frozen container go on.
    Resume(Resume),
    /// Changes which system calls are traced.
    Strace(Strace),
    /// Changes what is logged.
    SetLog(SetLog),
    /// Tells what every task is doing.
    Stacks(Stacks),
    /// Removes a container.
    Destroy(Destroy),
    /// Tells what a container uses.
    Statistics(Statistics),
    /// Changes limits.
    SetLimits(SetLimits),
    /// Reads a file of a container.
    ReadFile(ReadFile),
    /// Has the kernel outlive who started it.
    Keep(Keep),
    /// Tells where the time of the start went.
    Timeline(Timeline),
    /// Tells what is needed to save the sandbox.
    PrepareCheckpoint(PrepareCheckpoint),
    /// Saves the sandbox.
    Checkpoint(Checkpoint),
    /// Brings a sandbox back.
    Restore(Restore),
    /// Ties a container to the connection.
    Hold(Hold),
}

requests! {
    Hello -> Handshake,
    CreateContainer -> Done,
    StartContainer -> Done,
    Wait -> ExitStatus,
    Signal -> Done,
    State -> ContainerState,
    Processes -> ProcessesReply,
    Execute -> ExecuteReply,
    WaitPid -> ExitStatus,
    Pause -> Done,
    Hold -> Done,
    Resume -> Done,
    Strace -> Done,
    SetLog -> Done,
    Stacks -> StacksReply,
    Destroy -> Done,
    Statistics -> StatisticsReply,
    SetLimits -> Done,
    ReadFile -> ReadFileReply,
    Keep -> Done,
    Timeline -> TimelineReply,
    PrepareCheckpoint -> PrepareCheckpointReply,
    Checkpoint -> CheckpointReply,
    Restore -> Done,
}

/// All responses.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Response {
    /// The request failed.
    Error(Failure),
    /// Reply to [`Hello`].
    Handshake(Handshake),
    /// Done; there is nothing to tell.
    Done(Done),
    /// Reply to [`Wait`] and [`WaitPid`].
    ExitStatus(ExitStatus),
    /// Reply to [`State`].
    ContainerState(ContainerState),
    /// Reply to [`Processes`].
    ProcessesReply(ProcessesReply),
    /// Reply to [`Execute`].
    ExecuteReply(ExecuteReply),
    /// Reply to [`Stacks`].
    StacksReply(StacksReply),
    /// Reply to [`Statistics`].
    StatisticsReply(StatisticsReply),
    /// Reply to [`ReadFile`].
    ReadFileReply(ReadFileReply),
    /// Reply to [`Timeline`].
    TimelineReply(TimelineReply),
    /// Reply to [`PrepareCheckpoint`].
    PrepareCheckpointReply(PrepareCheckpointReply),
    /// Reply to [`Checkpoint`].
    CheckpointReply(CheckpointReply),
}

responses! {
    Handshake,
    Done,
    ExitStatus,
    ContainerState,
    ProcessesReply,
    ExecuteReply,
    StacksReply,
    StatisticsReply,
    ReadFileReply,
    TimelineReply,
    PrepareCheckpointReply,
    CheckpointReply,
}

/// The reply of methods that have nothing to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Done;

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// What kind of failure, for programs.
    pub kind: ErrorKind,
    /// What failed and why, one line for people.
    pub message: String,
}

/// Kinds of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum ErrorKind {
    /// No such container or process.
    NotFound,
    /// A container of this id exists already.
    AlreadyExists,
    /// The container is not in the state that the method needs, such as a second start.
    InvalidState,
    /// The request makes no sense: an id of wrong form, a wrong number of descriptors.
    InvalidArgument,
    /// The kernel does not have this method or feature.
    Unsupported,
    /// The peer is of another version.
    Version,
    /// A file system operation on behalf of the request failed with this `errno`.
    Os(i32),
    /// The program cannot be executed, with the `errno` of `execve`: `ENOENT` and `EACCES` become a shell's exit codes
    /// 127 and 126.
    Execute(i32),
    /// A failure inside the kernel.
    Internal,
}

impl Failure {
    /// Makes a failure.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }
}

impl From<Failure> for Response {
    fn from(failure: Failure) -> Self {
        Self::Error(failure)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{decode, encode};
    use crate::container::{ContainerSpec, MountKind, MountSpec, Overlay, ProcessSpec, Rlimit};
    use crate::control::{OnHangUp, SignalTarget};
    use proptest::prelude::*;

    fn process() -> impl Strategy<Value = ProcessSpec> {
        let bytes =
            || prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40).prop_map(Into::into), 0..4);
        let rlimit =
            any::<(u32, u64, u64)>().prop_map(|(resource, soft, hard)| Rlimit { resource, soft, hard });
        (bytes(), bytes(), any::<(u32, bool, Option<i32>)>(), prop::collection::vec(rlimit, 0..3)).prop_map(
            |(args, env, (uid, terminal, oom_score_adj), rlimits)| {
                let mut process =
                    ProcessSpec { args, env, rlimits, terminal, oom_score_adj, ..Default::default() };
                process.user.uid = uid;
                process
            },
        )
    }

    fn mount() -> impl Strategy<Value = MountSpec> {
        let kind = prop_oneof![
            any::<(bool, Option<u64>)>()
                .prop_map(|(shared, size)| MountKind::Gofer { overlay: Overlay::Memory { size }, shared }),
            any::<(Option<u64>, u32)>().prop_map(|(size, mode)| MountKind::Tmpfs {
                size,
                mode,
                uid: 0,
                gid: 1
            }),
            Just(MountKind::Proc),
            Just(MountKind::Cgroup),
        ];
        (kind, any::<(Vec<u8>, u64)>()).prop_map(|(kind, (destination, flags))| MountSpec {
            destination: destination.into(),
            kind,
            flags,
            options: Vec::new(),
        })
    }

    fn request() -> impl Strategy<Value = Request> {
        prop_oneof![
            ("[a-z]{1,9}", process(), prop::collection::vec(mount(), 0..4)).prop_map(
                |(id, process, mounts)| {
                    let spec = ContainerSpec { process, mounts, ..Default::default() };
                    CreateContainer { id, spec: Box::new(spec) }.into()
                }
            ),
            any::<(String, i32, i32)>().prop_map(|(id, signal, pid)| Signal {
                id,
                signal,
                target: SignalTarget::Process(pid)
            }
            .into()),
            any::<String>().prop_map(|id| Wait { id, on_hang_up: OnHangUp::GoOn }.into()),
            any::<String>().prop_map(|calls| Strace { calls }.into()),
        ]
    }

    proptest! {
        #[test]
        fn requests_round_trip(id: u64, body in request()) {
            let envelope = Envelope { id, body };
            prop_assert_eq!(decode::<Envelope<Request>>(&encode(&envelope).unwrap()).unwrap(), envelope);
        }

        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>) {
            let _ = decode::<Envelope<Request>>(&bytes);
            let _ = decode::<Envelope<Response>>(&bytes);
        }

        #[test]
        fn damaged_requests_are_survived(body in request(), at: prop::sample::Index, byte: u8) {
            let mut bytes = encode(&Envelope { id: 1, body }).unwrap();
            let at = at.index(bytes.len());
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
            let _ = decode::<Envelope<Request>>(&bytes);
            bytes.truncate(at);
            prop_assert!(decode::<Envelope<Request>>(&bytes).is_err());
        }
    }

    #[test]
    fn the_handshake_s_encoding_is_the_same_in_all_versions() {
        let handshake = Handshake { protocol: 1, build: "b".into() };
        let bytes = encode(&Envelope { id: 0, body: Request::from(Hello { handshake }) }).unwrap();
        assert_eq!(bytes, [0, 0, 1, 1, b'b']);
    }
}
