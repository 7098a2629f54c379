//! The kernel's log.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

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

/// A log that takes so many bytes and no more: what the guest does must not fill the host's disk.
#[derive(Debug)]
struct Bounded<W> {
    inner: W,
    left: AtomicU64,
}

const FULL: &[u8] = b"the log is full; what follows is left out\n";

impl<W> Bounded<W> {
    fn new(inner: W, limit: u64) -> Self {
        Self { inner, left: AtomicU64::new(limit) }
    }
}

impl<W> Write for &Bounded<W>
where
    for<'a> &'a W: Write,
{
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let take = |left: u64| left.checked_sub(bytes.len() as u64).or_else(|| (left > 0).then_some(0));
        match self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take) {
            // What is left out counts as written: nobody is to try it again.
            Err(_) => Ok(bytes.len()),
            Ok(left) if left < bytes.len() as u64 => (&self.inner).write_all(FULL).map(|()| bytes.len()),
            Ok(_) => (&self.inner).write_all(bytes).map(|()| bytes.len()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        (&self.inner).flush()
    }
}

/// Sends the log to `fd`, or to standard error; at most `limit` bytes.
pub(crate) fn start(fd: Option<OwnedFd>, limit: u64, format: Format, level: &str) {
    // The strace has a switch of its own.
    let filter = format!("{level},strace=info");
    let writer = match fd {
        Some(fd) => BoxMakeWriter::new(Arc::new(Bounded::new(File::from(fd), limit))),
        None => BoxMakeWriter::new(io::stderr),
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Seek};

    #[test]
    fn a_full_log_says_so_once() {
        let file: File = rustix::fs::memfd_create("log", rustix::fs::MemfdFlags::CLOEXEC).unwrap().into();
        let log = Bounded::new(file, 10);
        for line in ["12345\n", "1234\n", "1\n", "2\n"] {
            assert_eq!((&log).write(line.as_bytes()).unwrap(), line.len());
        }
        let mut file = log.inner;
        file.rewind().unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "12345\nthe log is full; what follows is left out\n");
    }
}
