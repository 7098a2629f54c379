//! How much memory the group uses.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;

use rustix::io::pread;

use super::Group;

/// The most bytes of a file of the host that are looked at: several times what there are.
const MAX_TEXT: usize = 16 << 10;

/// The files of the host's control group that count the sandbox's memory, opened by the runtime: all of its programs with this
/// kernel and the file server. Without them what programs have mapped is told.
#[derive(Debug, Default)]
pub(crate) struct MemoryUsage {
    /// `memory.current`, or `memory.usage_in_bytes` of version 1.
    current: Option<OwnedFd>,
    /// `memory.stat`.
    stat: Option<OwnedFd>,
    /// `memory.events`, or `memory.oom_control` of version 1.
    events: Option<OwnedFd>,
}

impl MemoryUsage {
    /// Takes the files, in this order.
    pub(crate) fn new(files: impl IntoIterator<Item = OwnedFd>) -> Self {
        let mut files = files.into_iter();
        Self { current: files.next(), stat: files.next(), events: files.next() }
    }

    /// Returns the bytes in use.
    pub(super) fn current(&self, group: &Group) -> u64 {
        let told = self.current.as_ref().and_then(|file| text(file)?.trim().parse().ok());
        told.unwrap_or_else(|| mapped(group).values().sum())
    }

    /// Returns the text of `memory.stat`: what both versions count, by the names of version 2.
    pub(super) fn stat(&self, group: &Group) -> String {
        let told = self.stat.as_ref().and_then(text).map(|text| statistics(&text));
        let rows = told.unwrap_or_else(|| mapped(group));
        rows.iter().map(|(name, bytes)| format!("{name} {bytes}\n")).collect()
    }

    /// Returns the text of `memory.events`: what the host did since memory ran out.
    pub(super) fn events(&self) -> String {
        let told = self.events.as_ref().and_then(text).unwrap_or_default();
        let told = values(&told);
        let rows = ["low", "high", "max", "oom", "oom_kill", "oom_group_kill"];
        rows.iter().map(|name| format!("{name} {}\n", told.get(name).unwrap_or(&0))).collect()
    }
}

/// The names of version 2, with those of version 1 for the whole group.
const NAMES: [(&str, &str); 10] = [
    ("active_anon", "total_active_anon"),
    ("active_file", "total_active_file"),
    ("anon", "total_rss"),
    ("file", "total_cache"),
    ("file_mapped", "total_mapped_file"),
    ("inactive_anon", "total_inactive_anon"),
    ("inactive_file", "total_inactive_file"),
    ("pgfault", "total_pgfault"),
    ("pgmajfault", "total_pgmajfault"),
    ("unevictable", "total_unevictable"),
];

/// Takes what is known out of a `memory.stat` of either version.
fn statistics(text: &str) -> BTreeMap<&'static str, u64> {
    let told = values(text);
    let value = |(name, old): &(&'static str, &'static str)| {
        Some((*name, *told.get(old).or_else(|| told.get(name))?))
    };
    NAMES.iter().filter_map(value).collect()
}

/// Takes lines of a name and a number.
fn values(text: &str) -> BTreeMap<&str, u64> {
    let value = |line: &'_ str| line.split_once(' ').and_then(|(_, value)| value.trim().parse().ok());
    text.lines().filter_map(|line| Some((line.split(' ').next()?, value(line)?))).collect()
}

/// What programs have mapped: the most that they can use.
fn mapped(group: &Group) -> BTreeMap<&'static str, u64> {
    let processes: Vec<_> = {
        let tree = group.kernel.processes.lock();
        tree.processes_of(&group.tasks).filter_map(|process| process.tasks.first()?.mm()).collect()
    };
    let (mut anonymous, mut files) = (0_u64, 0_u64);
    for mm in processes {
        let totals = mm.totals();
        anonymous = anonymous.saturating_add(totals.accessible.saturating_sub(totals.files));
        files = files.saturating_add(totals.files);
    }
    [("anon", anonymous), ("file", files)].into()
}

fn text(file: &OwnedFd) -> Option<String> {
    let mut bytes = vec![0; MAX_TEXT];
    let len = pread(file, &mut bytes, 0).ok()?;
    bytes.truncate(len);
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Arc;

    use cloister_proto::container::Limits;

    use super::*;
    use crate::testing::TestKernel;

    fn file(text: &str) -> OwnedFd {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file.into()
    }

    #[test]
    fn both_versions_are_understood() {
        let kernel = TestKernel::new();
        let group = |memory| Group {
            kernel: Arc::clone(kernel.kernel()),
            tasks: Arc::clone(kernel.root_task().task.group().tasks()),
            limits: Limits::default(),
            memory: Arc::new(memory),
        };
        let old = group(MemoryUsage::new([
            file("4096\n"),
            file("cache 1\nrss 2\ntotal_cache 10\ntotal_rss 20\n"),
            file("oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"),
        ]));
        assert_eq!(old.memory.current(&old), 4096);
        assert_eq!(old.memory.stat(&old), "anon 20\nfile 10\n");
        assert_eq!(old.memory.events(), "low 0\nhigh 0\nmax 0\noom 0\noom_kill 3\noom_group_kill 0\n");
        let new = group(MemoryUsage::new([
            file("1"),
            file("anon 5\nfile 6\nslab 7\n"),
            file("max 4\noom 2\noom_kill 1\n"),
        ]));
        assert_eq!(new.memory.stat(&new), "anon 5\nfile 6\n");
        assert_eq!(new.memory.events(), "low 0\nhigh 0\nmax 4\noom 2\noom_kill 1\noom_group_kill 0\n");
        let none = group(MemoryUsage::default());
        assert_eq!((none.memory.current(&none), none.memory.stat(&none).as_str()), (0, "anon 0\nfile 0\n"));
    }
}
