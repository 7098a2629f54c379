//! The mounts of a container.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use cloister_proto::container::{ContainerSpec, MountKind, MountSpec, Overlay, RootSpec};
use cloister_proto::control::Failure;

use super::create::failed;
use super::file_server::FileServerWatch;
use crate::error::Errno;
use crate::fs::cgroup::{self, MemoryUsage};
use crate::fs::devpts::{self, DevptsOptions};
use crate::fs::gofer::{GoferFs, Trust};
use crate::fs::overlay::OverlayFs;
use crate::fs::tmpfs::{Tmpfs, TmpfsOptions};
use crate::fs::{
    Dentry, FileKind, Follow, Inode, MountFlags, MountNamespace, NewInodeKind, NewMount, NewName, Path,
    Recursive, Walker, attribute_rules, dev, names, new_device_number, proc, sys,
};
use crate::kernel::Kernel;
use crate::prelude::errno;
use crate::task::Task;

/// The connections to the file servers of a container, in the order of their use.
#[derive(Debug)]
pub(super) struct Gofers {
    container: String,
    /// With their numbers: what a container that was saved finds its own by.
    connections: std::iter::Zip<std::ops::RangeFrom<u32>, std::vec::IntoIter<OwnedFd>>,
    watches: Vec<Arc<FileServerWatch>>,
}

impl Gofers {
    /// Takes the connections over.
    pub(super) fn new(container: String, connections: Vec<OwnedFd>) -> Self {
        Self { container, connections: (0..).zip(connections), watches: Vec::new() }
    }

    /// Takes the next connection with its number, and watches over it.
    pub(super) fn next(&mut self, kernel: &Arc<Kernel>) -> Result<(u32, OwnedFd), Errno> {
        let (number, connection) = self.connections.next().ok_or(errno::EINVAL)?;
        self.watches.push(FileServerWatch::start(kernel, self.container.clone(), &connection)?);
        Ok((number, connection))
    }

    /// Returns the watches over those that were used.
    pub(super) fn into_watches(self) -> Vec<Arc<FileServerWatch>> {
        self.watches
    }
}

/// Makes the mount namespace of a container, with nothing but its root.
///
/// # Errors
///
/// `Os` if the gofer does not answer.
pub(super) fn new_namespace(
    kernel: &Arc<Kernel>,
    root: &RootSpec,
    gofers: &mut Gofers,
) -> Result<Arc<MountNamespace>, Failure> {
    let mount = gofer_mount(kernel, gofers, root.overlay, Trust::Exclusive)
        .map_err(|errno| failed("mount the root file system", errno))?;
    Ok(MountNamespace::new(mount, Arc::clone(&kernel.vfs.cache)))
}

/// Mounts all that the specification asks for on the root.
///
/// # Errors
///
/// `Os` with the mount that failed.
pub(super) fn populate(
    mut walker: Walker<'_>,
    spec: &ContainerSpec,
    gofers: &mut Gofers,
    memory: &Arc<MemoryUsage>,
) -> Result<(), Failure> {
    for mount in &spec.mounts {
        let what = || format!("mount `{}`", mount.destination);
        let task = walker.task();
        let cgroup = || {
            let (kernel, tasks) = (task.kernel(), Arc::clone(task.group().tasks()));
            cgroup::new_tree(kernel, tasks, new_device_number(), spec.limits, Arc::clone(memory))
        };
        let new = new_mount(task, mount, gofers, cgroup).map_err(|errno| failed(what(), errno))?;
        let kind = new.root.inode().kind();
        let point =
            mount_point(&mut walker, &mount.destination, kind).map_err(|errno| failed(what(), errno))?;
        namespace(&walker).mount(new, point).map_err(|errno| failed(what(), errno))?;
    }
    for device in &spec.devices {
        let what = || format!("make device `{}`", device.path);
        add_device(&mut walker, device).map_err(|errno| failed(what(), errno))?;
    }
    for path in &spec.readonly_paths {
        let what = || format!("make `{path}` read-only");
        make_read_only(&mut walker, path).map_err(|errno| failed(what(), errno))?;
    }
    for path in &spec.masked_paths {
        let what = || format!("mask `{path}`");
        mask(&mut walker, path).map_err(|errno| failed(what(), errno))?;
    }
    if spec.root.readonly {
        // Only now: mount points may have had to be made in it.
        let root = walker.task().fs().root().mount;
        root.set_flags(root.flags() | MountFlags::READ_ONLY);
    }
    Ok(())
}

fn namespace(walker: &Walker<'_>) -> Arc<MountNamespace> {
    walker.task().fs().namespace()
}

/// Makes what is to be mounted.
fn new_mount(
    task: &Task,
    spec: &MountSpec,
    gofers: &mut Gofers,
    cgroup: impl FnOnce() -> Arc<Dentry>,
) -> Result<NewMount, Errno> {
    let kernel = task.kernel();
    let flags = MountFlags::from_bits_truncate(spec.flags);
    let simple = |root: Arc<Dentry>, source: &str| NewMount {
        root,
        source: source.into(),
        flags,
        options: String::new(),
    };
    Ok(match &spec.kind {
        MountKind::Gofer { overlay, shared } => {
            let trust = if *shared { Trust::Shared } else { Trust::Exclusive };
            let mount = gofer_mount(kernel, gofers, *overlay, trust)?;
            NewMount { flags: mount.flags | flags, ..mount }
        }
        MountKind::Tmpfs { size, mode, uid, gid } => {
            let options = TmpfsOptions {
                size: size.unwrap_or(u64::MAX),
                mode: *mode,
                uid: *uid,
                gid: *gid,
                ..TmpfsOptions::default()
            };
            simple(tmpfs(options), "tmpfs")
        }
        MountKind::Proc => simple(proc::new_tree(kernel, task.pid_namespace(), new_device_number()), "proc"),
        MountKind::Sysfs => simple(sys::new_tree(kernel, new_device_number()), "sysfs"),
        MountKind::Devtmpfs => {
            let root = tmpfs(TmpfsOptions { mode: 0o755, ..TmpfsOptions::default() });
            dev::populate(root.inode())?;
            simple(root, "devtmpfs")
        }
        MountKind::Devpts { ptmxmode, mode, gid } => {
            let options =
                DevptsOptions { mode: *mode, ptmx_mode: *ptmxmode, gid: *gid, ..DevptsOptions::default() };
            let root = Dentry::new_root(devpts::Directory::new_root(options));
            NewMount { options: options.to_string(), ..simple(root, "devpts") }
        }
        // An empty place: there are no POSIX message queues.
        MountKind::Mqueue => {
            simple(tmpfs(TmpfsOptions { mode: 0o1777, ..TmpfsOptions::default() }), "mqueue")
        }
        MountKind::Cgroup => simple(cgroup(), "cgroup2"),
    })
}

fn tmpfs(options: TmpfsOptions) -> Arc<Dentry> {
    Dentry::new_root(Tmpfs::new_root(options))
}

/// Mounts what is behind the next gofer connection, under an overlay if that is asked for.
fn gofer_mount(
    kernel: &Arc<Kernel>,
    gofers: &mut Gofers,
    overlay: Overlay,
    trust: Trust,
) -> Result<NewMount, Errno> {
    let (index, connection) = gofers.next(kernel)?;
    let lower = GoferFs::connect(connection, trust).map_err(|error| {
        tracing::error!(%error, "a gofer does not serve");
        errno::EIO
    })?;
    lower.set_connection_index(index);
    let root: Arc<dyn Inode> = lower.root()?;
    let (root, source): (Arc<dyn Inode>, _) = match overlay {
        Overlay::None => (root, "none"),
        Overlay::Memory { size } => {
            let size = size.unwrap_or(kernel.options.memory_bytes / 2);
            (OverlayFs::new_root(root, TmpfsOptions { size, ..TmpfsOptions::default() })?, "overlay")
        }
    };
    let flags = MountFlags::empty();
    Ok(NewMount { root: Dentry::new_root(root), source: source.into(), flags, options: String::new() })
}

/// Returns the place `path` in the container, and makes it, and the directories above it, where they do not exist.
pub(super) fn mount_point(walker: &mut Walker<'_>, path: &[u8], kind: FileKind) -> Result<Path, Errno> {
    let root = walker.task().fs().root();
    let mut done = Vec::new();
    let mut at = root.clone();
    let components: Vec<&[u8]> = path.split(|byte| *byte == b'/').filter(|part| !part.is_empty()).collect();
    for (index, component) in components.iter().enumerate() {
        done.push(b'/');
        done.extend_from_slice(component);
        let is_last = index + 1 == components.len();
        at = match walker.lookup(root.clone(), &done, Follow::Yes) {
            Err(errno::ENOENT) => {
                let new = if is_last && kind != FileKind::Directory {
                    (NewInodeKind::Regular, 0o644)
                } else {
                    (NewInodeKind::Directory, 0o755)
                };
                let (directory, last) = walker.walk_to_last(root.clone(), &done)?;
                names::create(walker, &NewName { directory, last }, new.0, new.1)?
            }
            found => found?,
        };
    }
    Ok(at)
}

fn add_device(walker: &mut Walker<'_>, device: &cloister_proto::container::DeviceSpec) -> Result<(), Errno> {
    let kind = match FileKind::from_mode(device.mode).ok_or(errno::EINVAL)? {
        FileKind::CharDevice => NewInodeKind::CharDevice(device.major, device.minor),
        FileKind::BlockDevice => NewInodeKind::BlockDevice(device.major, device.minor),
        FileKind::Fifo => NewInodeKind::Fifo,
        _ => return Err(errno::EINVAL),
    };
    let root = walker.task().fs().root();
    if let Some(end) = device.path.iter().rposition(|byte| *byte == b'/') {
        mount_point(walker, device.path.get(..end).unwrap_or_default(), FileKind::Directory)?;
    }
    let (directory, last) = walker.walk_to_last(root, &device.path)?;
    let made = match names::create(walker, &NewName { directory, last }, kind, device.mode & 0o7777) {
        // One of the default devices.
        Err(errno::EEXIST) => return Ok(()),
        made => made?,
    };
    let credentials = walker.credentials();
    attribute_rules::change_owner(credentials, &made, Some(device.uid), Some(device.gid))?;
    // Which may have taken set-id bits away.
    attribute_rules::change_mode(credentials, &made, device.mode & 0o7777)
}

/// Shows the terminal that the first process of a container has as standard input as `/dev/console` too (OCI runtime
/// specification, "Default Devices"); nothing happens if it has none.
///
/// # Errors
///
/// `Os` if there is no place for it.
pub(super) fn show_console(mut walker: Walker<'_>) -> Result<(), Failure> {
    let Some(input) = walker.task().files().and_then(|files| files.get(0)) else { return Ok(()) };
    if !devpts::has_named(input.path()) {
        return Ok(());
    }
    let shown = mount_point(&mut walker, b"/dev/console", FileKind::CharDevice)
        .and_then(|place| namespace(&walker).bind(input.path(), place, Recursive::No));
    shown.map(drop).map_err(|errno| failed("mount `/dev/console`", errno))
}

/// Puts a read-only view of `path` over itself; what does not exist needs none.
fn make_read_only(walker: &mut Walker<'_>, path: &[u8]) -> Result<(), Errno> {
    let Some(place) = find(walker, path)? else { return Ok(()) };
    let mount = namespace(walker).bind(&place, place.clone(), Recursive::Yes)?;
    mount.set_flags(mount.flags() | MountFlags::READ_ONLY);
    Ok(())
}

/// Hides `path`: a directory becomes empty, a file empty and unchangeable; what does not exist needs no mask.
fn mask(walker: &mut Walker<'_>, path: &[u8]) -> Result<(), Errno> {
    let Some(place) = find(walker, path)? else { return Ok(()) };
    let empty = Tmpfs::new_root(TmpfsOptions { mode: 0o755, ..TmpfsOptions::default() });
    let root: Arc<dyn Inode> = if place.inode().kind() == FileKind::Directory {
        empty
    } else {
        let new =
            crate::fs::NewInode { kind: NewInodeKind::CharDevice(1, 3), permissions: 0o666, uid: 0, gid: 0 };
        empty.create(b"null", &new)?
    };
    let flags = MountFlags::READ_ONLY;
    let new =
        NewMount { root: Dentry::new_root(root), source: "tmpfs".into(), flags, options: String::new() };
    namespace(walker).mount(new, place).map(drop)
}

fn find(walker: &mut Walker<'_>, path: &[u8]) -> Result<Option<Path>, Errno> {
    let root = walker.task().fs().root();
    match walker.lookup(root, path, Follow::Yes) {
        Ok(place) => Ok(Some(place)),
        Err(errno::ENOENT | errno::ENOTDIR) => Ok(None),
        Err(other) => Err(other),
    }
}
