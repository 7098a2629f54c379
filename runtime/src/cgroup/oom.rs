//! Being told when a group lacks memory.
//!
//! Source of behaviour: the host kernel's `cgroup-v1/memory.rst`, "OOM Control", and `cgroup-v2.rst`, "memory.events".

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::inotify;
use rustix::io::Errno;

use super::{CgroupError, Group, Version};

/// Tells when processes of a group are killed for lack of memory: its descriptor is then ready to be read.
#[derive(Debug)]
pub struct OomWatch {
    events: OwnedFd,
    group: Group,
    /// How many were killed when it was looked last.
    kills: u64,
}

impl OomWatch {
    /// Begins; `None` if nothing counts the group's memory.
    ///
    /// # Errors
    ///
    /// The system's: no permission.
    pub fn begin(group: Group) -> Result<Option<Self>, CgroupError> {
        let Some(folder) = group.folder("memory") else { return Ok(None) };
        let fail = |source: std::io::Error| CgroupError::File {
            path: folder.to_owned(),
            action: "watch".into(),
            source,
        };
        let events = match group.version() {
            Version::V1 => v1(folder).map_err(fail)?,
            Version::V2 => v2(folder).map_err(|errno| fail(errno.into()))?,
        };
        let kills = group.stats().oom_kills;
        Ok(Some(Self { events, group, kills }))
    }

    /// Takes note of what the descriptor told of. Whether memory was lacking since the last time.
    pub fn take(&mut self) -> bool {
        let mut told = [0; 4096];
        // There may be nothing: then nothing was lacking.
        let is_told = rustix::io::read(&self.events, &mut told).is_ok_and(|count| count > 0);
        let kills = self.group.stats().oom_kills;
        let more = kills > std::mem::replace(&mut self.kills, kills);
        match self.group.version() {
            // It is told before anything is killed, and when the group is removed.
            Version::V1 => more || is_told && self.group.folder("memory").is_some_and(Path::exists),
            Version::V2 => more,
        }
    }
}

impl AsFd for OomWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.events.as_fd()
    }
}

fn v1(folder: &Path) -> std::io::Result<OwnedFd> {
    let events = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
    let control = File::open(folder.join("memory.oom_control"))?;
    let mut register = File::options().write(true).open(folder.join("cgroup.event_control"))?;
    register.write_all(format!("{} {}", events.as_raw_fd(), control.as_raw_fd()).as_bytes())?;
    Ok(events)
}

fn v2(folder: &Path) -> Result<OwnedFd, Errno> {
    let events = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
    inotify::add_watch(&events, folder.join("memory.events"), inotify::WatchFlags::MODIFY)?;
    Ok(events)
}
