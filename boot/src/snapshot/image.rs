//! The saved form of the whole kernel.

use serde::{Deserialize, Serialize};

use crate::event::{EpollImage, EventFdImage, InotifyImage};
use crate::fs::devpts::DevptsImage;
use crate::fs::gofer::GoferFsImage;
use crate::fs::overlay::OverlayImage;
use crate::fs::pipe::{PipeEndImage, PipeImage};
use crate::fs::tmpfs::TmpfsImage;
use crate::fs::{
    Attributes, FdTableImage, FileLocksImage, FsContextImage, MountNamespaceImage, OpenFileImage, PathImage,
};
use crate::ipc::IpcImage;
use crate::kernel::GenerationImage;
use crate::mm::MmImage;
use crate::net::inet::{TcpSocketImage, UdpSocketImage};
use crate::net::netlink::NetlinkSocketImage;
use crate::net::unix::UnixSocketImage;
use crate::seccomp::FilterImage;
use crate::signal::{ActionTable, SignalFdImage};
use crate::task::{
    ExitStatus, Pid, PidFdImage, TaskImage, TaskSetImage, ThreadGroupImage, TreeImage, UtsNames,
};
use crate::time::{ClockImage, TimerFdImage};
use crate::tty::PtyImage;

/// The saved form of the whole kernel. Objects are known by their places in the lists.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct KernelImage {
    pub(super) clock: ClockImage,
    pub(super) generation: GenerationImage,
    pub(super) container: ContainerImage,
    pub(super) file_systems: Vec<FileSystemImage>,
    pub(super) namespaces: Vec<MountNamespaceImage>,
    pub(super) contexts: Vec<ContextImage>,
    pub(super) inodes: Vec<InodeImage>,
    pub(super) pipes: Vec<PipeImage>,
    pub(super) terminals: Vec<TerminalImage>,
    pub(super) sockets: SocketsImage,
    pub(super) files: Vec<FileImage>,
    pub(super) tables: Vec<FdTableImage>,
    pub(super) objects: Vec<ObjectImage>,
    pub(super) mms: Vec<MmImage>,
    pub(super) uts: Vec<UtsNames>,
    pub(super) actions: Vec<ActionTable>,
    pub(super) filters: Vec<FilterImage>,
    pub(super) task_set: TaskSetImage,
    pub(super) groups: Vec<ThreadGroupImage>,
    pub(super) tasks: Vec<TaskImage>,
    pub(super) tree: TreeImage,
    pub(super) ipc: IpcImage,
}

/// The saved form of a container.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct ContainerImage {
    /// The connections to its gofer.
    pub(super) gofer_connections: u32,
    /// Where its mounts from the specification are, with whether they are the host's.
    pub(super) mounts: Vec<(Vec<u8>, bool)>,
    pub(super) init: Pid,
    /// Its root and mounts, and the names of the machine.
    pub(super) fs: u64,
    pub(super) uts: u64,
    /// The processes that can be waited for from outside, and how they ended.
    pub(super) processes: Vec<(Pid, Option<ExitStatus>)>,
}

/// The saved form of a file system.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum FileSystemImage {
    /// Host files, by which of the container's connections.
    Gofer(u32, GoferFsImage),
    /// Changes in memory above host files.
    Overlay(OverlayImage),
    /// Files in memory; the root has this number.
    Tmpfs(u64, TmpfsImage),
    /// Terminals.
    Devpts(DevptsImage),
    /// Processes; with this device number.
    Proc((u32, u32)),
    /// Devices; with this device number.
    Sysfs((u32, u32)),
    /// The control group; with this device number.
    Cgroup((u32, u32)),
}

/// The saved form of what is the root and the current directory.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct ContextImage {
    pub(super) namespace: u64,
    pub(super) context: FsContextImage,
}

/// How an inode is found that no name leads to, or that something refers to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum InodeImage {
    /// In the image of a gofer's files, by this id.
    Gofer(u64),
    /// In an overlay, at this place of its image.
    Overlay(u64, usize),
    /// In a tmpfs, by this number.
    Tmpfs(u64, u64),
    /// It has no file system to be found in.
    Anonymous(Attributes),
    /// What the container was given by this number.
    Given(u32),
}

/// The saved form of a terminal.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum TerminalImage {
    /// A pseudo-terminal, in the devpts with this id.
    Pty(u64, PtyImage),
    /// What the container was given by this number.
    Given(u32),
}

/// The saved forms of sockets, by family.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct SocketsImage {
    pub(super) unix: Vec<UnixSocketImage>,
    pub(super) tcp: Vec<TcpSocketImage>,
    pub(super) udp: Vec<UdpSocketImage>,
    pub(super) netlink: Vec<NetlinkSocketImage>,
}

/// The saved form of an open file description.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct FileImage {
    pub(super) file: OpenFileImage,
    pub(super) ops: OpsImage,
    /// Advisory locks of the file, with the first of its descriptions.
    pub(super) locks: Option<FileLocksImage>,
}

/// The saved form of what differs by kind.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum OpsImage {
    /// Nothing but where it is: it is opened again.
    Reopened,
    /// An end of the pipe with this id.
    Pipe(u64, PipeEndImage),
    /// The master of the terminal with this id, whose devpts is seen there.
    Master(u64, PathImage),
    /// A slave of the terminal with this id.
    Slave(u64),
    EventFd(EventFdImage),
    TimerFd(TimerFdImage),
    SignalFd(SignalFdImage),
    /// Of the group with this id.
    PidFd(u64, PidFdImage),
    Epoll(EpollImage),
    Inotify(InotifyImage),
    /// Sockets, by their ids among those of their family.
    Unix(u64),
    Tcp(u64),
    Udp(u64),
    Netlink(u64),
    /// What the container was given by this number.
    Given(u32),
}

/// The saved form of what mappings show.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct ObjectImage {
    pub(super) owner: OwnerImage,
    /// The size in bytes.
    pub(super) bytes: u64,
    /// When a file of the host was last changed, which must not have been changed since.
    pub(super) modified: Option<(i64, u64)>,
}

/// Whose memory it is.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) enum OwnerImage {
    /// A file's, by the id of the description.
    File(u64),
    Anonymous,
    SystemV(i32),
    Kernel,
}
