//! `/proc/PID/comm`.

use super::Subject;
use crate::error::Errno;
use crate::prelude::errno;
use crate::task::Task;

/// Makes the text: the name.
pub(super) fn text(subject: &Subject, _reader: &Task) -> Result<Vec<u8>, Errno> {
    let mut name = subject.task()?.name();
    name.push(b'\n');
    Ok(name)
}

/// Sets the name; only the process' own threads may.
pub(super) fn set(subject: &Subject, writer: &Task, value: &[u8]) -> Result<(), Errno> {
    if writer.group().tgid() != subject.tgid {
        return Err(errno::EINVAL);
    }
    subject.task()?.set_name(value);
    Ok(())
}
