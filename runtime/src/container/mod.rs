//! The life of a container, a file for each verb.

mod checkpoint;
mod connect;
mod console;
mod create;
mod delete;
mod error;
mod join;
mod kill;
mod start;
mod stats;
mod status;
mod suspend;
mod update;
mod usage;

pub use checkpoint::{AfterCheckpoint, checkpoint};
pub use connect::{REPLY_TIMEOUT, connect};
pub use console::Console;
pub use create::{CreateOptions, Created, create, write_pid_file};
pub use delete::delete;
pub use error::ContainerError;
pub use join::{DeputyCommand, attend};
pub use kill::{kill, parse_signal};
pub use start::{start, start_with};
pub use stats::stats;
pub use status::{state, status};
pub use suspend::{end_remains, suspend, wake};
pub use update::update;
pub use usage::{Usage, file_server_of, programs_of};
