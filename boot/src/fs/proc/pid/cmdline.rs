//! `/proc/PID/cmdline`.

use std::ops::Range;
use std::sync::Arc;

use super::Subject;
use crate::error::Errno;
use crate::mm::Mm;
use crate::task::Task;

/// The most bytes of arguments or environment that are shown: what `execve` takes at most.
pub(super) const MAX_STRINGS: u64 = 6 << 20;

/// Makes the text: the arguments as they are in the program's memory now; nothing for a zombie.
pub(super) fn text(subject: &Subject, _reader: &Task) -> Result<Vec<u8>, Errno> {
    Ok(subject.mm().map(|mm| command_line(&mm, MAX_STRINGS)).unwrap_or_default())
}

/// Returns at most `most` bytes of the arguments of the program in an address space, each with a NUL behind it.
pub(crate) fn command_line(mm: &Arc<Mm>, most: u64) -> Vec<u8> {
    let program = mm.program();
    let arguments = read_range(mm, &program.arguments, most);
    // A program that has overwritten the final NUL shows a title instead, which may go on in the environment
    // (`setproctitle`).
    if arguments.last().is_none_or(|byte| *byte == 0) {
        return arguments;
    }
    let both = read_range(mm, &(program.arguments.start..program.environment.end), most);
    let end = both.iter().position(|byte| *byte == 0).map_or(both.len(), |nul| nul + 1);
    both.get(..end).unwrap_or_default().to_vec()
}

/// Returns what can be read of a range of a program's memory, at most `most` bytes.
pub(super) fn read_range(mm: &Arc<Mm>, range: &Range<u64>, most: u64) -> Vec<u8> {
    let len = range.end.saturating_sub(range.start).min(most);
    let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
    let read = mm.space().read(range.start, &mut bytes);
    bytes.truncate(read);
    bytes
}
