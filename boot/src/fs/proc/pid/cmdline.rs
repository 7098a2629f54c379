//! `/proc/PID/cmdline`.

use std::ops::Range;
use std::sync::Arc;

use super::Subject;
use crate::error::Errno;
use crate::mm::Mm;
use crate::task::Task;

/// The most bytes of arguments or environment that are shown: what `execve` takes at most.
const MAX_STRINGS: u64 = 6 << 20;

/// Makes the text: the arguments as they are in the program's memory now; nothing for a zombie.
pub(super) fn text(subject: &Subject, _reader: &Task) -> Result<Vec<u8>, Errno> {
    let Some(mm) = subject.mm() else { return Ok(Vec::new()) };
    let program = mm.program();
    let arguments = read_range(&mm, &program.arguments);
    // A program that has overwritten the final NUL shows a title instead, which may go on in the environment
    // (`setproctitle`).
    if arguments.last().is_none_or(|byte| *byte == 0) {
        return Ok(arguments);
    }
    let both = read_range(&mm, &(program.arguments.start..program.environment.end));
    let end = both.iter().position(|byte| *byte == 0).map_or(both.len(), |nul| nul + 1);
    Ok(both.get(..end).unwrap_or_default().to_vec())
}

/// Returns what can be read of a range of a program's memory.
pub(super) fn read_range(mm: &Arc<Mm>, range: &Range<u64>) -> Vec<u8> {
    let len = range.end.saturating_sub(range.start).min(MAX_STRINGS);
    let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
    let read = mm.space().read(range.start, &mut bytes);
    bytes.truncate(read);
    bytes
}
