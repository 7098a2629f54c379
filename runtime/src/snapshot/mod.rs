//! Snapshots on disk: written in one step, and checked before they are used.
//!
//! The form is [`cloister_proto::snapshot`]'s. A snapshot is written to a folder beside its place and renamed when all of it
//! is on the disk, so that its place holds a whole one or none, whatever happens meanwhile.

mod error;
mod manifest;
mod reading;
mod writing;

pub use error::SnapshotError;
pub use manifest::{FileEntry, Manifest};
pub use reading::{Snapshot, Verify};
pub use writing::NewSnapshot;

/// The files of a snapshot besides the manifest, in the order in which the kernel writes them.
const FILES: [&str; 3] =
    [cloister_proto::snapshot::KERNEL, cloister_proto::snapshot::HEADER, cloister_proto::snapshot::DATA];
