//! The lock classes, in the order of acquisition: a lock may be taken while locks of *lower* classes are held.
//!
//! Two locks of one class are taken together only with [`Lock::pair`](crate::Lock::pair).

/// Protects the list of control connections.
pub const CONNECTIONS: u8 = 1;
/// Protects what only the worker that runs a task uses: its registers, the call that it is in. Held while the task
/// is handled, and with [`DIRECTORY`], [`COPY_UP`] and [`GOFER`] the only lock that may be held over a gofer's answer.
pub const TASK_RUN: u8 = 5;
/// Protects the table of containers.
pub const CONTAINERS: u8 = 6;
/// Protects where in its life a container is.
pub const CONTAINER: u8 = 7;
/// Protects an open file description: its offset and flags. Held over a read or write that moves the offset, of files such
/// as those of `/proc` too, which look at everything.
pub const OPEN_FILE: u8 = 8;
/// Protects the tree of processes: parents, children, process groups, sessions, and the id tables.
pub const PROCESS_TREE: u8 = 10;
/// Protects a thread group: its threads, its pending signals, its exit state, its stop state, its timers.
pub const THREAD_GROUP: u8 = 20;
/// Protects what the processes of a container that have ended used.
pub const TASK_SET: u8 = 25;
/// Protects the signal actions that a set of tasks shares.
pub const SIGNAL_ACTIONS: u8 = 30;
/// Protects what one task shares with others: pending signals, mask, name, credentials.
pub const TASK: u8 = 40;
/// Protects the file system context (`root`, `cwd`, `umask`) that a set of tasks shares.
pub const FS_CONTEXT: u8 = 50;
/// Protects the names of a UTS namespace.
pub const UTS: u8 = 55;
/// What a sandbox was told of the snapshot that it comes from; nothing is locked under it.
pub const GENERATION: u8 = 57;
/// Protects a descriptor table.
pub const FD_TABLE: u8 = 60;
/// Protects the parts of a futex operation that must be seen as one: a bucket of waiters.
pub const FUTEX: u8 = 70;
/// Protects the System V objects of one kind: shared memory, semaphores, message queues.
pub const IPC: u8 = 75;
/// Serialises renames of directories in the whole sandbox, as in Linux.
pub const RENAME: u8 = 100;
/// Serialises changes of one directory's names, and look-ups that the dentry cache can't answer.
pub const DIRECTORY: u8 = 105;
/// Protects the table of mounts.
pub const MOUNT: u8 = 110;
/// Protects where one mount is attached.
pub const MOUNT_POINT: u8 = 115;
/// Protects the children and the name of a dentry.
pub const DENTRY: u8 = 120;
/// Protects the list of dentries that can be evicted.
pub const DENTRY_LRU: u8 = 130;
/// Serialises the copying of an inode of a lower file system to the upper one; held while a gofer answers.
pub const COPY_UP: u8 = 135;
/// Protects an inode of an upper file system (overlay), which calls into inodes of lower ones.
pub const UPPER_INODE: u8 = 140;
/// Protects the table of an overlay's objects.
pub const OVERLAY: u8 = 145;
/// Protects an inode's attributes and contents.
pub const INODE: u8 = 150;
/// Protects the advisory locks of an inode.
pub const FILE_LOCKS: u8 = 155;
/// Serialises the requests on one gofer connection; held while the gofer answers.
pub const GOFER: u8 = 160;
/// Protects a table of sockets that have a name (abstract names, bound inodes, ports).
pub const SOCKET_NAMES: u8 = 170;
/// Protects one socket, or one pair of connected ones.
pub const SOCKET: u8 = 180;
/// Protects a pipe, an eventfd, a terminal or another leaf object with wait queues of its own.
pub const STREAM: u8 = 190;
/// Protects the list of files that were on their way in messages and are to be dropped.
pub const IN_FLIGHT: u8 = 192;
/// Serialises the nesting of epoll instances in the whole sandbox.
pub const EPOLL_NESTING: u8 = 195;
/// Protects an epoll instance's interest list.
pub const EPOLL: u8 = 200;
/// Protects a timer's setting.
pub const TIMER: u8 = 210;
/// Protects an epoll instance's ready list, or the setting of one of its interests; taken by wake-ups.
pub const EPOLL_READY: u8 = 215;
/// Protects the resource limits of a process.
pub const RLIMITS: u8 = 218;
/// Protects the entries of a wait queue.
pub const WAIT_QUEUE: u8 = 220;
/// Protects the timer queue of the sandbox.
pub const TIMER_QUEUE: u8 = 230;
/// Protects the table of watched host descriptors.
pub const REACTOR: u8 = 235;
/// Protects the vma tree and the break of an address space. Bytes are copied from and to guest memory, which may make a
/// stack grow, under nearly any other lock.
pub const ADDRESS_SPACE: u8 = 236;
/// Protects a task's place in the scheduler: running, parked, woken.
pub const SCHEDULE: u8 = 240;
/// Protects the run queue.
pub const RUN_QUEUE: u8 = 245;
/// Protects what a platform maps of files for an address space to copy from; held while it is changed.
pub const WINDOW: u8 = 248;
/// Protects a platform's own tables.
pub const PLATFORM: u8 = 250;
/// Protects what the platform has changed of an address space's text.
pub const CALL_SITES: u8 = 252;
/// Protects a list of what is to be released, or a table of what exists: a leaf that any drop may take.
pub const RELEASED: u8 = 254;
