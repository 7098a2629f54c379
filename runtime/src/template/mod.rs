//! Templates: containers that were saved, to have copies made of them.
//!
//! A template is a folder below the [folder of all](Templates):
//!
//! | file | what |
//! |---|---|
//! | `template.json` | [`Description`] |
//! | `config.json` | the configuration of the container that it was made of |
//! | `snapshot/` | the container, see [`crate::snapshot`] |
//!
//! It is made beside its place, and renamed when all of it is on the disk; what never changes from then on can be shared by all
//! copies. What is left of one that was not made to the end is removed by the next that is made or removed.
//!
//! Copies share the root file system of the host with the container that the template was made of. So a template is made only
//! of a container that does not write there: its root is read-only, or has an overlay in memory. Other mounts of the host are
//! shared, as volumes are.

mod error;
mod name;
mod spawn;
mod store;

pub use error::TemplateError;
pub use name::TemplateName;
pub use spawn::{Personal, spawn};
pub use store::{Description, Source, Template, Templates};
