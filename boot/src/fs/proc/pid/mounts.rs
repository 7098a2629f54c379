//! `/proc/PID/mounts` and `/proc/PID/mountinfo`.

use std::fmt::Write;
use std::sync::Arc;

use super::Subject;
use crate::error::Errno;
use crate::fs::{Mount, Path};
use crate::task::Task;

/// Makes the text of `mounts` (`fstab(5)` format).
pub(super) fn mounts(subject: &Subject, _reader: &Task) -> Result<Vec<u8>, Errno> {
    describe(subject, |text, mount, point| {
        let kind = mount.file_system.type_name();
        // Writing to a string can't fail.
        let _ = writeln!(
            text,
            "{} {point} {kind} {}{} 0 0",
            escape(mount.source.as_bytes()),
            mount.flags(),
            more(mount)
        );
    })
}

/// Makes the text of `mountinfo` (`proc_pid_mountinfo(5)`).
pub(super) fn mountinfo(subject: &Subject, _reader: &Task) -> Result<Vec<u8>, Errno> {
    describe(subject, |text, mount, point| {
        let parent = mount.mount_point().map_or(0, |point| point.mount.id);
        let (major, minor) = mount.file_system.device();
        let root = escape(&root_within(mount));
        let kind = mount.file_system.type_name();
        let flags = mount.flags();
        let super_flags = if mount.is_read_only() { "ro" } else { "rw" };
        // Writing to a string can't fail.
        let _ = writeln!(
            text,
            "{} {parent} {major}:{minor} {root} {point} {flags} - {kind} {} {super_flags}{}",
            mount.id,
            escape(mount.source.as_bytes()),
            more(mount),
        );
    })
}

fn describe(subject: &Subject, line: fn(&mut String, &Arc<Mount>, &str)) -> Result<Vec<u8>, Errno> {
    let fs = subject.task()?.fs();
    let root = fs.root();
    let mut text = String::new();
    for mount in fs.namespace().mounts() {
        let place = Path::new(Arc::clone(&mount), Arc::clone(&mount.root));
        // What is above the reader's root is not its business.
        if !place.is_within(&root) {
            continue;
        }
        line(&mut text, &mount, &escape(&place.to_text(&root).for_proc()));
    }
    Ok(text.into_bytes())
}

fn more(mount: &Mount) -> String {
    if mount.options.is_empty() { String::new() } else { format!(",{}", mount.options) }
}

/// Returns the path of a mount's root in its file system: `/`, unless it shows a part.
fn root_within(mount: &Mount) -> Vec<u8> {
    let mut parts = Vec::new();
    let mut at = Arc::clone(&mount.root);
    while let (Some(parent), name) = at.place() {
        parts.push(name);
        at = parent;
    }
    if parts.is_empty() {
        return b"/".to_vec();
    }
    parts.iter().rev().flat_map(|name| std::iter::once(b'/').chain(name.iter().copied())).collect()
}

/// Escapes white space and backslashes in octal, as `getmntent(3)` expects.
fn escape(name: &[u8]) -> String {
    name.iter().fold(String::new(), |text, byte| match byte {
        b' ' | b'\t' | b'\n' | b'\\' | b'#' => text + &format!("\\{byte:03o}"),
        _ => text + &char::from(*byte).to_string(),
    })
}
