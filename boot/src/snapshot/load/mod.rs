//! From the image to a kernel that goes on.

mod file_systems;
mod files;
mod links;
mod mappings;
mod pages;
mod tasks;

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use cloister_proto::container::ContainerSpec;
use cloister_proto::control::{ErrorKind, Failure, RestoreMemory};

use super::Shared;
use super::failure::{Result, because, damaged, failed};
use super::image::{ContainerImage, KernelImage};
use super::memory::{MemoryReader, read_file};
use super::registry::find;
use crate::fs::cgroup::MemoryUsage;
use crate::fs::pipe::Pipe;
use crate::fs::{
    Dentry, DentryImage, FdTable, FsContext, Inode, Mount, MountNamespace, OpenFile, Path, PathImage,
};
use crate::ipc::Ipc;
use crate::kernel::Kernel;
use crate::mm::{MemoryObject, Mm};
use crate::net::{NetNamespace, SocketByFamily};
use crate::prelude::errno;
use crate::seccomp::Filter;
use crate::signal::SignalActions;
use crate::task::{ExitStatus, Pid, Task, TaskSet, ThreadGroup, UtsNamespace};
use crate::tty::Terminal;

/// What a container is brought back with.
#[derive(Debug)]
pub(crate) struct Given {
    /// Its standard input, output and error, and what comes behind them.
    pub(crate) files: Vec<OwnedFd>,
    /// The connections to its gofer.
    pub(crate) gofers: Vec<OwnedFd>,
    /// By which the host tells how much memory it uses.
    pub(crate) usage: Vec<OwnedFd>,
    /// The objects of the kernel.
    pub(crate) kernel: OwnedFd,
    /// Where pages are.
    pub(crate) header: OwnedFd,
    /// The pages of each build.
    pub(crate) data: Vec<OwnedFd>,
    /// How they are brought back.
    pub(crate) memory: RestoreMemory,
}

/// Brings what a container consists of back, in a kernel that has none.
///
/// # Errors
///
/// `InvalidArgument` if the image makes no sense or the container is not like the one that was saved, `Os` with what can't be
/// brought back. The kernel is of no use then.
pub(crate) fn restore(kernel: &Arc<Kernel>, spec: &ContainerSpec, given: Given) -> Result<Restored> {
    let image: KernelImage =
        cloister_proto::codec::decode_image(&read_file(&given.kernel)?).map_err(damaged)?;
    let memory = MemoryReader::new(&given.header, given.data)?;
    check_container(spec, &image.container)?;
    kernel.generation.restore(image.generation);
    let offsets = kernel.clock.restore(image.clock);
    kernel.platform.set_clock_offsets(offsets).map_err(because(|| "set the clocks"))?;
    let task_set = Arc::new(TaskSet::from_image(image.task_set));
    task_set.set_limit(spec.limits.pids);
    let mut loader = Loader::new(kernel, task_set, given.usage);
    loader.take_given(given.files)?;
    loader.file_systems(image.file_systems, given.gofers, &image.inodes, &image.terminals, spec.limits)?;
    loader.namespaces(image.namespaces)?;
    loader.empty(&image.tables, image.uts, image.actions, &image.contexts)?;
    loader.groups(image.groups, &image.filters)?;
    loader.address_spaces(&image.mms)?;
    loader.tasks(&image.tasks)?;
    loader.tree(image.tree)?;
    loader.enter_directories(&image.contexts)?;
    loader.pipes.extend(image.pipes.into_iter().map(|pipe| Arc::new(Pipe::from_image(pipe))));
    loader.sockets(&image.sockets)?;
    loader.files(&image.files)?;
    loader.memory_objects(&image.objects, image.mms.len(), &memory)?;
    loader.map(image.mms, &memory, given.memory)?;
    loader.fill(&image.tables, &image.files)?;
    loader.connect(image.sockets)?;
    let object_of = |id| find(&loader.objects, id);
    loader.ipc.restore(image.ipc, object_of).ok_or_else(|| damaged("System V objects"))?;
    loader.hold(&image.tasks)?;
    loader.threads(&image.tasks)?;
    loader.start_timers(&image.files)?;
    let ContainerImage { fs, uts, init, processes, .. } = image.container;
    let fs = find(&loader.contexts, fs).ok_or_else(|| damaged("the container has no root"))?;
    let uts = find(&loader.uts, uts).ok_or_else(|| damaged("the container has no name"))?;
    let Loader { ipc, net, task_set, tasks, .. } = loader;
    Ok(Restored { fs, shared: Shared { ipc, net, uts }, task_set, init, processes, tasks })
}

/// What a container consists of that was brought back.
#[derive(Debug)]
pub(crate) struct Restored {
    /// Root and mounts.
    pub(crate) fs: Arc<FsContext>,
    /// The namespaces of its processes.
    pub(crate) shared: Shared,
    /// Its tasks as a whole.
    pub(crate) task_set: Arc<TaskSet>,
    /// The id of its first process.
    pub(crate) init: Pid,
    /// The processes that can be waited for from outside, and how those ended that have.
    pub(crate) processes: Vec<(Pid, Option<ExitStatus>)>,
    /// The tasks, which are for the caller to start.
    pub(crate) tasks: Vec<Arc<Task>>,
}

/// Checks that a container is like the one that was saved.
fn check_container(spec: &ContainerSpec, image: &ContainerImage) -> Result<()> {
    let differs = |what: &str| {
        let message = format!("the container has {what} than when it was saved");
        Err(Failure::new(ErrorKind::InvalidArgument, message))
    };
    if super::mounts(spec) != image.mounts {
        return differs("other mounts");
    }
    if super::gofer_connections(spec) != image.gofer_connections {
        return differs("more or fewer mounts of the host");
    }
    Ok(())
}

/// An inode that was brought back, with the mount that it is seen through if it is one of the kernel's own.
#[derive(Clone, Debug)]
struct Found {
    inode: Arc<dyn Inode>,
    mount: Option<Arc<Mount>>,
}

/// What was brought back, by the ids in the image.
struct Loader<'a> {
    kernel: &'a Arc<Kernel>,
    task_set: Arc<TaskSet>,
    ipc: Arc<Ipc>,
    net: Arc<NetNamespace>,
    usage: Arc<MemoryUsage>,
    filters: Vec<Arc<Filter>>,
    /// What the container was given, by number.
    given: Vec<Arc<OpenFile>>,
    /// The roots of file systems.
    roots: Vec<Option<Arc<Dentry>>>,
    inodes: Vec<Found>,
    terminals: Vec<Arc<dyn Terminal>>,
    namespaces: Vec<Arc<MountNamespace>>,
    /// By their own ids, with the roots of their file systems.
    mounts: BTreeMap<u32, (Arc<Mount>, Arc<Dentry>)>,
    contexts: Vec<Arc<FsContext>>,
    tables: Vec<Arc<FdTable>>,
    uts: Vec<Arc<UtsNamespace>>,
    actions: Vec<Arc<SignalActions>>,
    groups: Vec<Arc<ThreadGroup>>,
    mms: Vec<Arc<Mm>>,
    tasks: Vec<Arc<Task>>,
    pipes: Vec<Arc<Pipe>>,
    unix: Vec<SocketByFamily>,
    tcp: Vec<SocketByFamily>,
    udp: Vec<SocketByFamily>,
    netlink: Vec<SocketByFamily>,
    /// By their own ids.
    files: BTreeMap<u64, Arc<OpenFile>>,
    objects: Vec<Arc<MemoryObject>>,
}

impl<'a> Loader<'a> {
    fn new(kernel: &'a Arc<Kernel>, task_set: Arc<TaskSet>, usage: Vec<OwnedFd>) -> Self {
        Self {
            kernel,
            task_set,
            ipc: Arc::default(),
            net: Arc::default(),
            usage: Arc::new(MemoryUsage::new(usage)),
            filters: Vec::new(),
            given: Vec::new(),
            roots: Vec::new(),
            inodes: Vec::new(),
            terminals: Vec::new(),
            namespaces: Vec::new(),
            mounts: BTreeMap::new(),
            contexts: Vec::new(),
            tables: Vec::new(),
            uts: Vec::new(),
            actions: Vec::new(),
            groups: Vec::new(),
            mms: Vec::new(),
            tasks: Vec::new(),
            pipes: Vec::new(),
            unix: Vec::new(),
            tcp: Vec::new(),
            udp: Vec::new(),
            netlink: Vec::new(),
            files: BTreeMap::new(),
            objects: Vec::new(),
        }
    }

    fn inode(&self, id: u64) -> Option<Arc<dyn Inode>> {
        find(&self.inodes, id).map(|found| found.inode)
    }

    /// Finds a path again.
    fn path(&self, image: &PathImage) -> Result<Path> {
        if image.mount != 0 {
            let found = image.restore(|id| self.mounts.get(&id).cloned(), |id| self.inode(id));
            return found.map_err(|errno| match &image.dentry {
                DentryImage::Names(names) => {
                    let path: Vec<u8> = names.iter().flat_map(|name| [b"/", &**name].concat()).collect();
                    failed(format_args!("find `{}` again", String::from_utf8_lossy(&path)), errno)
                }
                DentryImage::Nowhere { .. } => failed("find a removed file again", errno),
            });
        }
        // One of the kernel's own mounts, in which nothing has a name.
        let DentryImage::Nowhere { inode, label } = &image.dentry else {
            return Err(damaged("a file without a name has one"));
        };
        let found = find(&self.inodes, *inode).ok_or_else(|| damaged("an inode is missing"))?;
        let is_plain = found.mount.is_some();
        let dentry = Dentry::new_unnamed(found.inode, label);
        let mount = found
            .mount
            .unwrap_or_else(|| Mount::new_internal(Arc::clone(&dentry), Arc::clone(&self.kernel.vfs.cache)));
        if !is_plain {
            // As `memfd_create(2)` makes them.
            dentry.set_removed(&mount.cache);
        }
        Ok(Path::new(mount, dentry))
    }

    fn file(&self, id: u64) -> Option<Arc<OpenFile>> {
        self.files.get(&id).cloned()
    }

    /// Returns what the container was given by a number.
    fn given(&self, number: u32) -> Result<&Arc<OpenFile>> {
        let file = usize::try_from(number).ok().and_then(|at| self.given.get(at));
        file.ok_or_else(|| {
            failed(format_args!("find descriptor {number} that was given before"), errno::EBADF)
        })
    }
}
