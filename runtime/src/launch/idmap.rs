//! The id maps of a new user namespace (`user_namespaces(7)`).

use std::fs::OpenOptions;
use std::io::{self, Write};

use rustix::process::Pid;

use super::Identity;

/// Whether we may map `id` into a new user namespace, and give up groups there: we are the superuser of a namespace that
/// has this id, and `setgroups(2)` was not denied in it.
pub(super) fn may_map(id: u32) -> bool {
    let has = |file| std::fs::read_to_string(file).is_ok_and(|map| maps(&map, id));
    let setgroups = std::fs::read_to_string("/proc/self/setgroups").unwrap_or_default();
    rustix::process::geteuid().is_root()
        && has("/proc/self/uid_map")
        && has("/proc/self/gid_map")
        && setgroups.trim_end() == "allow"
}

/// Whether a map, lines of "inside outside count", has an id inside.
fn maps(map: &str, id: u32) -> bool {
    map.lines().any(|line| {
        let mut numbers = line.split_whitespace().map(str::parse::<u64>);
        let (Some(Ok(first)), Some(Ok(_)), Some(Ok(count))) =
            (numbers.next(), numbers.next(), numbers.next())
        else {
            return false;
        };
        (first..first.saturating_add(count)).contains(&id.into())
    })
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_are_ranges() {
        assert!(maps("         0          0 4294967295\n", 65534));
        assert!(maps("0 1000 1\n1 100000 65536\n", 65534));
        assert!(!maps("0 1000 1\n", 65534));
        assert!(!maps("", 0));
    }
}
