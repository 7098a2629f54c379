//! From the tasks to everything that they can reach.

mod file_systems;
mod files;
mod mappings;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use cloister_platform::CpuTime;
use cloister_proto::control::FileSum;
use cloister_proto::snapshot::{Build, FORMAT, MemoryHeader};
use cloister_proto::transport::Connection;

use super::failure::{Result, failed, unsupported};
use super::image::{ContainerImage, ContextImage, KernelImage, SocketsImage, TerminalImage};
use super::memory::{MemoryWriter, write_file};
use super::registry::Registry;
use crate::control::Container;
use crate::fs::host::Terminal as HostTerminal;
use crate::fs::pipe::Pipe;
use crate::fs::{
    FdTable, FileSystem, FsContext, FsContextImage, Inode, MountNamespace, MountNamespaceImage, OpenFile,
    Path, PathImage,
};
use crate::kernel::Kernel;
use crate::mm::{MemoryObject, Mm};
use crate::net::inet::{TcpSocket, UdpSocket};
use crate::net::netlink::NetlinkSocket;
use crate::net::unix::UnixSocket;
use crate::seccomp::Filter;
use crate::signal::SignalActions;
use crate::task::{SharedIds, Task, TaskImage, ThreadGroup, ThreadGroupImage, TreeImage, UtsNamespace};
use crate::tty::{Pty, Terminal};

/// What a snapshot is written to.
#[derive(Debug)]
pub(crate) struct Files {
    /// The objects of the kernel.
    pub(crate) kernel: OwnedFd,
    /// Where pages are.
    pub(crate) header: OwnedFd,
    /// The pages.
    pub(crate) data: OwnedFd,
    /// By this come the lists of pages of the [`processes`].
    pub(crate) pagemaps: Connection,
}

/// Returns the processes of the host that hold guest memory, by their ids in the kernel's PID namespace.
pub(crate) fn processes(kernel: &Kernel) -> Vec<i32> {
    let mms = Registry::default();
    address_spaces(kernel, &mms);
    mms.all().iter().map(|mm| mm.space().host_process()).collect()
}

/// Gives the address spaces of all tasks ids, in the order of the tasks.
fn address_spaces(kernel: &Kernel, mms: &Registry<Mm>) {
    let tasks: Vec<_> = kernel.processes.lock().tasks().cloned().collect();
    for mm in tasks.iter().filter_map(|task| task.mm()) {
        mms.id(&mm);
    }
}

/// Saves a kernel that stands still, with its only container.
///
/// # Errors
///
/// `Unsupported` for what can't be saved, and `Os` if a file can't be written.
pub(crate) fn save(
    kernel: &Arc<Kernel>,
    container: &Container,
    files: Files,
    build: Build,
) -> Result<Vec<FileSum>> {
    let saver = Saver::new(kernel);
    let image = saver.kernel_image(container)?;
    let mut memory = MemoryWriter::new(files.data);
    saver.save_memory(&mut memory, &files.pagemaps)?;
    let (memories, pages, data) = memory.finish()?;
    let header = MemoryHeader { format: FORMAT, builds: vec![(build, pages)], memories };
    let header = header.to_bytes().map_err(unsupported)?;
    let image = cloister_proto::codec::encode_image(&image).map_err(unsupported)?;
    Ok(vec![write_file(&files.kernel, &image)?, write_file(&files.header, &header)?, data])
}

/// What was found, and what is known of it.
struct Saver<'a> {
    kernel: &'a Arc<Kernel>,
    groups: Registry<ThreadGroup>,
    mms: Registry<Mm>,
    objects: Registry<MemoryObject>,
    tables: Registry<FdTable>,
    contexts: Registry<FsContext>,
    namespaces: Registry<MountNamespace>,
    file_systems: Registry<dyn FileSystem>,
    /// The roots of file systems, by their ids.
    roots: RefCell<BTreeMap<u64, Arc<dyn Inode>>>,
    inodes: Registry<dyn Inode>,
    files: Registry<OpenFile>,
    pipes: Registry<Pipe>,
    terminals: Registry<dyn Terminal>,
    unix: Registry<UnixSocket>,
    tcp: Registry<TcpSocket>,
    udp: Registry<UdpSocket>,
    netlink: Registry<NetlinkSocket>,
    uts: Registry<UtsNamespace>,
    actions: Registry<SignalActions>,
    filters: Registry<Filter>,
    /// The mounts of all namespaces.
    mounts: RefCell<BTreeSet<u32>>,
    /// Who has a description, for errors.
    holders: RefCell<BTreeMap<u64, String>>,
}

impl<'a> Saver<'a> {
    fn new(kernel: &'a Arc<Kernel>) -> Self {
        Self {
            kernel,
            groups: Registry::default(),
            mms: Registry::default(),
            objects: Registry::default(),
            tables: Registry::default(),
            contexts: Registry::default(),
            namespaces: Registry::default(),
            file_systems: Registry::default(),
            roots: RefCell::default(),
            inodes: Registry::default(),
            files: Registry::default(),
            pipes: Registry::default(),
            terminals: Registry::default(),
            unix: Registry::default(),
            tcp: Registry::default(),
            udp: Registry::default(),
            netlink: Registry::default(),
            uts: Registry::default(),
            actions: Registry::default(),
            filters: Registry::default(),
            mounts: RefCell::default(),
            holders: RefCell::default(),
        }
    }

    /// Saves everything but memory.
    fn kernel_image(&self, container: &Container) -> Result<KernelImage> {
        let (tasks, groups) = {
            let tree = self.kernel.processes.lock();
            let groups: Vec<_> = tree.processes().map(|process| Arc::clone(&process.group)).collect();
            (tree.tasks().cloned().collect::<Vec<_>>(), groups)
        };
        for group in &groups {
            self.groups.id(group);
        }
        address_spaces(self.kernel, &self.mms);
        let shared = container.shared();
        for task in &tasks {
            if !Arc::ptr_eq(&task.ipc(), &shared.ipc) || !Arc::ptr_eq(&task.net(), &shared.net) {
                return Err(unsupported(format_args!("{}: it has namespaces of its own", describe(task))));
            }
        }
        let task_set = container.tasks.to_image();
        let container = ContainerImage {
            gofer_connections: super::gofer_connections(&container.spec),
            mounts: super::mounts(&container.spec),
            init: container.init(),
            fs: self.contexts.id(&container.fs),
            uts: self.uts.id(&shared.uts),
            processes: container.watched(),
        };
        let tasks = tasks.iter().map(|task| self.task(task)).collect::<Result<_>>()?;
        let mms = self.mms.all().iter().map(|mm| self.address_space(mm)).collect();
        let ipc = shared.ipc.to_image(|object| self.objects.id(object));
        let tree = TreeImage::of(&self.kernel.processes.lock(), |terminal| self.terminals.id(terminal));
        let objects = self.objects.all().iter().map(|object| self.object(object)).collect::<Result<_>>()?;
        self.hold_tables();
        let tables = self.tables.all().iter().map(|table| self.table(table)).collect();
        let (contexts, namespaces) = self.contexts_and_namespaces()?;
        // Files refer to sockets, and these to files that are on their way.
        let mut files = Vec::new();
        let mut sockets = SocketsImage { unix: vec![], tcp: vec![], udp: vec![], netlink: vec![] };
        loop {
            if let Some(file) = self.files.get(files.len()) {
                files.push(self.file(&file)?);
            } else if !self.next_socket(&mut sockets) {
                break;
            }
        }
        let mut terminals = Vec::new();
        self.name_terminals();
        while let Some(terminal) = self.terminals.get(terminals.len()) {
            terminals.push(self.terminal(&terminal)?);
        }
        let (file_systems, inodes) = self.file_systems_and_inodes()?;
        Ok(KernelImage {
            clock: self.kernel.clock.to_image(),
            generation: self.kernel.generation.to_image(),
            container,
            file_systems,
            namespaces,
            contexts,
            inodes,
            pipes: self.pipes.all().iter().map(|pipe| pipe.to_image()).collect(),
            terminals,
            sockets,
            files,
            tables,
            objects,
            mms,
            uts: self.uts.all().iter().map(|uts| uts.names()).collect(),
            actions: self.actions.all().iter().map(|actions| actions.lock().clone()).collect(),
            filters: self.filters.all().iter().map(|filter| filter.to_image()).collect(),
            task_set,
            groups: self.groups.all().iter().map(|group| self.group(group)).collect(),
            tasks,
            tree,
            ipc,
        })
    }

    fn group(&self, group: &Arc<ThreadGroup>) -> ThreadGroupImage {
        let tasks: Vec<_> = self.kernel.processes.lock().tasks().cloned().collect();
        let own = tasks.iter().filter(|task| Arc::ptr_eq(task.group(), group));
        let running = own.fold(CpuTime::default(), |sum, task| sum + task.cpu_time());
        ThreadGroupImage::of(group, running)
    }

    fn task(&self, task: &Arc<Task>) -> Result<TaskImage> {
        let who = || describe(task);
        let (Some(mm), Some(files)) = (task.mm(), task.files()) else {
            return Err(unsupported(format_args!("{}, which is about to end", who())));
        };
        let shared = SharedIds {
            mm: self.mms.id(&mm),
            files: self.tables.id(&files),
            fs: self.contexts.id(&task.fs()),
            uts: self.uts.id(&task.uts()),
            actions: self.actions.id(&task.actions()),
        };
        TaskImage::of(task, shared, &|inode| self.inodes.id(inode), &|filter| self.filters.id(filter))
            .map_err(|errno| failed(format_args!("read the registers of {}", who()), errno))
    }

    /// Saves root and current directories, and the namespaces that these are in.
    fn contexts_and_namespaces(&self) -> Result<(Vec<ContextImage>, Vec<MountNamespaceImage>)> {
        let contexts = self.contexts.all();
        for context in &contexts {
            self.namespaces.id(&context.namespace());
        }
        let namespaces = self.namespaces.all();
        self.mounts
            .borrow_mut()
            .extend(namespaces.iter().flat_map(|namespace| namespace.mounts()).map(|mount| mount.id));
        let images = namespaces
            .iter()
            .map(|namespace| MountNamespaceImage::of(namespace, |mount| self.mounted(mount)))
            .collect();
        let context = |context: &Arc<FsContext>| {
            self.check_path(&context.root(), &"a root directory")?;
            self.check_path(&context.cwd(), &"a current directory")?;
            let namespace = self.namespaces.id(&context.namespace());
            Ok(ContextImage {
                namespace,
                context: FsContextImage::of(context, |inode| self.inodes.id(inode)),
            })
        };
        Ok((contexts.iter().map(context).collect::<Result<_>>()?, images))
    }

    /// Checks that a path leads over mounts that are saved.
    fn check_path(&self, path: &Path, what: &dyn std::fmt::Display) -> Result<()> {
        let id = path.mount.id;
        if id == 0 || self.mounts.borrow().contains(&id) {
            return Ok(());
        }
        Err(unsupported(format_args!("{what}: it is in a file system that was unmounted")))
    }

    fn path(&self, path: &Path) -> PathImage {
        PathImage::of(path, |inode| self.inodes.id(inode))
    }

    fn terminal(&self, terminal: &Arc<dyn Terminal>) -> Result<TerminalImage> {
        if let Some(pty) = super::downcast_terminal::<Pty>(terminal) {
            let Some(directory) = pty.directory() else {
                let index = pty.index();
                return Err(unsupported(format_args!("terminal {index}: its devpts was unmounted")));
            };
            let root: Arc<dyn Inode> = directory;
            let file_system = self.file_systems.id(&root.file_system());
            self.roots.borrow_mut().entry(file_system).or_insert(root);
            return Ok(TerminalImage::Pty(file_system, pty.to_image()));
        }
        let given = super::downcast_terminal::<HostTerminal>(terminal).and_then(|host| host.given_as());
        let given = given.ok_or_else(|| unsupported("a terminal of the host that `exec` put in"))?;
        Ok(TerminalImage::Given(given))
    }
}

/// Tells for people which task is meant.
fn describe(task: &Task) -> String {
    format!("process {} ({})", task.group().tgid(), String::from_utf8_lossy(&task.name()))
}
