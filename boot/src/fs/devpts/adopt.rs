//! Names for the terminals of the host that a process is given.

use std::sync::Arc;

use super::Directory;
use crate::fs::host::HostStream;
use crate::fs::{FdFlags, FdTable, FsContext, MountNamespace, OpenFile, Path, downcast_inode};

/// Names the terminals of the host among the standard files `files` in the devpts of the container, owned by `owner`, and puts
/// files in their place that were opened by these names. Without a devpts they stay as they are.
pub(crate) fn adopt_terminals(fs: &FsContext, files: &FdTable, owner: (u32, u32)) {
    let Some(root) = find(&fs.namespace()) else { return };
    let Some(directory) = downcast_inode::<Directory>(root.inode()) else { return };
    for fd in 0..3 {
        let Some(file) = files.get(fd) else { continue };
        let Some(stream) = file.ops_as::<HostStream>() else { continue };
        let Some(terminal) = stream.terminal() else { continue };
        // Three descriptors of one terminal have one name.
        let index = match terminal.index() {
            Some(index) => index,
            None => match directory.add(owner, |_, _| Arc::clone(terminal)) {
                Ok((_, index)) => {
                    terminal.set_index(index);
                    index
                }
                Err(_) => continue,
            },
        };
        let name = index.to_string();
        let Ok(dentry) = root.dentry.lookup(name.as_bytes(), &root.mount.cache) else { continue };
        let named = OpenFile::new(root.with_dentry(dentry), Box::new(stream.clone()), file.flags());
        // The table is not in use yet, and the place was taken: there is no limit to meet.
        let _ = files.replace(fd, Arc::new(named), FdFlags::empty(), u64::MAX);
    }
}

/// Returns the root of the first devpts that is mounted.
fn find(namespace: &MountNamespace) -> Option<Path> {
    let is_devpts = |path: &Path| downcast_inode::<Directory>(path.inode()).is_some();
    let roots =
        namespace.mounts().into_iter().map(|mount| Path::new(Arc::clone(&mount), Arc::clone(&mount.root)));
    roots.into_iter().find(is_devpts)
}

/// Returns whether `path` is a name in a devpts.
pub(crate) fn has_named(path: &Path) -> bool {
    path.dentry.parent().is_some_and(|parent| downcast_inode::<Directory>(parent.inode()).is_some())
}
