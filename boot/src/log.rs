//! The kernel's log.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

/// The form of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Lines for people
    #[default]
    Text,
    /// A JSON object a line
    Json,
}

/// Sends the log to `fd`, or to standard error.
pub(crate) fn start(fd: Option<OwnedFd>, format: Format, level: &str) {
    // The strace has a switch of its own.
    let filter = format!("{level},strace=info");
    let writer = match fd {
        Some(fd) => BoxMakeWriter::new(Arc::new(File::from(fd))),
        None => BoxMakeWriter::new(std::io::stderr),
    };
    let builder = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_writer(writer)
        .with_ansi(false);
    // It fails only if a log was started before: that one goes on.
    let _ = match format {
        Format::Text => builder.try_init(),
        Format::Json => builder.json().flatten_event(true).try_init(),
    };
}
