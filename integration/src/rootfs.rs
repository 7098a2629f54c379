//! Root file systems, built from Debian's packages.
//!
//! They are made by `mmdebstrap` from the mirror that the machine's own apt is set up with, once per list of packages,
//! and kept under `target/rootfs`. Programs see them read-only: a cached one never changes.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::process::{self, Status};
use crate::{exclusive, paths};

/// Folders that tests mount something on.
const MOUNT_POINTS: [&str; 3] = ["guest", "work", "mnt/tmpfs"];

/// A root file system by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rootfs {
    /// A shell and the basic tools.
    Small,
    /// Compilers, interpreters, servers: all programs that the tests run.
    Dev,
    /// A large interpreter, which only benchmarks run.
    Node,
}

impl Rootfs {
    fn name(self) -> &'static str {
        match self {
            Rootfs::Small => "small",
            Rootfs::Dev => "dev",
            Rootfs::Node => "node",
        }
    }

    fn packages(self) -> &'static [&'static str] {
        match self {
            Rootfs::Small => &["busybox-static"],
            Rootfs::Node => &["busybox-static", "nodejs"],
            Rootfs::Dev => &[
                "busybox-static",
                "diffutils",
                "file",
                "gcc",
                "git",
                "libc6-dev",
                "make",
                "perl",
                "procps",
                "psmisc",
                "python3",
                "redis-server",
                "redis-tools",
                "sqlite3",
                "strace",
                "xz-utils",
            ],
        }
    }

    /// The path of the built root file system; it is built first if it is not there. Only for holders of the
    /// [`exclusive`] lock.
    ///
    /// # Errors
    /// When it has to be built and cannot be.
    pub fn path(self, _lock: &exclusive::Exclusive) -> Result<PathBuf> {
        let mut hasher = DefaultHasher::new();
        (self.packages(), MOUNT_POINTS).hash(&mut hasher);
        let dir = paths::target_subdir("rootfs")?;
        let path = dir.join(format!("{}-{:016x}", self.name(), hasher.finish()));
        if !path.exists() {
            self.build(&path)?;
        }
        Ok(path)
    }

    fn build(self, path: &Path) -> Result<()> {
        paths::require_root()?;
        let unfinished = path.with_extension("unfinished");
        if unfinished.exists() {
            fs::remove_dir_all(&unfinished)
                .with_context(|| format!("cannot remove {}", unfinished.display()))?;
        }
        let (mirror, suite) = apt_mirror_and_suite()?;
        let mut command = Command::new("mmdebstrap");
        command
            .arg("--quiet")
            .arg("--variant=minbase")
            .arg(format!("--include={}", self.packages().join(",")))
            .args(["--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=path-exclude=/usr/share/locale/*"])
            .args(["--aptopt=Acquire::Retries \"3\"", "--aptopt=Acquire::Check-Valid-Until \"false\""])
            .arg(&suite)
            .arg(&unfinished)
            .arg(&mirror);
        let done = process::run(&mut command, b"", Duration::from_secs(600))
            .context("cannot run mmdebstrap: `tools/setup` installs it")?;
        if done.status != Status::Code(0) {
            bail!("mmdebstrap could not build the root file system `{}`\n{done}", self.name());
        }
        for folder in MOUNT_POINTS {
            fs::create_dir_all(unfinished.join(folder)).with_context(|| format!("cannot make /{folder}"))?;
        }
        fs::rename(&unfinished, path).with_context(|| format!("cannot move {} in place", path.display()))
    }
}

/// The Debian mirror in apt's own sources, and the suite that this machine runs.
///
/// # Errors
/// When this is no Debian machine, or apt has no mirror.
pub(crate) fn apt_mirror_and_suite() -> Result<(String, String)> {
    let release = fs::read_to_string("/etc/os-release").context("cannot read /etc/os-release")?;
    let suite = release
        .lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="))
        .context("/etc/os-release has no VERSION_CODENAME: the tests need a Debian machine")?;
    Ok((apt_mirror()?, suite.trim_matches('"').to_owned()))
}

/// The first address in apt's sources that serves Debian itself.
fn apt_mirror() -> Result<String> {
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    if let Ok(entries) = fs::read_dir("/etc/apt/sources.list.d") {
        let sources = |path: &PathBuf| path.extension().is_some_and(|e| e == "sources" || e == "list");
        files.extend(entries.flatten().map(|entry| entry.path()).filter(sources));
    }
    let texts = files.iter().filter_map(|path| fs::read_to_string(path).ok());
    let addresses: Vec<String> = texts.flat_map(|text| addresses_in(&text)).collect();
    let debian = addresses.into_iter().find(|address| address.trim_end_matches('/').ends_with("/debian"));
    debian.context(
        "no Debian mirror in apt's sources: the tests build their root file systems from Debian's packages",
    )
}

/// The addresses in a file of apt sources, in the one-line style or in deb822 style.
fn addresses_in(text: &str) -> Vec<String> {
    let is_address = |word: &&str| word.contains("://");
    let lines = text.lines().map(str::trim_start);
    let sources = lines.filter(|line| line.starts_with("deb ") || line.starts_with("URIs:"));
    sources.flat_map(|line| line.split_whitespace().filter(is_address)).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::addresses_in;

    #[test]
    fn addresses_of_both_styles() {
        let text = "# URIs: http://no/debian\nTypes: deb\nURIs: http://a/debian http://b/debian\n\
                    deb [signed-by=/x] http://c/debian stable main\ndeb-src http://d/debian stable main\n";
        assert_eq!(addresses_in(text), ["http://a/debian", "http://b/debian", "http://c/debian"]);
    }
}
