//! `/proc/PID/cgroup`.

use super::Subject;
use crate::error::Errno;
use crate::task::Task;

/// Makes the text: all are in the root of the one hierarchy.
pub(super) fn text(_subject: &Subject, _reader: &Task) -> Result<Vec<u8>, Errno> {
    Ok(b"0::/\n".to_vec())
}
