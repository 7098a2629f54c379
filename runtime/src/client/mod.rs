//! Programs in sandboxes, for programs: an interface like [`std::process`]'s.
//!
//! A [`Sandbox`] is an OCI bundle that was looked at; each [`Command`] of it runs in a sandbox of its own, which is gone when the
//! command has ended. It is the `cloister` program that does the work, so nothing of a sandbox is in the caller's process.
//!
//! ```no_run
//! use std::time::Duration;
//! use cloister_runtime::client::Sandbox;
//!
//! let sandbox = Sandbox::new("/srv/python")?;
//! let output = sandbox
//!     .command("python3", ["-c", "print(input()[::-1])"])
//!     .stdin("untrusted")
//!     .timeout(Duration::from_secs(5))
//!     .output_limit(1 << 20)
//!     .output()?;
//! assert_eq!(output.stdout, b"detsurtnu\n");
//! # Ok::<(), cloister_runtime::client::ClientError>(())
//! ```
//!
//! `examples/untrusted.rs` is a whole program.

mod child;
mod command;
mod error;
mod sandbox;

pub use child::{Child, Output};
pub use command::Command;
pub use error::ClientError;
pub use sandbox::Sandbox;
