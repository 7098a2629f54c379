//! `/proc/PID/limits`.

use std::fmt::Write;

use super::Subject;
use crate::error::Errno;
use crate::task::Task;

/// The names and units of the limits, in the order of their numbers (`getrlimit(2)`).
const NAMES: [(&str, &str); 16] = [
    ("Max cpu time", "seconds"),
    ("Max file size", "bytes"),
    ("Max data size", "bytes"),
    ("Max stack size", "bytes"),
    ("Max core file size", "bytes"),
    ("Max resident set", "bytes"),
    ("Max processes", "processes"),
    ("Max open files", "files"),
    ("Max locked memory", "bytes"),
    ("Max address space", "bytes"),
    ("Max file locks", "locks"),
    ("Max pending signals", "signals"),
    ("Max msgqueue size", "bytes"),
    ("Max nice priority", ""),
    ("Max realtime priority", ""),
    ("Max realtime timeout", "us"),
];

/// Makes the text.
pub(super) fn text(subject: &Subject, _reader: &Task) -> Result<Vec<u8>, Errno> {
    let limits = subject.group()?.rlimits();
    let mut text = format!("{:<26}{:<21}{:<21}Units     \n", "Limit", "Soft Limit", "Hard Limit");
    let value = |limit: u64| if limit == u64::MAX { "unlimited".to_owned() } else { limit.to_string() };
    for ((name, unit), limit) in NAMES.iter().zip(limits.all()) {
        // Writing to a string can't fail.
        let _ = writeln!(text, "{name:<26}{:<21}{:<21}{unit:<10}", value(limit.soft), value(limit.hard));
    }
    Ok(text.into_bytes())
}
