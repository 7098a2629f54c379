//! The values below `/proc/sys`.

use std::slice;

use super::Value;
use crate::error::Errno;
use crate::kernel::{RELEASE, VERSION};
use crate::prelude::errno;
use crate::rand::random_uuid;
use crate::task::{Capabilities, PID_MAX, Task};

/// All values, by their paths, in the order of the paths.
pub(super) const VALUES: &[(&str, Value)] = &[
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
    ("kernel/msgmax", Value::Numbers(|all| slice::from_ref(&all.message_bytes))),
    ("kernel/msgmnb", Value::Numbers(|all| slice::from_ref(&all.message_queue_bytes))),
    ("kernel/msgmni", Value::Numbers(|all| slice::from_ref(&all.message_queues))),
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
    ("kernel/sem", Value::Numbers(|all| &all.semaphores)),
    ("kernel/shmall", Value::Numbers(|all| slice::from_ref(&all.shared_memory_pages))),
    ("kernel/shmmax", Value::Numbers(|all| slice::from_ref(&all.shared_memory_bytes))),
    ("kernel/shmmni", Value::Numbers(|all| slice::from_ref(&all.shared_memory_segments))),
    ("kernel/threads-max", Value::Made(|_| PID_MAX.to_string())),
    ("kernel/version", Value::Fixed(VERSION)),
    ("kernel/yama/ptrace_scope", Value::Fixed("1")),
    ("net/core/somaxconn", Value::Numbers(|all| slice::from_ref(&all.backlog))),
    ("net/ipv4/ip_local_port_range", Value::Settable(local_ports, set_local_ports, Capabilities::NET_ADMIN)),
    ("net/ipv4/ip_unprivileged_port_start", Value::Numbers(|all| slice::from_ref(&all.unprivileged_ports))),
    ("net/ipv4/ping_group_range", Value::Numbers(|all| &all.ping_groups)),
    ("net/ipv4/tcp_fin_timeout", Value::Numbers(|all| slice::from_ref(&all.fin_timeout))),
    ("net/ipv4/tcp_keepalive_intvl", Value::Numbers(|all| slice::from_ref(&all.keepalive[1]))),
    ("net/ipv4/tcp_keepalive_probes", Value::Numbers(|all| slice::from_ref(&all.keepalive[2]))),
    ("net/ipv4/tcp_keepalive_time", Value::Numbers(|all| slice::from_ref(&all.keepalive[0]))),
    ("net/ipv4/tcp_syncookies", Value::Numbers(|all| slice::from_ref(&all.syn_cookies))),
    ("net/ipv6/bindv6only", Value::Fixed("0")),
    ("vm/max_map_count", Value::Fixed("65530")),
    ("vm/min_free_kbytes", Value::Fixed("67584")),
    ("vm/mmap_min_addr", Value::Fixed("458752")),
    ("vm/overcommit_memory", Value::Fixed("0")),
    ("vm/overcommit_ratio", Value::Fixed("50")),
    ("vm/swappiness", Value::Fixed("60")),
];

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

fn local_ports(task: &Task) -> String {
    let ports = task.net().inet.tcp.ephemeral();
    format!("{}\t{}", ports.start(), ports.end())
}

fn set_local_ports(task: &Task, text: &[u8]) -> Result<(), Errno> {
    let text = str::from_utf8(text).map_err(|_| errno::EINVAL)?;
    let (first, last) = text.split_once(|c: char| c.is_ascii_whitespace()).ok_or(errno::EINVAL)?;
    let port = |text: &str| text.trim().parse::<u16>().map_err(|_| errno::EINVAL);
    let ports = port(first)?..=port(last)?;
    if ports.is_empty() || *ports.start() == 0 {
        return Err(errno::EINVAL);
    }
    let inet = &task.net().inet;
    inet.tcp.set_ephemeral(ports.clone());
    inet.udp.set_ephemeral(ports);
    Ok(())
}
