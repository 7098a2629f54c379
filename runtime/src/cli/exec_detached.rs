//! `exec --detach`: a process of the host that stands for one in a container.
//!
//! Callers know a process by an id of the host: they wait for it and send it signals. So the command starts a *deputy*, the
//! same program with the same arguments, which executes the process, waits for it and ends as it does; then the command leaves.
//! The deputy tells how it went over a pipe, whose number is in its environment.

use std::env;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::process::Command;

use anyhow::{Context as _, bail};
use cloister_proto::transport::adopt;
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::pipe::{PipeFlags, pipe_with};

const VARIABLE: &str = "CLOISTER_EXEC_DEPUTY";

/// Whether this process is a deputy.
pub(super) fn is_deputy() -> bool {
    env::var_os(VARIABLE).is_some()
}

/// Starts the deputy, and waits until the process runs. Returns the deputy's id and that of the process inside.
///
/// # Errors
///
/// What the deputy could not do.
pub(super) fn start() -> anyhow::Result<(u32, i32)> {
    let what = "cannot start a process that stands for the one in the container";
    let (ours, theirs) = pipe_with(PipeFlags::CLOEXEC).context(what)?;
    fcntl_setfd(&theirs, FdFlags::empty()).context(what)?;
    let mut command = Command::new(env::current_exe().context(what)?);
    command.args(env::args_os().skip(1)).env(VARIABLE, theirs.as_raw_fd().to_string());
    let mut deputy = command.spawn().context(what)?;
    drop(theirs);
    let mut told = String::new();
    File::from(ours).read_to_string(&mut told).context(what)?;
    if let Ok(inside) = told.parse() {
        return Ok((deputy.id(), inside));
    }
    let status = deputy.wait().context(what)?;
    if told.is_empty() {
        bail!("{what}: it ended early ({status})");
    }
    bail!(told)
}

/// The deputy's end of the pipe.
#[derive(Debug)]
pub(super) struct Starter(File);

impl Starter {
    /// Takes it over, and leaves the starter's session: what its terminal sends is not for the process.
    ///
    /// # Errors
    ///
    /// Whoever set the variable in the environment gave no pipe.
    pub(super) fn adopt() -> anyhow::Result<Self> {
        let number = env::var(VARIABLE).ok().and_then(|number| number.parse().ok()).unwrap_or(-1);
        let pipe =
            adopt(number).with_context(|| format!("{VARIABLE} in the environment is not for users"))?;
        // Fails if it leads a process group, and then of a session of its own.
        let _ = rustix::process::setsid();
        Ok(Self(pipe.into()))
    }

    /// Tells the starter how it went; it leaves then.
    pub(super) fn tell<T: ToString>(mut self, result: Result<&T, &anyhow::Error>) {
        let text = match result {
            Ok(inside) => inside.to_string(),
            Err(error) => super::logging::one_line(error),
        };
        // A starter that was killed does not read.
        let _ = self.0.write_all(text.as_bytes());
    }
}
