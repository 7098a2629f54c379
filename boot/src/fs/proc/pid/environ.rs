//! `/proc/PID/environ`.

use super::Subject;
use super::cmdline::{MAX_STRINGS, read_range};
use crate::error::Errno;
use crate::task::Task;

/// Makes the text: the environment that the program was started with, as it is in its memory now.
pub(super) fn text(subject: &Subject, reader: &Task) -> Result<Vec<u8>, Errno> {
    let Some(mm) = subject.task_for(reader)?.mm() else { return Ok(Vec::new()) };
    Ok(read_range(&mm, &mm.program().environment, MAX_STRINGS))
}
