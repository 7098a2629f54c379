//! The sandboxes of a host, for an agent that manages them.
//!
//! A [`Manager`] has no state of its own: what there is is on the disk, and what runs is asked. So several may work beside each
//! other and beside the `cloister` command, and one that was killed is followed by the next, which begins with
//! [`Manager::reconcile`]. An operation that fails has left nothing, or all as it was.
//!
//! What is to be done when is decided by functions that look at nothing but their arguments ([`decide`]); it is for the caller to
//! call [`Manager::reap`] from time to time. Calls block, each on one sandbox: an agent has as many threads as it likes.
//!
//! ```no_run
//! use std::time::{Duration, SystemTime};
//! use cloister_runtime::manager::{Command, Config, Lifetime, Manager, Origin, Then};
//! use cloister_runtime::state::Store;
//!
//! let manager = Manager::new(Config::new(Store::of_user()?));
//! manager.reconcile()?;
//! let lifetime = Lifetime { idle: Some(Duration::from_secs(300)), then: Then::Suspend };
//! let id = "job-1".parse()?;
//! manager.create(&id, Origin::template("python".parse()?), lifetime)?;
//! let output = manager.exec(&id, &Command::new(["python3", "-c", "print(6 * 7)"]))?;
//! assert_eq!(output.stdout, b"42\n");
//! manager.reap(SystemTime::now())?;
//! manager.destroy(&id)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! `examples/manager.rs` is a whole program.

mod command;
pub mod decide;
mod error;
mod operations;
mod upkeep;

pub use command::{Command, Output, Running};
pub use error::ManagerError;
pub use operations::{Config, Manager, Origin, Sandbox};
pub use upkeep::Report;

pub use crate::state::{Lifetime, Then};
pub use cloister_proto::container::Overlay;
pub use cloister_proto::control::ExitStatus;
