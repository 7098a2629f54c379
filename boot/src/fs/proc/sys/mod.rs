//! `/proc/sys` (`proc_sys(5)`): values of the kernel, most of them fixed.

use std::sync::Arc;

use crate::error::Errno;
use crate::fs::kernfs::{Content, StaticDirectory, Text};
use crate::kernel::{Kernel, RELEASE, VERSION};
use crate::prelude::errno;
use crate::rand::random_uuid;
use crate::task::{Capabilities, PID_MAX, Task};

/// A value of the kernel.
#[derive(Clone, Copy)]
enum Value {
    /// It never changes.
    Fixed(&'static str),
    /// It is made when it is read.
    Made(fn(&Kernel) -> String),
    /// It can be set by who has this capability; text as read and as written.
    Settable(fn(&Task) -> String, fn(&Task, &[u8]) -> Result<(), Errno>, Capabilities),
}

/// All values, by their paths, in the order of the paths.
const VALUES: &[(&str, Value)] = &[
    ("fs/epoll/max_user_watches", Value::Fixed("5000000")),
    ("fs/file-max", Value::Fixed("9223372036854775807")),
    ("fs/file-nr", Value::Fixed("0\t0\t9223372036854775807")),
    ("fs/inotify/max_queued_events", Value::Fixed("16384")),
    ("fs/inotify/max_user_instances", Value::Fixed("128")),
    ("fs/inotify/max_user_watches", Value::Fixed("65536")),
    ("fs/mqueue/msg_max", Value::Fixed("10")),
    ("fs/mqueue/msgsize_max", Value::Fixed("8192")),
    ("fs/mqueue/queues_max", Value::Fixed("256")),
    ("fs/nr_open", Value::Fixed("1048576")),
    ("fs/overflowgid", Value::Fixed("65534")),
    ("fs/overflowuid", Value::Fixed("65534")),
    ("fs/pipe-max-size", Value::Fixed("1048576")),
    ("fs/protected_hardlinks", Value::Fixed("1")),
    ("fs/protected_symlinks", Value::Fixed("1")),
    ("kernel/cap_last_cap", Value::Fixed("40")),
    ("kernel/core_pattern", Value::Fixed("core")),
    ("kernel/domainname", Value::Settable(domain_name, set_domain_name, Capabilities::SYS_ADMIN)),
    ("kernel/hostname", Value::Settable(host_name, set_host_name, Capabilities::SYS_ADMIN)),
    ("kernel/msgmax", Value::Fixed("8192")),
    ("kernel/msgmnb", Value::Fixed("16384")),
    ("kernel/msgmni", Value::Fixed("32000")),
    ("kernel/ngroups_max", Value::Fixed("65536")),
    ("kernel/osrelease", Value::Fixed(RELEASE)),
    ("kernel/ostype", Value::Fixed("Linux")),
    ("kernel/overflowgid", Value::Fixed("65534")),
    ("kernel/overflowuid", Value::Fixed("65534")),
    ("kernel/pid_max", Value::Made(|_| PID_MAX.to_string())),
    ("kernel/random/boot_id", Value::Made(|kernel| kernel.boot_id.clone())),
    ("kernel/random/entropy_avail", Value::Fixed("256")),
    ("kernel/random/poolsize", Value::Fixed("256")),
    ("kernel/random/uuid", Value::Made(|_| random_uuid())),
    ("kernel/randomize_va_space", Value::Fixed("2")),
    ("kernel/seccomp/actions_avail", Value::Fixed("kill_process kill_thread trap errno trace log allow")),
    ("kernel/sem", Value::Fixed("32000\t1024000000\t500\t32000")),
    ("kernel/shmall", Value::Fixed("18446744073692774399")),
    ("kernel/shmmax", Value::Fixed("18446744073692774399")),
    ("kernel/shmmni", Value::Fixed("4096")),
    ("kernel/threads-max", Value::Made(|_| PID_MAX.to_string())),
    ("kernel/version", Value::Fixed(VERSION)),
    ("kernel/yama/ptrace_scope", Value::Fixed("1")),
    ("net/core/somaxconn", Value::Fixed("4096")),
    ("net/ipv4/ip_local_port_range", Value::Fixed("32768\t60999")),
    ("net/ipv6/bindv6only", Value::Fixed("0")),
    ("vm/max_map_count", Value::Fixed("65530")),
    ("vm/min_free_kbytes", Value::Fixed("67584")),
    ("vm/mmap_min_addr", Value::Fixed("458752")),
    ("vm/overcommit_memory", Value::Fixed("0")),
    ("vm/overcommit_ratio", Value::Fixed("50")),
    ("vm/swappiness", Value::Fixed("60")),
];

/// Makes the directory.
pub(super) fn directory(kernel: &Arc<Kernel>) -> Content {
    let mut next_inode = 0x1000;
    let values: Vec<(&'static str, Value)> = VALUES.to_vec();
    subdirectory(kernel, &values, &mut next_inode)
}

/// Makes a directory of the values whose paths, relative to it, are given.
fn subdirectory(kernel: &Arc<Kernel>, values: &[(&'static str, Value)], next_inode: &mut u64) -> Content {
    let mut directory = StaticDirectory::default();
    let mut rest = values;
    while let Some(((path, value), others)) = rest.split_first() {
        *next_inode += 1;
        let inode = *next_inode;
        let Some((name, _)) = path.split_once('/') else {
            let mode = if matches!(value, Value::Settable(..)) { 0o644 } else { 0o444 };
            let text = SysText { kernel: Arc::clone(kernel), value: *value };
            directory.add(*path, inode, mode, Content::Text(Arc::new(text)));
            rest = others;
            continue;
        };
        let inner = |path: &'static str| path.strip_prefix(name).and_then(|path| path.strip_prefix('/'));
        let below: Vec<_> =
            rest.iter().map_while(|(path, value)| inner(path).map(|path| (path, *value))).collect();
        directory.add(name, inode, 0o555, subdirectory(kernel, &below, next_inode));
        rest = rest.get(below.len()..).unwrap_or_default();
    }
    Content::Directory(Arc::new(directory))
}

struct SysText {
    kernel: Arc<Kernel>,
    value: Value,
}

impl Text for SysText {
    fn read(&self, task: &Arc<Task>) -> Result<Vec<u8>, Errno> {
        let mut text = match self.value {
            Value::Fixed(text) => text.to_owned(),
            Value::Made(make) => make(&self.kernel),
            Value::Settable(get, ..) => get(task),
        };
        text.push('\n');
        Ok(text.into_bytes())
    }

    fn write(&self, task: &Arc<Task>, value: &[u8]) -> Result<(), Errno> {
        let Value::Settable(_, set, capability) = self.value else { return Err(errno::EPERM) };
        if !task.credentials().has(capability) {
            return Err(errno::EPERM);
        }
        set(task, value.trim_ascii_end())
    }
}

impl std::fmt::Debug for SysText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SysText").finish_non_exhaustive()
    }
}

fn host_name(task: &Task) -> String {
    String::from_utf8_lossy(&task.uts().names().host).into_owned()
}

fn set_host_name(task: &Task, name: &[u8]) -> Result<(), Errno> {
    task.uts().set_host(name)
}

fn domain_name(task: &Task) -> String {
    let name = task.uts().names().domain;
    if name.is_empty() { "(none)".to_owned() } else { String::from_utf8_lossy(&name).into_owned() }
}

fn set_domain_name(task: &Task, name: &[u8]) -> Result<(), Errno> {
    task.uts().set_domain(name)
}
