//! Containers on disk: `ROOT/ID/` holds all that is known of a container between two calls of `cloister`.
//!
//! | file | what |
//! |---|---|
//! | `state.json` | [`Record`]; written last, so a folder without it is a creation that failed or goes on |
//! | `config.json` | the OCI configuration as it was at creation |
//! | `control.sock` | the kernel's control socket; for a container that joined a sandbox, a link to that of its root container |
//! | `log` | what kernel and gofer have to say |
//! | `suspension.json`, `suspended` | see [`Suspension`] |
//! | `lifetime.json`, `activity` | see [`Lifetime`] |
//! | `images/` | what the container is suspended to |
//!
//! The folder itself is the lock ([`Entry`]): it is `flock`ed while a command works on the container.

mod entry;
mod error;
mod id;
mod lifetime;
mod oci;
mod process;
mod record;
mod store;
mod suspension;

pub use entry::Entry;
pub use error::StateError;
pub use id::ContainerId;
pub use lifetime::{Lifetime, Then, Use};
pub use oci::{OciState, Status};
pub use process::ProcessIdentity;
pub use record::{Record, RootWrites};
pub use store::Store;
pub use suspension::Suspension;
