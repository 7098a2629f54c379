//! `/proc` (`proc(5)`).
//!
//! The folder is the tree: `root.rs` is `/proc`, `cpuinfo.rs` is `/proc/cpuinfo`, `pid/stat.rs` is `/proc/PID/stat`,
//! `sys/` is `/proc/sys`.

mod cloister;
mod cpuinfo;
mod loadavg;
mod meminfo;
mod pid;
mod root;
mod stat;
mod sys;
mod text;
mod uptime;
mod vmstat;

pub(crate) use pid::command_line;
pub(crate) use sys::set as set_parameter;

use std::sync::Arc;

use crate::fs::kernfs::{Content, KernFs, Node, Owner};
use crate::fs::{Dentry, NameCache, Timestamp};
use crate::kernel::Kernel;
use crate::prelude::uapi;
use crate::task::PidNamespace;

/// Makes a `/proc` for the processes of `kernel` that are in `namespace`, on the device `device`. Returns the root of its tree.
pub(crate) fn new_tree(kernel: &Arc<Kernel>, namespace: PidNamespace, device: (u32, u32)) -> Arc<Dentry> {
    let created = Timestamp::from(kernel.clock.realtime());
    let file_system =
        Arc::new(KernFs::new("proc", u64::from(uapi::PROC_SUPER_MAGIC), device, NameCache::Never, created));
    let root = Arc::new(root::Root::new(kernel, namespace));
    Dentry::new_root(Node::inode(&file_system, ROOT_INODE, 0o555, Owner::default(), Content::Directory(root)))
}

/// The number of the root's inode, as in Linux.
const ROOT_INODE: u64 = 1;
