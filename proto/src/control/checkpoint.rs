//! `PrepareCheckpoint`, `Checkpoint` and `Restore`: a sandbox goes to disk, and comes back.
//!
//! The kernel opens no files: a client prepares the checkpoint, which tells the processes of the host that hold guest memory,
//! opens their lists of pages, and hands them in with the files that are to be written.

use crate::ByteString;
use crate::codec::{Decode, Encode};
use crate::container::ContainerSpec;

/// Tells what is needed to save a sandbox that is paused.
///
/// Errors: `NotFound`; `InvalidState` unless the sandbox was paused, and stands still; `Unsupported` if there are several
/// containers.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct PrepareCheckpoint {
    /// The container's id.
    pub id: String,
}

/// Reply to [`PrepareCheckpoint`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct PrepareCheckpointReply {
    /// The processes that hold guest memory, one for each address space, by their ids in the kernel's PID namespace.
    pub processes: Vec<i32>,
}

/// Saves a sandbox that is paused, and stays so.
///
/// Descriptors: the files to be written ([`KERNEL`](crate::snapshot::KERNEL), [`HEADER`](crate::snapshot::HEADER) and
/// [`DATA`](crate::snapshot::DATA)), then a socket by which further descriptors come: the `pagemap` of each process of
/// [`PrepareCheckpointReply`], in their order, in packets of [`PAGEMAPS_PER_PACKET`](crate::snapshot::PAGEMAPS_PER_PACKET)
/// at most.
///
/// Errors: `NotFound`; `InvalidState` as for [`PrepareCheckpoint`]; `Unsupported` for what can't be saved, with the object
/// and the process; `Os` when a file can't be written.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Checkpoint {
    /// The container's id.
    pub id: String,
    /// The id of the snapshot.
    pub build: [u8; 16],
}

/// Reply to [`Checkpoint`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct CheckpointReply {
    /// The files that were written, in the order of the request's descriptors.
    pub files: Vec<FileSum>,
}

/// The size and the sum of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct FileSum {
    /// The size in bytes.
    pub bytes: u64,
    /// The CRC-32 (of IEEE 802.3) of its contents.
    pub crc32: u32,
}

/// Makes a container as it was saved, in a kernel that has none. It is paused: [`Resume`](super::Resume) lets it go on.
///
/// Descriptors: those of [`CreateContainer`](super::CreateContainer), then the files of the snapshot, to be read:
/// [`KERNEL`](crate::snapshot::KERNEL), [`HEADER`](crate::snapshot::HEADER), and the [`DATA`](crate::snapshot::DATA) of each build
/// that the header lists, in its order.
///
/// Errors: `AlreadyExists`; `InvalidArgument` for a wrong number of descriptors, an image that makes no sense, or a container
/// that is not like the one that was saved; `Os` with what can't be brought back.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Restore {
    /// The container's id, which may be another than before.
    pub id: String,
    /// What the container is now.
    pub spec: Box<ContainerSpec>,
    /// How private memory is brought back; what processes share is always copied.
    pub memory: RestoreMemory,
    /// How many builds have pages.
    pub builds: u32,
    /// Whether it is what was saved, or a copy.
    pub identity: RestoreAs,
}

/// Whether what is brought back is what was saved, or a copy beside others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub enum RestoreAs {
    /// It is what was saved.
    #[default]
    Itself,
    /// It is a copy.
    Copy {
        /// Its host name, if it is to have another one.
        hostname: Option<ByteString>,
        /// What it can read in `/proc/cloister/environment`, each `NAME=value`.
        environment: Vec<ByteString>,
    },
}

/// How memory is brought back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum RestoreMemory {
    /// All of it is copied.
    Eager,
    /// Pages are mapped, privately, so that the host reads them when they are touched, and all that were restored from the same
    /// build share them. The caller answers for it that the files are as they were written, and stay so.
    Map,
}
