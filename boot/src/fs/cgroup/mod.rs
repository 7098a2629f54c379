//! The control group file system, version 2 (`cgroups(7)`), as programs look at it to learn their limits: one group, that of
//! their container, which is the root of their namespace. Groups can't be made in it, and its files can't be written.
//!
//! What a file tells is what is so: limits are those of the container's configuration, tasks and processor time are counted by
//! this kernel, and memory by the host's control group ([`MemoryUsage`]), as far as there is one.

mod files;
mod memory;

use std::sync::Arc;

use cloister_proto::container::Limits;

pub(crate) use memory::MemoryUsage;

use self::files::{FILES, Make};
use crate::error::Errno;
use crate::fs::kernfs::{Content, KernFs, Node, Owner, StaticDirectory, Text};
use crate::fs::{Dentry, NameCache, Timestamp};
use crate::kernel::Kernel;
use crate::prelude::uapi;
use crate::task::{Task, TaskSet};

/// What the files tell of.
#[derive(Debug)]
struct Group {
    kernel: Arc<Kernel>,
    tasks: Arc<TaskSet>,
    limits: Limits,
    memory: Arc<MemoryUsage>,
}

/// A file.
#[derive(Debug)]
struct GroupText {
    group: Arc<Group>,
    make: Make,
}

impl Text for GroupText {
    fn read(&self, _task: &Arc<Task>) -> Result<Vec<u8>, Errno> {
        Ok((self.make)(&self.group).into_bytes())
    }
}

/// Makes the file system for the container with `tasks`, on the device `device`. Returns the root of its tree.
pub(crate) fn new_tree(
    kernel: &Arc<Kernel>,
    tasks: Arc<TaskSet>,
    device: (u32, u32),
    limits: Limits,
    memory: Arc<MemoryUsage>,
) -> Arc<Dentry> {
    let created = Timestamp::from(kernel.clock.realtime());
    let magic = u64::from(uapi::CGROUP2_SUPER_MAGIC);
    let file_system = Arc::new(KernFs::new("cgroup2", magic, device, NameCache::Keep, created));
    let group = Arc::new(Group { kernel: Arc::clone(kernel), tasks, limits, memory });
    let mut root = StaticDirectory::default();
    for (inode, (name, make)) in (2..).zip(FILES) {
        let text = GroupText { group: Arc::clone(&group), make: *make };
        root.add(*name, inode, 0o444, Content::Text(Arc::new(text)));
    }
    let root = Content::Directory(Arc::new(root));
    Dentry::new_root(Node::inode(&file_system, 1, 0o555, Owner::default(), root))
}
