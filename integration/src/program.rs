//! What a test runs: a command, a root file system, what is mounted on it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::process::{Finished, Status};
use crate::rootfs::Rootfs;
use crate::session::Session;
use crate::{Place, exclusive};

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
/// The root file system is read-only if not said otherwise; `/tmp`, `/run`, `/root`, `/var/tmp` and `/mnt/tmpfs` are empty file systems in
/// memory, and `/work` is an empty folder of the host.
#[derive(Debug, Clone)]
pub struct Program {
    /// The root file system.
    pub rootfs: Rootfs,
    /// Whether the program may write in it. What it writes is kept in memory, and lost with the container.
    pub root: Access,
    /// The command and its arguments.
    pub args: Vec<String>,
    /// The environment besides `PATH`, `HOME` and `LC_ALL`.
    pub env: Vec<(String, String)>,
    /// The working directory.
    pub cwd: String,
    /// What is bound besides `/work`.
    pub binds: Vec<Bind>,
    /// Capabilities besides those that container engines give.
    pub capabilities: Vec<&'static str>,
    /// What it gets on standard input.
    pub input: Vec<u8>,
    /// How long it may take.
    pub limit: Duration,
}

impl Program {
    /// A command in a root file system.
    pub fn new<S: Into<String>>(rootfs: Rootfs, args: impl IntoIterator<Item = S>) -> Self {
        Self {
            rootfs,
            root: Access::ReadOnly,
            args: args.into_iter().map(Into::into).collect(),
            env: Vec::new(),
            cwd: "/work".to_owned(),
            binds: Vec::new(),
            capabilities: Vec::new(),
            input: Vec::new(),
            limit: Duration::from_secs(180),
        }
    }

    /// A script for `bash`.
    pub fn bash(rootfs: Rootfs, script: &str) -> Self {
        Self::new(rootfs, ["bash", "-c", script])
    }

    /// The same with a root file system that it may write in.
    #[must_use]
    pub fn with_writable_root(mut self) -> Self {
        self.root = Access::ReadWrite;
        self
    }

    /// The same with another variable in its environment.
    #[must_use]
    pub fn with_env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same with another capability.
    #[must_use]
    pub fn with_capability(mut self, name: &'static str) -> Self {
        self.capabilities.push(name);
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

    /// Everything that is bound: the session's folder as `/work`, and what was asked for.
    pub fn all_binds(&self, session: &Session<'_>) -> Vec<Bind> {
        let work = Bind { host: session.work(), inside: "/work".to_owned(), access: Access::ReadWrite };
        self.binds.iter().cloned().chain([work]).collect()
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
        let session = Session::begin(lock)?;
        let done = place.run(self, &session);
        let left = session.end();
        let done = done?;
        // A runtime that was killed because time was up could not remove anything.
        if done.status != Status::TimedOut {
            left.with_context(|| format!("what the command said:\n{done}"))?;
        }
        Ok(done)
    }
}
