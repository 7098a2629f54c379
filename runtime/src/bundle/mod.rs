//! OCI bundles: reading, checking, and reducing them to what the kernel is given.
//!
//! Source of behaviour: the OCI runtime specification, `config.md` and `config-linux.md`.

mod attributes;
mod convert;
mod default;
mod error;
mod load;
mod mounts;
mod options;
mod pod;
mod process;
mod seccomp;
mod unsupported;

pub use convert::{Prepared, prepare};
pub use default::default_config;
pub use error::BundleError;
pub use load::{Bundle, parse_process};
pub(crate) use mounts::host_bind;
pub use options::names as mount_option_names;
pub use pod::{Pod, Role, network_path};
pub use process::convert as convert_process;
pub(crate) use process::override_variables;
