//! One container of a session, and the commands that concern it.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::process::{Finished, Status};
use crate::processes::Process;
use crate::{Place, Program, Session, exclusive, known, soon};

/// How long a command may take.
const LIMIT: Duration = Duration::from_secs(60);

/// A container of a session, which may not exist yet. Commands may have `ID` and `BUNDLE` as arguments.
#[derive(Debug)]
pub struct Container<'a> {
    /// The session.
    pub session: &'a Session<'a>,
    /// The folder of its bundle.
    pub bundle: String,
    place: Place,
}

impl Container<'_> {
    /// Does the work with a bundle that runs the program; `name` is the test's in the list of known failures.
    ///
    /// # Errors
    /// The work's, or that something is left behind.
    pub fn with(
        name: &str,
        place: Place,
        program: &Program,
        work: impl FnOnce(&Container<'_>) -> Result<()>,
    ) -> Result<()> {
        let lock = exclusive::acquire()?;
        let outcome = Session::during(&lock, |session| {
            let bundle = session.write_bundle(program)?.display().to_string();
            work(&Container { session, bundle, place })
        });
        known::judge_whole(place, name, outcome)
    }

    /// Its id.
    pub fn id(&self) -> &str {
        self.session.id()
    }

    /// Changes the configuration in its bundle.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub fn configure(&self, change: impl FnOnce(&mut serde_json::Value)) -> Result<()> {
        let folder = std::path::Path::new(&self.bundle);
        let mut config = serde_json::from_slice(&std::fs::read(folder.join("config.json"))?)?;
        change(&mut config);
        crate::bundle::write(folder, &config)
    }

    /// Runs a command, and returns how it ended.
    ///
    /// # Errors
    /// When it cannot be run.
    pub fn run(&self, args: &[&str]) -> Result<Finished> {
        crate::process::run(&mut self.command(args)?, b"", LIMIT)
    }

    /// A command, to be run by the caller.
    ///
    /// # Errors
    /// When the program is not there.
    pub fn command(&self, args: &[&str]) -> Result<Command> {
        let mut command = self.place.runtime(self.session)?;
        command.args(args.iter().map(|word| match *word {
            "ID" => self.id(),
            "BUNDLE" => &self.bundle,
            word => word,
        }));
        Ok(command)
    }

    /// The command succeeds.
    ///
    /// # Errors
    /// When it does not.
    pub fn ok(&self, args: &[&str]) -> Result<Finished> {
        let done = self.run(args)?;
        ensure!(done.status == Status::Code(0), "cloister {} failed\n{done}", args.join(" "));
        Ok(done)
    }

    /// The command fails with these words on one line.
    ///
    /// # Errors
    /// When it does not.
    pub fn refused(&self, args: &[&str], words: &[&str]) -> Result<()> {
        let done = self.run(args)?;
        ensure!(matches!(done.status, Status::Code(1..)), "cloister {} should fail\n{done}", args.join(" "));
        ensure!(done.stderr.lines().count() == 1, "the error is not one line\n{done}");
        ensure!(
            words.iter().all(|word| done.stderr.contains(word)),
            "the error lacks one of {words:?}\n{done}"
        );
        Ok(())
    }

    /// Creates and starts it.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(&self) -> Result<()> {
        self.ok(&["create", "--bundle", "BUNDLE", "ID"])?;
        self.ok(&["start", "ID"]).map(drop)
    }

    /// What `state` prints.
    ///
    /// # Errors
    /// When it fails.
    pub fn state(&self) -> Result<serde_json::Value> {
        Ok(serde_json::from_str(&self.ok(&["state", "ID"])?.stdout)?)
    }

    /// Waits until `state` tells this status.
    ///
    /// # Errors
    /// When it does not.
    pub fn wait_for_status(&self, status: &str) -> Result<()> {
        soon(|| {
            let state = self.state()?;
            ensure!(state["status"] == status, "it did not get {status}: {state}");
            Ok(())
        })
    }

    /// The path of a file in the folder that its programs see as `/work`.
    pub fn work(&self, name: &str) -> PathBuf {
        self.session.work().join(name)
    }

    /// Waits until there is such a file in `/work`.
    ///
    /// # Errors
    /// When there is none soon.
    pub fn wait_for_file(&self, name: &str) -> Result<()> {
        self.session.wait_for_file(name)
    }

    /// The sandbox's kernel, and the processes that hold the guest's code.
    ///
    /// # Errors
    /// When there is none.
    pub fn sandbox_processes(&self) -> Result<Vec<Process>> {
        let pid = self.state()?["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok());
        let boot = Process(pid.filter(|pid| *pid > 0).context("the sandbox has no process")?);
        Ok([boot].into_iter().chain(boot.descendants()).collect())
    }
}
