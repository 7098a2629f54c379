//! What control group hierarchies the machine has, and where in them this process is.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::CgroupError;

/// Version of the control group interface that is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Version {
    /// A hierarchy for each controller, or for some together.
    V1,
    /// One hierarchy for all.
    V2,
}

/// The hierarchies of the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hierarchies {
    /// Which interface it is. Where version 1 has controllers, a version 2 hierarchy beside them is not used.
    pub version: Version,
    /// Each hierarchy; there is one if the version is 2.
    pub(super) all: Vec<Hierarchy>,
}

/// A mounted hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hierarchy {
    /// Where it is mounted.
    pub(super) mount: PathBuf,
    /// The controllers, for version 1; `name=systemd` for one without.
    pub(super) controllers: Vec<String>,
    /// The group of this process, relative to the mount.
    pub(super) own: PathBuf,
}

impl Hierarchies {
    /// Looks at the machine. There may be none.
    ///
    /// # Errors
    ///
    /// `/proc` cannot be read.
    pub fn of_this_machine() -> Result<Self, CgroupError> {
        let read = |path: &str| {
            fs::read_to_string(path).map_err(|source| CgroupError::File {
                action: "read".into(),
                path: path.into(),
                source,
            })
        };
        Ok(Self::parse(&read("/proc/self/mountinfo")?, &read("/proc/self/cgroup")?))
    }

    /// Reads `/proc/self/mountinfo` (`proc_pid_mountinfo(5)`) and `/proc/self/cgroup` (`cgroups(7)`).
    fn parse(mountinfo: &str, own: &str) -> Self {
        let own = own_groups(own);
        let mut v1: Vec<Hierarchy> = Vec::new();
        let mut v2 = None;
        for (kind, root, mount, options) in mountinfo.lines().filter_map(mount_fields) {
            let hierarchy = |controllers: Vec<String>, key: &str| Hierarchy {
                own: below_mount(own.get(key).map_or("/", String::as_str), &root),
                mount: mount.clone().into(),
                controllers,
            };
            match kind {
                "cgroup2" if v2.is_none() => v2 = Some(hierarchy(Vec::new(), "")),
                "cgroup" => {
                    let controllers: Vec<String> =
                        options.split(',').filter(|word| is_controller(word)).map(str::to_owned).collect();
                    let Some(key) = controllers.first().cloned() else { continue };
                    // One that is mounted twice is the same hierarchy.
                    if v1.iter().all(|known| known.controllers != controllers) {
                        v1.push(hierarchy(controllers, &key));
                    }
                }
                _ => {}
            }
        }
        if v1.iter().any(|hierarchy| hierarchy.controllers.iter().any(|name| !name.starts_with("name="))) {
            return Self { version: Version::V1, all: v1 };
        }
        Self { version: Version::V2, all: v2.into_iter().collect() }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }
}

/// Words of the superblock's options that are no controllers.
fn is_controller(word: &str) -> bool {
    const OPTIONS: [&str; 9] =
        ["rw", "ro", "xattr", "noprefix", "clone_children", "none", "favordynmods", "cpuset_v2_mode", "all"];
    !OPTIONS.contains(&word) && !word.starts_with("release_agent=")
}

/// Type, root, mount point and superblock options of a line of `mountinfo`.
fn mount_fields(line: &str) -> Option<(&str, String, String, &str)> {
    let (before, after) = line.split_once(" - ")?;
    let mut before = before.split(' ').skip(3);
    let (root, mount) = (before.next()?, before.next()?);
    let mut after = after.split(' ');
    let (kind, options) = (after.next()?, after.nth(1)?);
    Some((kind, unescaped(root), unescaped(mount), options))
}

/// Undoes the escapes of `mountinfo`: `\` and three octal digits for space, tab, newline and backslash.
fn unescaped(text: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(text.to_owned(), |text, (escape, character)| text.replace(escape, character))
}

/// The groups of this process by controller; version 2's by an empty name.
fn own_groups(text: &str) -> BTreeMap<String, String> {
    let mut groups = BTreeMap::new();
    for line in text.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { continue };
        groups.extend(controllers.split(',').map(|name| (name.to_owned(), path.to_owned())));
    }
    groups
}

/// The path of a group relative to a mount that shows the hierarchy from `root` on. What is not below is the mount itself.
fn below_mount(path: &str, root: &str) -> PathBuf {
    let path = Path::new(path);
    let below = path.strip_prefix(root).unwrap_or_else(|_| Path::new(""));
    below.components().filter(|part| matches!(part, Component::Normal(_))).collect()
}

/// Reads a file of a group, without the newline at its end.
pub(super) fn read(path: &Path) -> io::Result<String> {
    Ok(fs::read_to_string(path)?.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const V1: &str = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n\
        32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct\n\
        35 31 0:32 /docker/7 /sys/fs/cgroup/mem\\040ory rw - cgroup cgroup rw,memory\n\
        36 31 0:32 /docker/7 /elsewhere rw - cgroup cgroup rw,memory\n\
        40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,release_agent=/x,name=systemd\n\
        41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";

    #[test]
    fn hierarchies_of_version_1_come_first() {
        let own = "4:memory:/docker/7/x\n2:cpu,cpuacct:/a:b\n1:name=systemd:/\n0::/u\n";
        let found = Hierarchies::parse(V1, own);
        assert_eq!(found.version, Version::V1);
        let places: Vec<_> = found
            .all
            .iter()
            .map(|one| (one.mount.to_str().unwrap(), one.controllers.join("+"), one.own.to_str().unwrap()))
            .collect();
        assert_eq!(
            places,
            [
                ("/sys/fs/cgroup/cpu,cpuacct", "cpu+cpuacct".into(), "a:b"),
                ("/sys/fs/cgroup/mem ory", "memory".into(), "x"),
                ("/sys/fs/cgroup/systemd", "name=systemd".into(), ""),
            ]
        );
    }

    #[test]
    fn version_2_is_one_hierarchy() {
        let mountinfo = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";
        let found = Hierarchies::parse(mountinfo, "0::/user.slice/x.scope\n");
        assert_eq!(found.version, Version::V2);
        assert_eq!(found.all.len(), 1);
        assert_eq!(found.all[0].own, Path::new("user.slice/x.scope"));
    }

    #[test]
    fn there_may_be_none() {
        assert!(Hierarchies::parse("21 1 0:1 / / rw - ext4 /dev/x rw\nnonsense\n", "").is_empty());
    }

    #[test]
    fn this_machine_can_be_looked_at() {
        Hierarchies::of_this_machine().unwrap();
    }
}
