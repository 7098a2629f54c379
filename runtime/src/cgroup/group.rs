//! One control group: a folder in each hierarchy.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use oci_spec::runtime::LinuxResources;
use rustix::fs::{Mode, OFlags, openat};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::hierarchy::{Hierarchy, read};
use super::path::{self, Place};
use super::setting::{MEMSW, Setting, settings};
use super::{CgroupError, Hierarchies, Policy, Version};

/// Controllers of version 2 that are passed on to groups.
const PASSED_ON: [&str; 5] = ["cpu", "cpuset", "io", "memory", "pids"];
/// How long the host's kernel may take to take processes that have ended out of a group.
const PATIENCE: Duration = Duration::from_secs(2);

/// A control group. It can be chosen before it is made, so that it is known what is to be removed whatever happens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    version: Version,
    folders: Vec<Folder>,
}

/// The folder of a group in one hierarchy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Folder {
    controllers: Vec<String>,
    mount: PathBuf,
    path: PathBuf,
}

/// What a process joins a group by, opened while we may. A process that joins by itself, or is made in the group, does so
/// in microseconds; one that is moved by another may cost 10 ms, in which the host's kernel waits for all processors.
#[derive(Debug)]
pub struct Membership {
    /// The folder in which a process is made (`CLONE_INTO_CGROUP`); version 2.
    pub(crate) folder: Option<OwnedFd>,
    /// Files to which a thread writes 0 to move itself; version 1.
    pub(crate) tasks: Vec<OwnedFd>,
    /// What counts the memory that it uses: how much, of what kind, and how often it ran out. Empty if nothing does.
    pub(crate) usage: Vec<OwnedFd>,
}

impl Membership {
    /// Moves this process, which has one thread, into the group.
    ///
    /// # Errors
    ///
    /// The system's: no permission.
    pub fn join(&self) -> Result<(), CgroupError> {
        let fail = |errno: Errno| CgroupError::Join(errno.into());
        if let Some(folder) = &self.folder {
            let flags = OFlags::WRONLY | OFlags::CLOEXEC;
            let processes = openat(folder, "cgroup.procs", flags, Mode::empty()).map_err(fail)?;
            rustix::io::write(&processes, b"0").map_err(fail)?;
        }
        for tasks in &self.tasks {
            rustix::io::write(tasks, b"0").map_err(fail)?;
        }
        Ok(())
    }
}

impl Group {
    /// Chooses the group of a container; `None` if there are no control groups here.
    ///
    /// # Errors
    ///
    /// A path that makes no sense.
    pub fn choose(
        hierarchies: &Hierarchies,
        path: Option<&Path>,
        id: &str,
        policy: Policy,
    ) -> Result<Option<Self>, CgroupError> {
        if policy == Policy::Ignored {
            return Ok(None);
        }
        let place = path::place(path, id, policy)?;
        let version = hierarchies.version;
        let folder = |hierarchy: &Hierarchy| Folder {
            controllers: hierarchy.controllers.clone(),
            mount: hierarchy.mount.clone(),
            path: hierarchy.mount.join(match (&place, version) {
                (Place::Absolute(path), _) => path.clone(),
                (Place::Relative(path), Version::V1) => hierarchy.own.join(path),
                // A group with processes cannot pass controllers on to others below it, so this goes beside our own.
                (Place::Relative(path), Version::V2) => {
                    hierarchy.own.parent().unwrap_or_else(|| Path::new("")).join(path)
                }
            }),
        };
        let folders: Vec<_> = hierarchies.all.iter().map(folder).collect();
        Ok((!folders.is_empty()).then_some(Self { version, folders }))
    }

    /// Makes it, unless it is there.
    ///
    /// # Errors
    ///
    /// The system's: no permission.
    pub fn make(&self) -> Result<(), CgroupError> {
        for folder in &self.folders {
            fs::create_dir_all(&folder.path).map_err(fail("make", &folder.path))?;
            match self.version {
                Version::V2 => pass_on(folder),
                Version::V1 if folder.controllers.iter().any(|name| name == "cpuset") => {
                    inherit_cpuset(folder)?;
                }
                Version::V1 => {}
            }
        }
        Ok(())
    }

    /// Sets limits.
    ///
    /// # Errors
    ///
    /// Values that the host's kernel refuses, limits below what is in use, or a controller that is not there.
    pub fn apply(&self, resources: &LinuxResources) -> Result<(), CgroupError> {
        self.check_usage(resources)?;
        let mut settings = settings(resources, self.version)?;
        self.sort_memory(&mut settings);
        for setting in &settings {
            let folder = self.folder(&setting.controller);
            let path = folder
                .ok_or_else(|| CgroupError::NoController(setting.controller.clone()))?
                .join(&setting.file);
            // A machine that does not count swap has no limit to be lifted.
            if setting.file == MEMSW && setting.value == "-1" && !path.exists() {
                continue;
            }
            write(&path, &setting.value)?;
        }
        Ok(())
    }

    /// Opens what processes join it by.
    ///
    /// # Errors
    ///
    /// The system's: no permission.
    pub fn membership(&self) -> Result<Membership, CgroupError> {
        let mut membership = Membership { folder: None, tasks: Vec::new(), usage: self.usage() };
        for folder in &self.folders {
            match self.version {
                Version::V2 => {
                    let opened = fs::File::open(&folder.path).map_err(fail("open", &folder.path))?;
                    membership.folder = Some(opened.into());
                }
                Version::V1 => {
                    let path = folder.path.join("tasks");
                    let opened = OpenOptions::new().write(true).open(&path).map_err(fail("open", &path))?;
                    membership.tasks.push(opened.into());
                }
            }
        }
        Ok(membership)
    }

    /// Opens the files that count its memory.
    fn usage(&self) -> Vec<OwnedFd> {
        let names = match self.version {
            Version::V1 => ["memory.usage_in_bytes", "memory.stat", "memory.oom_control"],
            Version::V2 => ["memory.current", "memory.stat", "memory.events"],
        };
        let Some(folder) = self.folder("memory") else { return Vec::new() };
        let files = names.iter().map(|name| Ok(fs::File::open(folder.join(name))?.into()));
        files.collect::<io::Result<_>>().unwrap_or_default()
    }

    /// Removes it with all groups below it, once its processes have ended.
    ///
    /// # Errors
    ///
    /// The system's: a process is left in it.
    pub fn remove(&self) -> Result<(), CgroupError> {
        let until = Instant::now() + PATIENCE;
        self.folders.iter().try_for_each(|folder| {
            loop {
                match remove_tree(&folder.path) {
                    Err(error) if error.kind() == io::ErrorKind::ResourceBusy && Instant::now() < until => {
                        thread::sleep(Duration::from_millis(2));
                    }
                    result => return result.map_err(fail("remove", &folder.path)),
                }
            }
        })
    }

    /// Which interface it has.
    pub(super) fn version(&self) -> Version {
        self.version
    }

    /// Where the files of a controller are.
    pub(super) fn folder(&self, controller: &str) -> Option<&Path> {
        let has = |folder: &&Folder| {
            self.version == Version::V2 || folder.controllers.iter().any(|name| name == controller)
        };
        self.folders.iter().find(has).map(|folder| &*folder.path)
    }

    /// Refuses a memory limit below what is in use, if the configuration asks for that; version 1 does so by itself.
    fn check_usage(&self, resources: &LinuxResources) -> Result<(), CgroupError> {
        let Some(memory) = resources.memory().as_ref() else { return Ok(()) };
        let limit = memory.limit().filter(|limit| *limit > 0 && memory.check_before_update() == Some(true));
        let (Some(limit), Version::V2, Some(folder)) = (limit, self.version, self.folder("memory")) else {
            return Ok(());
        };
        let usage = read(&folder.join("memory.current")).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
        if u64::try_from(limit).is_ok_and(|limit| limit < usage) {
            return Err(CgroupError::InUse { limit, usage });
        }
        Ok(())
    }

    /// Version 1 demands that at no time the limit of memory is above that of memory and swap.
    fn sort_memory(&self, settings: &mut [Setting]) {
        let find = |file: &str| settings.iter().position(|setting| setting.file == file);
        let (Some(limit), Some(swap)) = (find("memory.limit_in_bytes"), find(MEMSW)) else { return };
        let current =
            self.folder("memory").and_then(|folder| read(&folder.join(MEMSW)).ok()?.parse::<i64>().ok());
        let new = settings.get(swap).and_then(|setting| setting.value.parse::<i64>().ok());
        let is_raise = new.is_some_and(|new| new < 0 || current.is_some_and(|current| new > current));
        if is_raise && limit < swap {
            settings.swap(limit, swap);
        }
    }
}

/// Has the groups above a folder pass controllers on to it. What they do not have is found out by who needs it.
fn pass_on(folder: &Folder) {
    let Some(parent) = folder.path.parent() else { return };
    for group in folders_between(&folder.mount, parent) {
        let available = read(&group.join("cgroup.controllers")).unwrap_or_default();
        for name in available.split_whitespace().filter(|name| PASSED_ON.contains(name)) {
            let _ = write(&group.join("cgroup.subtree_control"), &format!("+{name}"));
        }
    }
}

/// Gives groups that have no processors and memory nodes, which no process can join, those of the group above.
fn inherit_cpuset(folder: &Folder) -> Result<(), CgroupError> {
    for group in folders_between(&folder.mount, &folder.path).skip(1) {
        let Some(parent) = group.parent() else { continue };
        for file in ["cpuset.cpus", "cpuset.mems"] {
            let path = group.join(file);
            if read(&path).map_err(fail("read", &path))?.is_empty() {
                let source = parent.join(file);
                write(&path, &read(&source).map_err(fail("read", &source))?)?;
            }
        }
    }
    Ok(())
}

/// The folders from `top` down to `bottom`, both included.
fn folders_between<'a>(top: &'a Path, bottom: &'a Path) -> impl Iterator<Item = &'a Path> {
    let mut folders: Vec<_> = bottom.ancestors().take_while(|folder| folder.starts_with(top)).collect();
    folders.reverse();
    folders.into_iter()
}

/// Removes a group and those below it; the files of a group go with it.
fn remove_tree(path: &Path) -> io::Result<()> {
    match fs::remove_dir(path) {
        // A read-only hierarchy tells of itself before it tells that the group is not there.
        Err(_) if !path.exists() => Ok(()),
        Err(error) => {
            let below: Vec<_> = fs::read_dir(path)?
                .flatten()
                .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
                .collect();
            if below.is_empty() {
                return Err(error);
            }
            below.iter().try_for_each(|entry| remove_tree(&entry.path()))?;
            fs::remove_dir(path)
        }
        Ok(()) => Ok(()),
    }
}

/// Writes to a file that is there.
fn write(path: &Path, value: &str) -> Result<(), CgroupError> {
    let result =
        OpenOptions::new().write(true).open(path).and_then(|mut file| file.write_all(value.as_bytes()));
    result.map_err(fail(&format!("write {value:?} to"), path))
}

fn fail<'a>(action: &str, path: &'a Path) -> impl FnOnce(io::Error) -> CgroupError + use<'a> {
    let action = action.to_owned();
    move |source| CgroupError::File { action, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    //! Plain folders in the place of hierarchies; `integration/tests/cgroups.rs` has real ones.

    use super::*;
    use serde_json::json;

    fn group(version: Version, root: &Path, controllers: &[&str]) -> Group {
        let mount = root.join("mount");
        let folder = Folder {
            controllers: controllers.iter().map(|name| (*name).to_owned()).collect(),
            path: mount.join("a/b"),
            mount,
        };
        Group { version, folders: vec![folder] }
    }

    fn fill(folder: &Path, files: &[(&str, &str)]) {
        fs::create_dir_all(folder).unwrap();
        for (name, text) in files {
            fs::write(folder.join(name), text).unwrap();
        }
    }

    #[test]
    fn version_2_passes_controllers_on() {
        let root = tempfile::tempdir().unwrap();
        let group = group(Version::V2, root.path(), &[]);
        let mount = root.path().join("mount");
        let files = [("cgroup.controllers", "cpuset memory hugetlb\n"), ("cgroup.subtree_control", "")];
        fill(&mount, &files);
        fill(&mount.join("a"), &files);
        group.make().unwrap();
        for parent in [mount.clone(), mount.join("a")] {
            let text = fs::read_to_string(parent.join("cgroup.subtree_control")).unwrap();
            assert_eq!(text, "+memory", "the last of those that were written");
        }
        assert!(group.membership().unwrap().folder.is_some());
        group.remove().unwrap();
        assert!(mount.join("a").exists() && !mount.join("a/b").exists());
        group.remove().unwrap();
    }

    #[test]
    fn limits_are_written_to_files_that_are_there() {
        let root = tempfile::tempdir().unwrap();
        let group = group(Version::V2, root.path(), &[]);
        let folder = root.path().join("mount/a/b");
        fill(&folder, &[("memory.max", "max"), ("memory.current", "2000"), ("cpu.max", "max 100000")]);
        let resources = |value| serde_json::from_value::<LinuxResources>(value).unwrap();
        group.apply(&resources(json!({ "memory": { "limit": 1000 }, "cpu": { "quota": 5 } }))).unwrap();
        assert_eq!(fs::read_to_string(folder.join("memory.max")).unwrap(), "1000");
        let below = json!({ "memory": { "limit": 1000, "checkBeforeUpdate": true } });
        let error = group.apply(&resources(below)).unwrap_err().to_string();
        assert!(error.contains("2000 bytes in use"), "{error}");
        let error = group.apply(&resources(json!({ "pids": { "limit": 3 } }))).unwrap_err();
        assert!(error.is_denied() && error.to_string().contains("pids.max"), "{error}");
    }

    #[test]
    fn version_1_raises_memory_and_swap_in_order() {
        let root = tempfile::tempdir().unwrap();
        let group = group(Version::V1, root.path(), &["memory"]);
        fill(&root.path().join("mount/a/b"), &[(MEMSW, "1500\n")]);
        let order = |limit: i64, swap: i64| {
            let resources = json!({ "memory": { "limit": limit, "swap": swap } });
            let mut settings = settings(&serde_json::from_value(resources).unwrap(), Version::V1).unwrap();
            group.sort_memory(&mut settings);
            settings.first().unwrap().file.clone()
        };
        assert_eq!(order(1000, 1200), "memory.limit_in_bytes");
        assert_eq!(order(2000, 3000), MEMSW);
        assert_eq!(order(-1, -1), MEMSW);
        let error =
            group.apply(&serde_json::from_value(json!({ "cpu": { "shares": 2 } })).unwrap()).unwrap_err();
        assert!(error.to_string().contains("no cpu control group"), "{error}");
    }
}
