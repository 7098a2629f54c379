//! The log, in the forms that callers of `runc` read: `time="…" level=… msg="…"`, or JSON objects with these keys.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};

use anyhow::Context as _;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::Global;
use super::args::LogFormat;

/// The log.
#[derive(Debug)]
pub(crate) struct Log {
    file: Option<File>,
}

impl Log {
    /// Opens the log and has all events of this process go there: to the file, else to standard error.
    pub(crate) fn open(global: &Global) -> anyhow::Result<Self> {
        let file = match &global.log {
            None => None,
            Some(path) => Some(
                OpenOptions::new()
                    .create(true)
                    .append(true)
                    .open(path)
                    .with_context(|| format!("cannot open the log {}", path.display()))?,
            ),
        };
        let level = if global.debug { Level::DEBUG } else { Level::WARN };
        let builder = tracing_subscriber::fmt().with_max_level(level);
        match &file {
            Some(file) => {
                let form = Form::File(global.log_format);
                builder.event_format(form).with_writer(file.try_clone()?).init();
            }
            None => builder.event_format(Form::Terminal).with_writer(io::stderr).init(),
        }
        Ok(Self { file })
    }

    /// The file, if there is one.
    pub(crate) fn file(&self) -> Option<&File> {
        self.file.as_ref()
    }
}

/// Tells the user of the failure that ends this process: on standard error, and in the log file if there is one.
pub(crate) fn report(error: &anyhow::Error, has_file: bool) {
    let text = one_line(error);
    if has_file {
        tracing::error!("{text}");
    }
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
    ) -> fmt::Result {
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
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        use fmt::Write as _;
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
