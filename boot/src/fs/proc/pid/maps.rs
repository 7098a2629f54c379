//! `/proc/PID/maps` and `/proc/PID/smaps`.

use std::fmt::Write;
use std::ops::Range;
use std::sync::Arc;

use cloister_platform::Protection;

use super::Subject;
use crate::error::Errno;
use crate::fs::Path;
use crate::mm::{Mm, ObjectOwner, Vma, VmaName};
use crate::task::Task;

/// The column that names start in.
const NAME_COLUMN: usize = 73;

/// Makes the text of `maps`.
pub(super) fn text(subject: &Subject, reader: &Task) -> Result<Vec<u8>, Errno> {
    describe(subject, reader, |_, _, _| {})
}

/// Makes the text of `smaps`: how much is resident is known only to the host, so all that is accessible is told.
pub(super) fn smaps(subject: &Subject, reader: &Task) -> Result<Vec<u8>, Errno> {
    describe(subject, reader, |text, range, vma| {
        let size = (range.end - range.start) / 1024;
        let resident = if vma.protection.is_empty() { 0 } else { size };
        let (shared, private) = if vma.is_shared() { (resident, 0) } else { (0, resident) };
        let anonymous = if vma.object().is_none() { resident } else { 0 };
        let rows = [
            ("Size", size),
            ("KernelPageSize", 4),
            ("MMUPageSize", 4),
            ("Rss", resident),
            ("Pss", resident),
            ("Shared_Clean", 0),
            ("Shared_Dirty", shared),
            ("Private_Clean", 0),
            ("Private_Dirty", private),
            ("Referenced", resident),
            ("Anonymous", anonymous),
            ("Swap", 0),
            ("Locked", 0),
        ];
        for (name, kib) in rows {
            // Writing to a string can't fail.
            let _ = writeln!(text, "{:<16}{kib:>8} kB", format!("{name}:"));
        }
    })
}

fn describe(
    subject: &Subject,
    reader: &Task,
    more: fn(&mut String, &Range<u64>, &Vma),
) -> Result<Vec<u8>, Errno> {
    let Some(mm) = subject.task_for(reader)?.mm() else { return Ok(Vec::new()) };
    let root = reader.fs().root();
    let mut text = String::new();
    for (range, vma) in mm.mappings() {
        line(&mut text, &mm, &root, &range, &vma);
        more(&mut text, &range, &vma);
    }
    Ok(text.into_bytes())
}

fn line(text: &mut String, mm: &Arc<Mm>, root: &Path, range: &Range<u64>, vma: &Vma) {
    let bit = |bits, letter| if vma.protection.contains(bits) { letter } else { '-' };
    let (object, offset) = vma.object().map_or((None, 0), |(object, offset)| (Some(object), offset));
    let file = object.and_then(|object| object.file());
    let device = file.map_or((0, 0), |file| file.inode().file_system().device());
    let inode = file.and_then(|file| file.inode().attributes().ok()).map_or(0, |attributes| attributes.inode);
    let start = text.len();
    // Writing to a string can't fail.
    let _ = write!(
        text,
        "{:08x}-{:08x} {}{}{}{} {offset:08x} {:02x}:{:02x} {inode} ",
        range.start,
        range.end,
        bit(Protection::READ, 'r'),
        bit(Protection::WRITE, 'w'),
        bit(Protection::EXECUTE, 'x'),
        if vma.is_shared() { 's' } else { 'p' },
        device.0,
        device.1,
    );
    let name = match (&vma.name, file, object.map(|object| object.owner())) {
        (_, Some(file), _) => {
            String::from_utf8_lossy(&file.path().to_text(root).for_proc()).replace('\n', "\\012")
        }
        (VmaName::Vdso, ..) => "[vdso]".to_owned(),
        (_, None, Some(ObjectOwner::SystemV(key))) => format!("/SYSV{key:08x} (deleted)"),
        (_, None, Some(_)) => "/dev/zero (deleted)".to_owned(),
        (VmaName::Anonymous(name), ..) => format!("[anon:{name}]"),
        (VmaName::None, ..) => special_name(mm, range).to_owned(),
    };
    if !name.is_empty() {
        let width = text.len() - start;
        text.extend(std::iter::repeat_n(' ', NAME_COLUMN.saturating_sub(width)));
        text.push_str(&name);
    }
    text.push('\n');
}

/// Returns the name of anonymous memory that the kernel has made.
fn special_name(mm: &Mm, range: &Range<u64>) -> &'static str {
    let (heap, stack) = (mm.heap(), mm.program().stack_start);
    if range.start < heap.end && heap.start < range.end {
        "[heap]"
    } else if range.contains(&stack) {
        "[stack]"
    } else {
        ""
    }
}
