//! One use of a runtime: an id and a folder that nothing else has, and the watch over what is left behind.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::exclusive::Exclusive;
use crate::leaks::Leaks;
use crate::process::{self, Finished};
use crate::{Program, bundle, paths, soon};

/// How long a command of the runtime may take that does not wait for a program.
const COMMAND_LIMIT: Duration = Duration::from_secs(60);

/// One use of a runtime. It must be [ended](Self::end): only then is it known that nothing is left.
#[derive(Debug)]
pub struct Session<'a> {
    id: String,
    dir: PathBuf,
    leaks: Leaks,
    lock: &'a Exclusive,
}

impl<'a> Session<'a> {
    /// Makes the folder and begins to watch.
    ///
    /// # Errors
    /// When this process is not root, or the folder cannot be made.
    pub fn begin(lock: &'a Exclusive) -> Result<Self> {
        static NR_SESSIONS: AtomicU32 = AtomicU32::new(0);
        paths::require_root()?;
        let id = format!("test-{}-{}", std::process::id(), NR_SESSIONS.fetch_add(1, Ordering::Relaxed));
        let dir = paths::target_subdir("integration")?.join(&id);
        let work = dir.join("work");
        fs::create_dir_all(&work).with_context(|| format!("cannot make {}", work.display()))?;
        Ok(Self { leaks: Leaks::watch(&id, &dir)?, id, dir, lock })
    }

    /// The id for its container.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The folder for everything that belongs to it.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The folder that programs see as `/work`.
    pub fn work(&self) -> PathBuf {
        self.dir.join("work")
    }

    /// The folder in which the runtime keeps its state.
    pub fn state_dir(&self) -> PathBuf {
        self.dir.join("state")
    }

    /// The folder in which a peer keeps its state. What peers leave in it is their affair, and goes with the session.
    pub fn peer_dir(&self) -> PathBuf {
        self.dir.join("peer")
    }

    /// The lock that it is under.
    pub fn lock(&self) -> &'a Exclusive {
        self.lock
    }

    /// Writes a bundle that runs the program, and returns its folder.
    ///
    /// # Errors
    /// When the root file system cannot be built or the bundle not be written.
    pub fn write_bundle(&self, program: &Program) -> Result<PathBuf> {
        let bundle = self.dir.join("bundle");
        fs::create_dir_all(&bundle).with_context(|| format!("cannot make {}", bundle.display()))?;
        let rootfs = program.rootfs.path(self.lock)?;
        bundle::write(&bundle, &bundle::config(program, &program.all_binds(self), &rootfs))?;
        Ok(bundle)
    }

    /// The `cloister` command, whose state lies in the session's folder.
    ///
    /// # Errors
    /// When it has not been built.
    pub fn cloister(&self) -> Result<Command> {
        let mut command = Command::new(paths::built("cloister")?);
        command.arg("--root").arg(self.state_dir());
        Ok(command)
    }

    /// Runs the `cloister` command with arguments.
    ///
    /// # Errors
    /// When it cannot be run. That it fails is no error here.
    pub fn run(&self, args: &[&str]) -> Result<Finished> {
        process::run(self.cloister()?.args(args), b"", COMMAND_LIMIT)
    }

    /// Waits until a program has made a file in `/work`.
    ///
    /// # Errors
    /// When it takes too long.
    pub fn wait_for_file(&self, name: &str) -> Result<()> {
        let path = self.work().join(name);
        soon(|| {
            ensure!(path.exists(), "the program does not make {name}");
            Ok(())
        })
    }

    /// Begins, does the work, and ends whatever came out.
    ///
    /// # Errors
    /// The work's, or that something is left behind.
    pub fn during<T>(lock: &'a Exclusive, work: impl FnOnce(&Session<'a>) -> Result<T>) -> Result<T> {
        let session = Session::begin(lock)?;
        let done = work(&session);
        let left = session.end();
        let done = done?;
        left?;
        Ok(done)
    }

    /// Checks that nothing is left behind, and removes the folder.
    ///
    /// # Errors
    /// When something is left.
    pub fn end(self) -> Result<()> {
        let left = self.leaks.check();
        fs::remove_dir_all(&self.dir).with_context(|| format!("cannot remove {}", self.dir.display()))?;
        left
    }
}
