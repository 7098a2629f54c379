//! The id maps of a new user namespace (`user_namespaces(7)`).

use std::fs::OpenOptions;
use std::io::{self, Write};

use rustix::process::Pid;

use super::Identity;

/// Writes maps of one id each for the user namespace of `pid`, which waits for them.
///
/// An ordinary user may map no id but their own, and only after `setgroups(2)` was denied in the namespace: otherwise
/// dropping a group could gain access to a file that denies the group. So supplementary groups stay.
pub(super) fn write(pid: Pid, identity: &Identity) -> io::Result<()> {
    if !identity.privileged {
        put(pid, "setgroups", "deny")?;
    }
    put(pid, "gid_map", &format!("{} {} 1", identity.inside, identity.gid))?;
    put(pid, "uid_map", &format!("{} {} 1", identity.inside, identity.uid))
}

fn put(pid: Pid, file: &str, text: &str) -> io::Result<()> {
    let path = format!("/proc/{}/{file}", pid.as_raw_nonzero());
    OpenOptions::new().write(true).open(path)?.write_all(text.as_bytes())
}
