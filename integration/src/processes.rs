//! What `/proc` tells about processes.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Context, Result};

/// A process by its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Process(pub i32);

impl Process {
    /// This process.
    pub fn own() -> Self {
        Self(nix::unistd::getpid().as_raw())
    }

    /// Its children.
    pub fn children(self) -> Vec<Process> {
        all().into_iter().filter(|process| process.parent() == Some(self)).collect()
    }

    /// All its descendants, parents before children.
    pub fn descendants(self) -> Vec<Process> {
        let mut found = self.children();
        let mut next = 0;
        while let Some(&process) = found.get(next) {
            found.extend(process.children());
            next += 1;
        }
        found
    }

    /// Its parent.
    pub fn parent(self) -> Option<Process> {
        self.stat(4).map(Process)
    }

    /// The time that it has had on processors, in clock ticks.
    pub fn processor_ticks(self) -> Option<u64> {
        Some(self.stat::<u64>(14)? + self.stat::<u64>(15)?)
    }

    /// A field of its `stat` file, numbered as in proc_pid_stat(5), after the second one.
    fn stat<T: FromStr>(self, number: usize) -> Option<T> {
        let stat = self.read("stat").ok()?;
        // The name in parentheses may hold anything.
        let (_, fields) = stat.rsplit_once(')')?;
        fields.split_whitespace().nth(number.checked_sub(3)?)?.parse().ok()
    }

    /// The path of a file about it.
    pub fn path(self, file: &str) -> PathBuf {
        format!("/proc/{}/{file}", self.0).into()
    }

    /// A file about it.
    ///
    /// # Errors
    /// When it has ended.
    pub fn read(self, file: &str) -> Result<String> {
        let path = self.path(file);
        let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// A link about it.
    ///
    /// # Errors
    /// When it has ended.
    pub fn link(self, file: &str) -> Result<String> {
        let path = self.path(file);
        let target = fs::read_link(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(target.to_string_lossy().into_owned())
    }

    /// Its name.
    ///
    /// # Errors
    /// When it has ended.
    pub fn name(self) -> Result<String> {
        Ok(self.read("comm")?.trim_end().to_owned())
    }

    /// The fields of its status.
    ///
    /// # Errors
    /// When it has ended.
    pub fn status(self) -> Result<BTreeMap<String, String>> {
        let text = self.read("status")?;
        let fields = text.lines().filter_map(|line| line.split_once(':'));
        Ok(fields.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect())
    }

    /// What its descriptors refer to, by number.
    ///
    /// # Errors
    /// When it has ended.
    pub fn descriptors(self) -> Result<BTreeMap<i32, String>> {
        let path = self.path("fd");
        let entries = fs::read_dir(&path).with_context(|| format!("cannot list {}", path.display()))?;
        let numbers = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        // One that is closed meanwhile is left out.
        Ok(numbers.filter_map(|fd| Some((fd, self.link(&format!("fd/{fd}")).ok()?))).collect())
    }

    /// Its proportional share of memory, in KiB.
    ///
    /// # Errors
    /// When it has ended.
    pub fn proportional_kib(self) -> Result<u64> {
        let text = self.read("smaps_rollup")?;
        let value = text.lines().find_map(|line| line.strip_prefix("Pss:"));
        let value = value.and_then(|value| value.trim().strip_suffix(" kB"));
        value.context("no Pss in smaps_rollup")?.trim().parse().context("Pss is no number")
    }

    /// How much of its program is in memory for it, and how much there is, in KiB.
    ///
    /// # Errors
    /// When it has ended.
    pub fn program_kib(self) -> Result<(u64, u64)> {
        let (text, program) = (self.read("smaps")?, self.link("exe")?);
        let (mut resident, mut size, mut is_its_own) = (0, 0, false);
        for line in text.lines() {
            let value = |value: &str| value.trim().trim_end_matches(" kB").parse().unwrap_or(0);
            match line.split_once(':') {
                Some(("Size", kib)) if is_its_own => size += value(kib),
                Some(("Rss", kib)) if is_its_own => resident += value(kib),
                Some((name, _)) if !name.contains(' ') => {}
                // The line of a mapping, with its device in the middle and its file at the end.
                _ => is_its_own = line.ends_with(&program),
            }
        }
        Ok((resident, size))
    }

    /// Its number of threads.
    pub fn nr_threads(self) -> usize {
        fs::read_dir(self.path("task")).map_or(0, Iterator::count)
    }
}

/// All processes.
fn all() -> Vec<Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok().map(Process)).collect()
}
