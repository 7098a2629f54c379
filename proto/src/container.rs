//! The plain description of a container that the kernel is given.
//!
//! The runtime reads the OCI bundle, checks it, and reduces it to this: numbers and strings of bytes, no JSON, no names of
//! host files. What the container may reach of the host is donated as descriptors beside the description.

use crate::ByteString;
use crate::codec::{Decode, Encode};

/// Everything the kernel needs to know of a container before it starts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct ContainerSpec {
    /// The first process, pid 1 of the container.
    pub process: ProcessSpec,
    /// Host name of the container's UTS namespace.
    pub hostname: ByteString,
    /// NIS domain name of the container's UTS namespace.
    pub domainname: ByteString,
    /// The root file system.
    pub root: RootSpec,
    /// Mounts upon the root, to be made in this order.
    pub mounts: Vec<MountSpec>,
    /// Device nodes to be made in `/dev` beyond the default ones.
    pub devices: Vec<DeviceSpec>,
    /// Paths that look empty to the container.
    pub masked_paths: Vec<ByteString>,
    /// Paths that cannot be written.
    pub readonly_paths: Vec<ByteString>,
    /// Kernel parameters to set: name with dots, value.
    pub sysctl: Vec<(ByteString, ByteString)>,
    /// The system call filter of its processes.
    pub seccomp: Option<SeccompSpec>,
    /// What the container sees of the machine.
    pub limits: Limits,
    /// Number of donated files that count the memory of the sandbox's control group on the host, behind the gofer connections:
    /// how much is used, `memory.stat`, and how often it ran out.
    pub usage_files: u32,
    /// The network.
    pub network: Network,
    /// What signals do to the first process.
    pub first_process: FirstProcess,
    /// What it shares with other containers of the sandbox.
    pub namespaces: Namespaces,
}

/// The namespaces of a container that can be another's of the same sandbox. It has all others for itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Namespaces {
    /// Processes and their numbers.
    pub pid: Namespace,
    /// System V objects.
    pub ipc: Namespace,
    /// Sockets and their names.
    pub net: Namespace,
    /// Host name and domain name: those of the description are only for a namespace of its own.
    pub uts: Namespace,
}

/// Whose a namespace is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub enum Namespace {
    /// The container's own.
    #[default]
    Own,
    /// That of the container with this id.
    Of(String),
}

/// A system call filter (`seccomp(2)`).
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct SeccompSpec {
    /// The program: an array of `struct sock_filter`.
    pub program: ByteString,
    /// Whether calls that it does not allow are logged.
    pub logs: bool,
}

/// What signals do to the first process of a container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub enum FirstProcess {
    /// As to the first of a PID namespace (`pid_namespaces(7)`): those that it has no handler for do nothing, apart from
    /// `SIGKILL` and `SIGSTOP` from outside.
    #[default]
    Init,
    /// As to any other.
    Ordinary,
}

/// A process to be started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct ProcessSpec {
    /// Arguments; the first names the program, which is looked up in the environment's `PATH` unless it has a slash.
    pub args: Vec<ByteString>,
    /// Environment, each `NAME=value`.
    pub env: Vec<ByteString>,
    /// Absolute working directory.
    pub cwd: ByteString,
    /// Whether the working directory is made if it does not exist.
    pub create_cwd: bool,
    /// Credentials.
    pub user: User,
    /// Capability sets.
    pub capabilities: Capabilities,
    /// Whether `execve` can gain privileges (`PR_SET_NO_NEW_PRIVS`).
    pub no_new_privileges: bool,
    /// Resource limits.
    pub rlimits: Vec<Rlimit>,
    /// Whether the donated standard input is a terminal that becomes the controlling one of the process' new session.
    pub terminal: bool,
    /// `/proc/self/oom_score_adj`, if it is to be set.
    pub oom_score_adj: Option<i32>,
    /// Its execution domain (`personality(2)`).
    pub personality: u32,
    /// How it is scheduled.
    pub scheduling: Scheduling,
    /// Its class and priority for input and output, as `ioprio_set(2)` takes them.
    pub io_priority: u16,
    /// Number of donated descriptors behind standard error, which the process has as 3 and on.
    pub preserved: u32,
}

/// How a process is scheduled (`sched(7)`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Scheduling {
    /// Number of the policy, `SCHED_*`.
    pub policy: u32,
    /// Priority of real-time policies, 1 to 99; otherwise 0.
    pub priority: u32,
    /// Nice value, -20 to 19.
    pub nice: i32,
    /// Whether children are scheduled as ordinary processes.
    pub resets_on_fork: bool,
}

/// Credentials of a process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct User {
    /// User id: real, effective, saved and file system's.
    pub uid: u32,
    /// Group id: real, effective, saved and file system's.
    pub gid: u32,
    /// Supplementary groups.
    pub additional_gids: Vec<u32>,
    /// File mode creation mask; 0o022 if none is given.
    pub umask: Option<u32>,
}

/// Capability sets, bit N being capability N of `capabilities(7)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Capabilities {
    /// Bounding set.
    pub bounding: u64,
    /// Effective set.
    pub effective: u64,
    /// Inheritable set.
    pub inheritable: u64,
    /// Permitted set.
    pub permitted: u64,
    /// Ambient set.
    pub ambient: u64,
}

/// A resource limit (`setrlimit(2)`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Rlimit {
    /// Linux' number of the resource, `RLIMIT_*`.
    pub resource: u32,
    /// Soft limit; `u64::MAX` is infinity.
    pub soft: u64,
    /// Hard limit; `u64::MAX` is infinity.
    pub hard: u64,
}

/// The root file system: always the first donated gofer connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct RootSpec {
    /// Whether the root is mounted read-only.
    pub readonly: bool,
    /// Where writes go.
    pub overlay: Overlay,
}

/// Where writes to a gofer's files go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub enum Overlay {
    /// Through the gofer to the host.
    #[default]
    None,
    /// To an upper layer in memory, which is lost with the container.
    Memory {
        /// Most bytes that the upper layer holds; `None` is without a limit of its own.
        size: Option<u64>,
    },
}

/// A mount.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct MountSpec {
    /// Absolute path of the mount point; made if it does not exist.
    pub destination: ByteString,
    /// What is mounted.
    pub kind: MountKind,
    /// `MS_*` flags of `mount(2)`: read-only, nosuid, nodev, noexec, the atime and the propagation flags.
    pub flags: u64,
    /// Options that are neither flags nor part of `kind`, as they stand in the OCI configuration.
    pub options: Vec<ByteString>,
}

/// What is mounted.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum MountKind {
    /// A folder or file of the host behind the next donated gofer connection.
    Gofer {
        /// Where writes go.
        overlay: Overlay,
        /// Whether others change the files too, so that cached names and attributes must be checked again.
        shared: bool,
    },
    /// A file system in memory.
    Tmpfs {
        /// Most bytes, if limited.
        size: Option<u64>,
        /// Permissions of its root.
        mode: u32,
        /// Owner of its root.
        uid: u32,
        /// Group of its root.
        gid: u32,
    },
    /// `/proc`.
    Proc,
    /// `/sys`.
    Sysfs,
    /// `/dev` with the default devices and links of an OCI container.
    Devtmpfs,
    /// Pseudo-terminals.
    Devpts {
        /// Permissions of `ptmx`.
        ptmxmode: u32,
        /// Permissions of terminals.
        mode: u32,
        /// Group of terminals, if not that of their opener.
        gid: Option<u32>,
    },
    /// POSIX message queues.
    Mqueue,
    /// The control group tree.
    Cgroup,
}

/// A device node.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct DeviceSpec {
    /// Absolute path.
    pub path: ByteString,
    /// File type and permissions as in `st_mode`.
    pub mode: u32,
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// What the container sees of the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Limits {
    /// Number of CPUs; `None` is the host's.
    pub cpus: Option<u32>,
    /// Total memory in bytes; `None` is the host's.
    pub memory: Option<u64>,
    /// Most tasks at a time; `None` is without a limit.
    pub pids: Option<u64>,
    /// The processor time that its processes may use in a period, in microseconds, and the period; `None` is without a
    /// limit.
    pub cpu_quota: Option<(u64, u64)>,
}

/// The network of a container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub enum Network {
    /// Loopback only.
    #[default]
    None,
}

/// Number of gofer connections that a container needs: the root's, then one for each gofer mount in order.
#[must_use]
pub fn gofer_connections(spec: &ContainerSpec) -> usize {
    let mounts = spec.mounts.iter().filter(|mount| matches!(mount.kind, MountKind::Gofer { .. })).count();
    mounts.saturating_add(1)
}
