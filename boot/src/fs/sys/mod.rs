//! `/sys` (`sysfs(5)`): what programs look for to count processors.

use std::borrow::Cow;
use std::sync::Arc;

use crate::error::Errno;
use crate::fs::kernfs::{Content, KernFs, Node, Owner, StaticDirectory, Text};
use crate::fs::{Dentry, NameCache, Timestamp};
use crate::kernel::Kernel;
use crate::prelude::uapi;
use crate::task::Task;

/// Makes a `/sys`, on the device `device`. Returns the root of its tree.
pub(crate) fn new_tree(kernel: &Arc<Kernel>, device: (u32, u32)) -> Arc<Dentry> {
    let created = Timestamp::from(kernel.clock.realtime());
    let file_system =
        Arc::new(KernFs::new("sysfs", u64::from(uapi::SYSFS_MAGIC), device, NameCache::Keep, created));
    let root = Tree::default().root(kernel);
    Dentry::new_root(Node::inode(&file_system, 1, 0o555, Owner::default(), root))
}

/// A file whose text never changes.
#[derive(Debug)]
struct Fixed(String);

impl Text for Fixed {
    fn read(&self, _task: &Arc<Task>) -> Result<Vec<u8>, Errno> {
        Ok(self.0.clone().into_bytes())
    }
}

/// A name with what it stands for.
type Named = (Cow<'static, str>, Content);

/// Makes the nodes, and hands out their numbers.
#[derive(Debug)]
struct Tree {
    next_inode: u64,
}

impl Default for Tree {
    fn default() -> Self {
        // 1 is the root's.
        Self { next_inode: 2 }
    }
}

impl Tree {
    fn root(&mut self, kernel: &Kernel) -> Content {
        let cpus = kernel.options.cpus;
        let cpu = self.cpus(cpus);
        let node = self.nodes(kernel);
        let system = self.directory(vec![("cpu", cpu), ("node", node)]);
        let devices = self.directory(vec![("system", system)]);
        let cgroup = self.empty();
        let fs = self.directory(vec![("cgroup", cgroup)]);
        let huge_pages = self.directory(vec![("enabled", Self::text("always [madvise] never\n"))]);
        let mm = self.directory(vec![("transparent_hugepage", huge_pages)]);
        let kernel_directory = self.directory(vec![("mm", mm)]);
        let empty = ["block", "bus", "class", "dev", "firmware", "module", "power"];
        let mut entries: Vec<_> = empty.iter().map(|name| (*name, self.empty())).collect();
        entries.extend([("devices", devices), ("fs", fs), ("kernel", kernel_directory)]);
        self.directory(entries)
    }

    /// `/sys/devices/system/cpu`.
    fn cpus(&mut self, cpus: u32) -> Content {
        let all = if cpus > 1 { format!("0-{}\n", cpus - 1) } else { "0\n".to_owned() };
        let mut entries: Vec<Named> = vec![
            ("kernel_max".into(), Self::text("8191\n")),
            ("offline".into(), Self::text("\n")),
            ("online".into(), Self::text(&all)),
            ("possible".into(), Self::text(&all)),
            ("present".into(), Self::text(&all)),
        ];
        for cpu in 0..cpus {
            let topology = self.directory(vec![
                ("core_cpus_list", Self::text(&format!("{cpu}\n"))),
                ("core_id", Self::text(&format!("{cpu}\n"))),
                ("core_siblings_list", Self::text(&all)),
                ("package_cpus_list", Self::text(&all)),
                ("physical_package_id", Self::text("0\n")),
                ("thread_siblings_list", Self::text(&format!("{cpu}\n"))),
            ]);
            let directory = self.directory(vec![("online", Self::text("1\n")), ("topology", topology)]);
            entries.push((format!("cpu{cpu}").into(), directory));
        }
        self.directory(entries)
    }

    /// `/sys/devices/system/node`: one for all.
    fn nodes(&mut self, kernel: &Kernel) -> Content {
        let cpus = kernel.options.cpus;
        let all = if cpus > 1 { format!("0-{}\n", cpus - 1) } else { "0\n".to_owned() };
        let node0 = self.directory(vec![("cpulist", Self::text(&all)), ("distance", Self::text("10\n"))]);
        self.directory(vec![
            ("has_cpu", Self::text("0\n")),
            ("node0", node0),
            ("online", Self::text("0\n")),
            ("possible", Self::text("0\n")),
        ])
    }

    fn directory<N: Into<Cow<'static, str>>>(&mut self, entries: Vec<(N, Content)>) -> Content {
        let mut directory = StaticDirectory::default();
        for (name, content) in entries {
            let permissions = if matches!(content, Content::Directory(_)) { 0o555 } else { 0o444 };
            directory.add(name, self.next_inode, permissions, content);
            self.next_inode += 1;
        }
        Content::Directory(Arc::new(directory))
    }

    fn empty(&mut self) -> Content {
        self.directory::<&str>(Vec::new())
    }

    fn text(text: &str) -> Content {
        Content::Text(Arc::new(Fixed(text.to_owned())))
    }
}
