//! A command to be run in a sandbox.

use std::fs;
use std::process::{Command as HostCommand, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use oci_spec::runtime::{Process, Spec};

use super::{Child, ClientError, Output, Sandbox};
use crate::state::ContainerId;

/// A command to be run in a sandbox of its own.
#[derive(Clone, Debug)]
pub struct Command<'a> {
    sandbox: &'a Sandbox,
    args: Vec<String>,
    env: Option<Vec<String>>,
    appended: Vec<String>,
    dir: Option<String>,
    stdin: Vec<u8>,
    timeout: Option<Duration>,
    output_limit: usize,
}

impl<'a> Command<'a> {
    /// The most output that is kept in memory unless the caller says otherwise.
    pub const OUTPUT_LIMIT: usize = 64 << 20;

    pub(super) fn new(sandbox: &'a Sandbox, args: Vec<String>) -> Self {
        Self {
            sandbox,
            args,
            env: None,
            appended: Vec::new(),
            dir: None,
            stdin: Vec::new(),
            timeout: None,
            output_limit: Self::OUTPUT_LIMIT,
        }
    }

    /// Gives it these variables in place of the bundle's.
    #[must_use]
    pub fn env<N: AsRef<str>, V: AsRef<str>>(mut self, variables: impl IntoIterator<Item = (N, V)>) -> Self {
        let variable = |(name, value): (N, V)| format!("{}={}", name.as_ref(), value.as_ref());
        self.env = Some(variables.into_iter().map(variable).collect());
        self
    }

    /// Gives it a variable besides the others, or in the place of one of the same name.
    #[must_use]
    pub fn append_to_env(mut self, name: &str, value: &str) -> Self {
        self.appended.push(format!("{name}={value}"));
        self
    }

    /// Runs it in this folder of the sandbox.
    #[must_use]
    pub fn dir(mut self, path: impl Into<String>) -> Self {
        self.dir = Some(path.into());
        self
    }

    /// What it reads on standard input; nothing unless this is called.
    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = bytes.into();
        self
    }

    /// Kills it when it has not ended by then. The time counts from the start of the sandbox.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Kills it when it writes more bytes than this to standard output or to standard error.
    #[must_use]
    pub fn output_limit(mut self, bytes: usize) -> Self {
        self.output_limit = bytes;
        self
    }

    /// Runs it to its end and collects what it writes. That it fails is no error: see [`Output::status`].
    ///
    /// # Errors
    ///
    /// The sandbox fails, or the command was killed for its time or its output.
    pub fn output(self) -> Result<Output, ClientError> {
        let (timeout, limit) = (self.timeout, self.output_limit);
        self.spawn()?.collect(timeout, limit)
    }

    /// Starts it, with pipes in the place of its standard files. [`timeout`](Self::timeout) and
    /// [`output_limit`](Self::output_limit) are of [`output`](Self::output) only.
    ///
    /// # Errors
    ///
    /// The runtime cannot be started. What fails later is told by [`Child::wait`].
    pub fn spawn(self) -> Result<Child, ClientError> {
        static NR_COMMANDS: AtomicU64 = AtomicU64::new(0);
        let number = NR_COMMANDS.fetch_add(1, Ordering::Relaxed);
        let id = format!("command-{}-{number}", std::process::id());
        let id: ContainerId = id.parse().expect("it is made of letters, digits and dashes");
        let bundle = tempfile::Builder::new().prefix("cloister-command-").tempdir();
        let bundle = bundle.map_err(ClientError::host("make a folder"))?;
        let file = bundle.path().join("config.json");
        let written = self.config().save(&file).map_err(|error| std::io::Error::other(error.to_string()));
        written.map_err(ClientError::host(format!("write {}", file.display())))?;
        let log = bundle.path().join("log");
        fs::write(&log, "").map_err(ClientError::host(format!("write {}", log.display())))?;

        let mut command = self.runtime();
        command.args(["--log-format", "json", "--log"]).arg(&log);
        command.arg("run").arg("--bundle").arg(bundle.path()).arg(id.as_str());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let started = command.spawn();
        let program = self.sandbox.runtime.display();
        let process = started.map_err(ClientError::host(format!("start {program}")))?;
        let mut delete = self.runtime();
        delete.args(["delete", "--force", id.as_str()]);
        Ok(Child::new(process, delete, bundle, self.stdin))
    }

    fn runtime(&self) -> HostCommand {
        let mut command = HostCommand::new(&self.sandbox.runtime);
        if let Some(state) = &self.sandbox.state {
            command.arg("--root").arg(state);
        }
        command
    }

    /// The bundle's configuration with the command in it.
    fn config(&self) -> Spec {
        let mut spec = self.sandbox.bundle.spec.clone();
        let mut process = spec.process().clone().unwrap_or_default();
        self.change(&mut process);
        spec.set_process(Some(process));
        spec
    }

    fn change(&self, process: &mut Process) {
        process.set_terminal(Some(false));
        process.set_args(Some(self.args.clone()));
        let mut env = self.env.clone().or_else(|| process.env().clone()).unwrap_or_default();
        let name_of = |variable: &str| variable.split('=').next().map(str::to_owned);
        for variable in &self.appended {
            env.retain(|known| name_of(known) != name_of(variable));
            env.push(variable.clone());
        }
        process.set_env(Some(env));
        if let Some(dir) = &self.dir {
            process.set_cwd(dir.into());
        }
    }
}
