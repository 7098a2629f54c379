//! The kernel's logs: of what it does, of the calls that it does not have, and of its own panics.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::panic::PanicHookInfo;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use clap::ValueEnum;
use tracing_subscriber::filter::{ParseError, filter_fn};
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

/// The target of events that tell a user what the kernel does not have.
pub(crate) const UNSUPPORTED: &str = "unsupported";

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

/// Where the logs go.
#[derive(Debug, Default)]
pub(crate) struct Outputs {
    /// All that the filter lets through; standard error if there is none.
    pub(crate) log: Option<OwnedFd>,
    /// How many bytes that takes.
    pub(crate) limit: Option<u64>,
    /// What the kernel does not have, whatever the filter is.
    pub(crate) unsupported: Option<OwnedFd>,
    /// Panics, which standard error gets as well.
    pub(crate) panics: Option<OwnedFd>,
    /// The form of the first two.
    pub(crate) format: Format,
}

/// What is kept of the log once it was started.
#[derive(Debug)]
struct Started {
    filter: reload::Handle<EnvFilter, Registry>,
    /// Whether the log is another file than standard error.
    is_apart: bool,
}

static STARTED: OnceLock<Started> = OnceLock::new();

/// Starts the logs of the sandbox `id`, the first of which begins at `level`.
pub(crate) fn start(id: &str, outputs: Outputs, level: &str) {
    let Outputs { log, limit, unsupported, panics, format } = outputs;
    let is_apart = log.as_ref().is_some_and(|log| !is_same_file(log, rustix::stdio::stderr()));
    let writer = match log {
        Some(fd) => BoxMakeWriter::new(Arc::new(Bounded::new(File::from(fd), limit.unwrap_or(u64::MAX)))),
        None => BoxMakeWriter::new(io::stderr),
    };
    let (filter, handle) = reload::Layer::new(EnvFilter::new(with_strace(level)));
    let log = layer(format, writer).with_filter(filter);
    let unsupported = unsupported.map(|fd| {
        let writer = BoxMakeWriter::new(Arc::new(File::from(fd)));
        layer(format, writer).with_filter(filter_fn(|event| event.target() == UNSUPPORTED))
    });
    // It fails only if a log was started before: that one goes on.
    if tracing_subscriber::registry().with(log).with(unsupported).try_init().is_ok() {
        let _ = STARTED.set(Started { filter: handle, is_apart });
    }
    let reporter = PanicReporter { id: id.to_owned(), file: panics.map(File::from) };
    std::panic::set_hook(Box::new(move |info| reporter.report(info)));
}

/// Changes what is logged: a level, or directives such as `info,cloister_boot::fs=debug`.
///
/// # Errors
///
/// The filter is none.
pub(crate) fn set_filter(directives: &str) -> Result<(), ParseError> {
    let filter = EnvFilter::builder().parse(with_strace(directives))?;
    if let Some(started) = STARTED.get() {
        // The subscriber is there for as long as the process is.
        let _ = started.filter.reload(filter);
    }
    Ok(())
}

/// Tells of what ends the process: on standard error, where its parent looks, and in the log.
pub(crate) fn report(failure: &dyn std::fmt::Display) {
    // There is nobody to tell that it can't be written.
    let _ = writeln!(io::stderr(), "cloister-boot: {failure}");
    if STARTED.get().is_some_and(|started| started.is_apart) {
        tracing::error!("{failure}");
    }
}

/// The strace has a switch of its own.
fn with_strace(directives: &str) -> String {
    format!("{directives},strace=info")
}

fn layer<S>(format: Format, writer: BoxMakeWriter) -> Box<dyn Layer<S> + Send + Sync>
where
    S: tracing::Subscriber + for<'a> LookupSpan<'a>,
{
    let layer = fmt::layer().with_writer(writer).with_ansi(false);
    match format {
        Format::Text => layer.boxed(),
        Format::Json => layer.json().flatten_event(true).boxed(),
    }
}

fn is_same_file(one: impl std::os::fd::AsFd, other: impl std::os::fd::AsFd) -> bool {
    let identity = |stat: rustix::fs::Stat| (stat.st_dev, stat.st_ino);
    let (one, other) = (rustix::fs::fstat(one).map(identity), rustix::fs::fstat(other).map(identity));
    one.is_ok() && one == other
}

/// What is done about a panic before it ends the process.
#[derive(Debug)]
struct PanicReporter {
    id: String,
    file: Option<File>,
}

impl PanicReporter {
    /// Tells of the panic wherever an operator may look, and ends the process: a kernel that has lost one of its threads
    /// keeps no promise.
    fn report(&self, info: &PanicHookInfo<'_>) {
        let (process, thread) = (std::process::id(), std::thread::current());
        let thread = thread.name().unwrap_or("unnamed");
        let line =
            format!("sandbox {}: thread {thread} of process {process} {info}", self.id).replace('\n', " ");
        if let Some(mut file) = self.file.as_ref() {
            let _ = writeln!(file, "{line}");
        }
        report(&line);
        std::process::abort();
    }
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
        assert_eq!(text_of(log.inner), "12345\nthe log is full; what follows is left out\n");
    }

    fn text_of(mut file: File) -> String {
        file.rewind().unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        text
    }

    const PANIC_FD: &str = "CLOISTER_TEST_PANIC_FD";

    #[test]
    #[ignore = "is run by another test as a program of its own"]
    fn panic_with_a_hook() {
        let number = std::env::var(PANIC_FD).unwrap().parse().unwrap();
        let panics = Some(cloister_proto::transport::adopt(number).unwrap());
        start("box", Outputs { panics, ..Outputs::default() }, "warn");
        std::thread::Builder::new()
            .name("worker".into())
            .spawn(|| panic!("lost\ncount"))
            .unwrap()
            .join()
            .unwrap_err();
    }

    #[test]
    fn a_panic_is_told_and_ends_the_process() {
        let file: File = rustix::fs::memfd_create("panics", rustix::fs::MemfdFlags::empty()).unwrap().into();
        let number = std::os::fd::AsRawFd::as_raw_fd(&file).to_string();
        let done = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["log::tests::panic_with_a_hook", "--exact", "--ignored", "--nocapture"])
            .env(PANIC_FD, number)
            .output()
            .unwrap();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&done.status), Some(libc::SIGABRT));
        let told = text_of(file);
        assert!(told.contains("sandbox box: thread worker of process "), "{told}");
        assert!(told.ends_with("lost count\n") && told.lines().count() == 1, "{told}");
        assert!(String::from_utf8(done.stderr).unwrap().contains(told.trim_end()));
    }

    #[test]
    fn filters_are_directives() {
        for good in ["debug", "info,cloister_boot::fs=debug"] {
            set_filter(good).unwrap();
        }
        set_filter("x=loud").unwrap_err();
    }
}
