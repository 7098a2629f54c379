//! The log, in the forms that callers of `runc` read: `time="…" level=… msg="…"`, or JSON objects with these keys.

use std::fs::File;
use std::io::{self, Write};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{self, FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use super::Global;
use super::args::LogFormat;
use super::log_pattern::{Names, append};

/// The log.
#[derive(Debug)]
pub(crate) struct Log {
    file: Option<File>,
}

impl Log {
    /// Opens the log and has all events of this process go there: to the file, else to standard error.
    ///
    /// The log of `--debug-log` gets them as well.
    pub(crate) fn open(global: &Global, names: &Names) -> anyhow::Result<Self> {
        let file = global.log.as_deref().map(append).transpose()?;
        let form = Form::File(global.log_format);
        let main = match &file {
            Some(file) => fmt::layer().event_format(form).with_writer(file.try_clone()?).boxed(),
            None => {
                let others = filter_fn(|event| event.target() != FAILURE);
                fmt::layer().event_format(Form::Terminal).with_writer(io::stderr).with_filter(others).boxed()
            }
        };
        let main = main.with_filter(global.log_level().filter());
        let debug = match &global.logs.debug_log {
            Some(pattern) => {
                let layer = fmt::layer().event_format(form).with_writer(pattern.open(names)?);
                Some(layer.with_filter(global.debug_log_level().filter()))
            }
            None => None,
        };
        tracing_subscriber::registry().with(main).with(debug).init();
        Ok(Self { file })
    }

    /// The file, if there is one.
    pub(crate) fn file(&self) -> Option<&File> {
        self.file.as_ref()
    }
}

/// The target of the failure that ends this process, which is told on standard error anyway.
const FAILURE: &str = "failure";

/// Tells the user of the failure that ends this process: on standard error, and in the log files.
pub(crate) fn report(error: &anyhow::Error) {
    let text = one_line(error);
    tracing::error!(target: FAILURE, "{text}");
    // There is nowhere left to tell that standard error is closed.
    let _ = writeln!(io::stderr(), "cloister: {text}");
}

/// An error with its causes on one line. Causes that an error tells itself are not told again.
pub(super) fn one_line(error: &anyhow::Error) -> String {
    error.chain().skip(1).map(ToString::to_string).fold(error.to_string(), |text, cause| {
        if text.contains(&cause) { text } else { format!("{text}: {cause}") }
    })
}

/// Form of an event.
#[derive(Clone, Copy)]
enum Form {
    /// For people: `cloister: level: message`.
    Terminal,
    /// For programs.
    File(LogFormat),
}

impl<S, N> FormatEvent<S, N> for Form
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> std::fmt::Result {
        let mut message = Message::default();
        event.record(&mut message);
        let message = message.0;
        let level = level(*event.metadata().level());
        let time = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ");
        match self {
            Self::Terminal => writeln!(writer, "cloister: {level}: {message}"),
            Self::File(LogFormat::Text) => writeln!(writer, "time=\"{time}\" level={level} msg={message:?}"),
            Self::File(LogFormat::Json) => {
                let line = serde_json::json!({ "level": level, "msg": message, "time": time.to_string() });
                writeln!(writer, "{line}")
            }
        }
    }
}

/// `runc`'s names of levels.
fn level(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warning",
        Level::INFO => "info",
        Level::DEBUG | Level::TRACE => "debug",
    }
}

/// The message of an event with its fields behind it.
#[derive(Default)]
struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        use std::fmt::Write as _;
        // Writing to a string does not fail.
        let _ = match field.name() {
            "message" => write!(self.0, "{value:?}"),
            name => write!(self.0, " {name}={value:?}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::anyhow;

    #[test]
    fn causes_are_told_once() {
        let error =
            anyhow!("no space").context("cannot write: no space; remove files").context("cannot start");
        assert_eq!(one_line(&error), "cannot start: cannot write: no space; remove files");
    }
}
