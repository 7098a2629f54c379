//! Tests and benchmarks that drive the built programs.
//!
//! A test describes a [`Program`]: a command, a root file system and mounts. It is run in a [`Place`]: natively under
//! `chroot`, inside Cloister, or inside another OCI runtime, always from the same description, so that what comes out
//! can be compared. The kernel's behaviour is pinned down by the C programs in `guest/` ([`guest`]), which pass on plain
//! Linux first; what does not work yet is named, with a reason, in `known-failures.txt` ([`known`]), and nowhere else.
//!
//! Errors are `anyhow`'s here: nothing but people reads them.

pub mod bench;
pub mod bundle;
pub mod console;
pub mod container;
pub mod containerd;
pub mod exclusive;
pub mod guest;
pub mod image;
pub mod interrupted;
mod kcmp;
pub mod known;
pub mod leaks;
pub mod paths;
pub mod peers;
pub mod place;
pub mod process;
pub mod processes;
pub mod program;
pub mod rootfs;
pub mod session;
mod soon;

pub use container::Container;
pub use containerd::Containerd;
pub use place::Place;
pub use process::{Finished, Status};
pub use program::Program;
pub use rootfs::Rootfs;
pub use session::Session;
pub use soon::soon;
