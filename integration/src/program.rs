//! What a test runs: a command, a root file system, what is mounted on it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::leaks::Leaks;
use crate::process::Finished;
use crate::rootfs::Rootfs;
use crate::{Place, exclusive, paths};

/// Whether the program may write below a bind mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Only reading.
    ReadOnly,
    /// Reading and writing.
    ReadWrite,
}

/// A folder or file of the host that the program sees.
#[derive(Debug, Clone)]
pub struct Bind {
    /// Its path on the host.
    pub host: PathBuf,
    /// Its path for the program; the mount point must be there.
    pub inside: String,
    /// What the program may do with it.
    pub access: Access,
}

/// A command with all that it needs, which can be run in every [`Place`].
///
/// The root file system is read-only; `/tmp`, `/run`, `/root`, `/var/tmp` and `/mnt/tmpfs` are empty file systems in
/// memory, and `/work` is an empty folder of the host.
#[derive(Debug, Clone)]
pub struct Program {
    /// The root file system.
    pub rootfs: Rootfs,
    /// The command and its arguments.
    pub args: Vec<String>,
    /// The environment besides `PATH`, `HOME` and `LC_ALL`.
    pub env: Vec<(String, String)>,
    /// The working directory.
    pub cwd: String,
    /// What is bound besides `/work`.
    pub binds: Vec<Bind>,
    /// What it gets on standard input.
    pub input: Vec<u8>,
    /// How long it may take.
    pub limit: Duration,
}

/// What is decided for one run of a program.
#[derive(Debug)]
pub struct Run<'a> {
    /// The program.
    pub program: &'a Program,
    /// The path of its root file system.
    pub rootfs: &'a Path,
    /// The container's id: no other run has it.
    pub id: &'a str,
    /// A folder for everything that belongs to the run; removed at its end.
    pub dir: &'a Path,
    /// The lock that the run is done under.
    pub lock: &'a exclusive::Exclusive,
}

impl Program {
    /// A command in a root file system.
    pub fn new<S: Into<String>>(rootfs: Rootfs, args: impl IntoIterator<Item = S>) -> Self {
        Self {
            rootfs,
            args: args.into_iter().map(Into::into).collect(),
            env: Vec::new(),
            cwd: "/work".to_owned(),
            binds: Vec::new(),
            input: Vec::new(),
            limit: Duration::from_secs(60),
        }
    }

    /// A script for `bash`.
    pub fn bash(rootfs: Rootfs, script: &str) -> Self {
        Self::new(rootfs, ["bash", "-c", script])
    }

    /// The same with another variable in its environment.
    #[must_use]
    pub fn with_env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same with a file or folder of the host bound.
    #[must_use]
    pub fn with_bind(mut self, host: &Path, inside: &str, access: Access) -> Self {
        self.binds.push(Bind { host: host.to_path_buf(), inside: inside.to_owned(), access });
        self
    }

    /// The same with another time limit.
    #[must_use]
    pub fn with_limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// The whole environment.
    pub fn environment(&self) -> impl Iterator<Item = (&str, &str)> {
        let usual =
            [("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"), ("HOME", "/root")];
        let usual = usual.into_iter().chain([("LC_ALL", "C.UTF-8")]);
        usual.chain(self.env.iter().map(|(name, value)| (name.as_str(), value.as_str())))
    }

    /// Runs it, and checks that it leaves nothing behind.
    ///
    /// # Errors
    /// When it cannot be run at all, or leaves something behind. That the program itself fails is no error here.
    pub fn run(&self, place: Place) -> Result<Finished> {
        let lock = exclusive::acquire()?;
        self.run_locked(place, &lock)
    }

    /// Like [`Self::run`], for who holds the lock already.
    ///
    /// # Errors
    /// See there.
    pub fn run_locked(&self, place: Place, lock: &exclusive::Exclusive) -> Result<Finished> {
        static NR_RUNS: AtomicU32 = AtomicU32::new(0);
        paths::require_root()?;
        let rootfs = self.rootfs.path(lock)?;
        let id = format!("test-{}-{}", std::process::id(), NR_RUNS.fetch_add(1, Ordering::Relaxed));
        let dir = paths::target_subdir("integration")?.join(&id);
        let work = dir.join("work");
        fs::create_dir_all(&work).with_context(|| format!("cannot make {}", work.display()))?;
        let mut program = self.clone();
        program.binds.push(Bind { host: work, inside: "/work".to_owned(), access: Access::ReadWrite });
        let leaks = Leaks::watch(&id, &dir)?;
        let done = place.run(&Run { program: &program, rootfs: &rootfs, id: &id, dir: &dir, lock });
        let left = leaks.check();
        fs::remove_dir_all(&dir).with_context(|| format!("cannot remove {}", dir.display()))?;
        let done = done?;
        left.with_context(|| format!("what the command said:\n{done}"))?;
        Ok(done)
    }
}
