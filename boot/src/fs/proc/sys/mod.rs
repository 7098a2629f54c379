//! `/proc/sys` (`proc_sys(5)`): values of the kernel, most of them fixed.

mod value;
mod values;

use std::sync::Arc;

use self::value::{SysText, Value};
use self::values::VALUES;
use crate::error::Errno;
use crate::fs::kernfs::{Content, StaticDirectory};
use crate::prelude::errno;
use crate::task::Task;

/// Sets the value of this name, as `sysctl(8)` names it, for a task of the superuser: with dots for slashes, or the other way
/// round if a slash comes first. A value that it has already can always be set.
///
/// # Errors
///
/// `ENOENT` if there is none of the name; `EINVAL` for what it can't be; `EPERM` if it can't be set.
pub(crate) fn set(task: &Task, name: &[u8], text: &[u8]) -> Result<(), Errno> {
    let first = name.iter().find(|byte| matches!(byte, b'.' | b'/'));
    let swap = |byte: &u8| match byte {
        b'.' => b'/',
        b'/' => b'.',
        other => *other,
    };
    let path: Vec<u8> = if first == Some(&b'.') { name.iter().map(swap).collect() } else { name.to_vec() };
    let (_, value) = VALUES.iter().find(|(known, _)| known.as_bytes() == path).ok_or(errno::ENOENT)?;
    if value.text(task).as_bytes() == text { Ok(()) } else { value.set(task, text) }
}

/// A value with its path below the directory that is being made, and its whole path.
type Node = (&'static str, &'static str, Value);

/// Makes the directory.
pub(super) fn directory() -> Content {
    let mut next_inode = 0x1000;
    let values: Vec<Node> = VALUES.iter().map(|(path, value)| (*path, *path, *value)).collect();
    subdirectory(&values, &mut next_inode)
}

/// Makes a directory of the values whose paths, relative to it, are given.
fn subdirectory(values: &[Node], next_inode: &mut u64) -> Content {
    let mut directory = StaticDirectory::default();
    let mut rest = values;
    while let Some(((path, whole, value), others)) = rest.split_first() {
        *next_inode += 1;
        let inode = *next_inode;
        let Some((name, _)) = path.split_once('/') else {
            let mode = if value.is_settable() { 0o644 } else { 0o444 };
            let text = SysText { path: whole, value: *value };
            directory.add(*path, inode, mode, Content::Text(Arc::new(text)));
            rest = others;
            continue;
        };
        let inner = |path: &'static str| path.strip_prefix(name).and_then(|path| path.strip_prefix('/'));
        let below: Vec<_> =
            rest.iter().map_while(|(path, whole, value)| Some((inner(path)?, *whole, *value))).collect();
        directory.add(name, inode, 0o555, subdirectory(&below, next_inode));
        rest = rest.get(below.len()..).unwrap_or_default();
    }
    Content::Directory(Arc::new(directory))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TestKernel;

    #[test]
    fn the_table_is_sorted_by_directories() {
        // Each directory is made of neighbours.
        assert!(VALUES.is_sorted_by_key(|(path, _)| path.split('/').collect::<Vec<_>>()));
    }

    #[test]
    fn values_are_set_by_name() {
        let kernel = TestKernel::new();
        let task = kernel.root_task().task;
        let set = |name: &str, text: &str| set(&task, name.as_bytes(), text.as_bytes());
        assert_eq!(set("kernel.msgmax", "4096"), Ok(()));
        assert_eq!(set("kernel/sem", "10 20"), Ok(()));
        assert_eq!(set("net.ipv4.ip_local_port_range", "2000 2001"), Ok(()));
        assert_eq!(set("kernel.ostype", "Linux"), Ok(()));
        assert_eq!(set("kernel.ostype", "Other"), Err(errno::EPERM));
        assert_eq!(set("kernel.nonsense", "1"), Err(errno::ENOENT));
        for bad in ["", "x", "-1", "1 2", "99999999999999999999"] {
            assert_eq!(set("net.core.somaxconn", bad), Err(errno::EINVAL), "{bad}");
        }
        assert_eq!(set("net.ipv4.ip_local_port_range", "3 2"), Err(errno::EINVAL));
        let parameters = &kernel.kernel().parameters;
        assert_eq!(parameters.message_bytes.get(), 4096);
        assert_eq!(parameters.semaphores.each_ref().map(|one| one.get()), [10, 20, 500, 32000]);
        assert_eq!(task.net().inet.udp.ephemeral(), 2000..=2001);
    }
}
