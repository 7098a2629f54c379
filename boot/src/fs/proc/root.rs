//! `/proc` itself: files about the kernel, and a directory for each process.

use std::sync::Arc;

use super::text::KernelText;
use super::{cloister, cpuinfo, loadavg, meminfo, pid, stat, sys, uptime, vmstat};
use crate::error::Errno;
use crate::fs::kernfs::{Content, Directory, Entry, KernFs, Link, StaticDirectory};
use crate::fs::{FileKind, Inode};
use crate::kernel::{Kernel, RELEASE, VERSION};
use crate::prelude::errno;
use crate::task::{PidNamespace, Task, number};

/// The positions of processes in the directory start here, behind the fixed entries.
const FIRST_PROCESS: u64 = 256;

/// Makes the text of a file.
type Make = fn(&Kernel) -> String;

/// `/proc` itself.
#[derive(Debug)]
pub(super) struct Root {
    kernel: Arc<Kernel>,
    namespace: PidNamespace,
    fixed: StaticDirectory,
}

impl Root {
    /// Makes the directory.
    pub(super) fn new(kernel: &Arc<Kernel>, namespace: PidNamespace) -> Self {
        let mut fixed = StaticDirectory::default();
        let files: [(&'static str, Make); 15] = [
            ("cgroups", |_| CONTROLLERS.to_owned()),
            ("cmdline", |_| "cloister\n".to_owned()),
            ("cpuinfo", cpuinfo::text),
            ("devices", |_| DEVICES.to_owned()),
            ("diskstats", |_| String::new()),
            ("filesystems", |_| FILE_SYSTEMS.to_owned()),
            ("interrupts", |_| String::new()),
            ("loadavg", loadavg::text),
            ("meminfo", meminfo::text),
            ("modules", |_| String::new()),
            ("stat", stat::text),
            ("swaps", |_| "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n".to_owned()),
            ("uptime", uptime::text),
            ("version", version),
            ("vmstat", vmstat::text),
        ];
        for (inode, (name, make)) in (0x100..).zip(files) {
            fixed.add(name, inode, 0o444, KernelText::content(kernel, make));
        }
        fixed.add("sys", 0x200, 0o555, sys::directory());
        fixed.add("cloister", 0x205, 0o555, cloister::directory(kernel));
        let link = |target| Content::Link(Arc::new(OwnLink { namespace, target }));
        fixed.add("mounts", 0x201, 0o777, link(|_| "self/mounts".to_owned()));
        fixed.add("net", 0x202, 0o777, link(|_| "self/net".to_owned()));
        fixed.add("self", 0x203, 0o777, link(|task| number(task.group().tgid()).to_string()));
        fixed.add(
            "thread-self",
            0x204,
            0o777,
            link(|task| format!("{}/task/{}", number(task.group().tgid()), number(task.tid()))),
        );
        Self { kernel: Arc::clone(kernel), namespace, fixed }
    }
}

impl Directory for Root {
    fn lookup(&self, file_system: &Arc<KernFs>, name: &[u8]) -> Result<Arc<dyn Inode>, Errno> {
        match pid::parse(name) {
            Some(tgid) => pid::process(&self.kernel, file_system, self.namespace.pid(tgid)),
            None => self.fixed.lookup(file_system, name),
        }
    }

    fn entries(&self, from: u64) -> Vec<Entry> {
        let mut entries = self.fixed.entries(from);
        let first = i32::try_from(from.saturating_sub(FIRST_PROCESS)).unwrap_or(i32::MAX);
        let tree = self.kernel.processes.lock();
        let ids = tree.processes().map(|process| process.group.tgid());
        let numbered = ids.map(|tgid| (tgid, self.namespace.number(tgid)));
        entries.extend(numbered.filter(|(_, number)| *number > first.max(0)).map(|(tgid, number)| Entry {
            position: FIRST_PROCESS + u64::from(number.unsigned_abs()),
            name: number.to_string().into_bytes(),
            inode: pid::inode(tgid, 0),
            kind: FileKind::Directory,
        }));
        entries
    }
}

/// A link whose target depends on who reads it.
#[derive(Debug)]
struct OwnLink {
    namespace: PidNamespace,
    target: fn(&Task) -> String,
}

impl Link for OwnLink {
    fn target(&self, task: &Task) -> Result<Vec<u8>, Errno> {
        // Who is in another PID namespace, or outside of all, has no `self`.
        if self.namespace.number(task.group().tgid()) == 0 {
            Err(errno::ENOENT)
        } else {
            Ok((self.target)(task).into_bytes())
        }
    }
}

fn version(_kernel: &Kernel) -> String {
    format!("Linux version {RELEASE} (cloister) {VERSION}\n")
}

/// The devices that there are.
const DEVICES: &str = "\
Character devices:
  1 mem
  4 /dev/vc/0
  5 /dev/tty
  5 /dev/console
  5 /dev/ptmx
 10 misc
136 pts

Block devices:
";

/// The controllers of control groups: in the one hierarchy of version 2.
const CONTROLLERS: &str = "\
#subsys_name\thierarchy\tnum_cgroups\tenabled
cpuset\t0\t1\t1
cpu\t0\t1\t1
cpuacct\t0\t1\t1
memory\t0\t1\t1
pids\t0\t1\t1
";

/// The types of file systems that can be mounted.
const FILE_SYSTEMS: &str = "\
nodev\tproc
nodev\tsysfs
nodev\tcgroup2
nodev\ttmpfs
nodev\tdevtmpfs
nodev\tdevpts
nodev\tmqueue
nodev\toverlay
nodev\t9p
";
