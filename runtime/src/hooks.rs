//! OCI hooks: programs of the host that run at points of a container's life.
//!
//! Source of behaviour: the runtime specification, `config.md`, "POSIX-platform Hooks". The hooks of the container's
//! namespaces (`createContainer`, `startContainer`) run on the host as the others do: a sandbox has no namespace that a
//! host program could enter.

use std::io::{self, Read, Seek, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use oci_spec::runtime::{Hook, Hooks};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::retry_on_intr;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tracing::warn;

use crate::state::OciState;

/// Points of a container's life at which a hook that fails ends it; [`run_poststop`] is for those after its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// After the sandbox is made (deprecated by the specification in favour of the next).
    Prestart,
    /// After the sandbox is made.
    CreateRuntime,
    /// After [`Point::CreateRuntime`].
    CreateContainer,
    /// Before the process starts.
    StartContainer,
    /// After the process started.
    Poststart,
}

/// A hook failed.
#[derive(Debug, thiserror::Error)]
pub enum HookError {
    /// The program cannot be run.
    #[error("cannot run the {point} hook {path}: {source}")]
    Run {
        /// Where in the life.
        point: &'static str,
        /// The program.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The program failed.
    #[error("the {point} hook {path} failed ({status}): {said}")]
    Failed {
        /// Where in the life.
        point: &'static str,
        /// The program.
        path: PathBuf,
        /// How it ended.
        status: ExitStatus,
        /// The last line of its standard error.
        said: String,
    },
    /// The program did not end in time.
    #[error("the {point} hook {path} did not end within {} s and was killed", .after.as_secs())]
    TimedOut {
        /// Where in the life.
        point: &'static str,
        /// The program.
        path: PathBuf,
        /// Its time-out.
        after: Duration,
    },
}

/// Runs the hooks of `point` in order, each with the container's state on its standard input, up to the first failure.
///
/// # Errors
///
/// A hook that cannot be run, fails, or does not end in time.
pub fn run(hooks: Option<&Hooks>, point: Point, state: &OciState) -> Result<(), HookError> {
    let Some(hooks) = hooks else { return Ok(()) };
    let (name, list) = match point {
        Point::Prestart => ("prestart", hooks.prestart()),
        Point::CreateRuntime => ("createRuntime", hooks.create_runtime()),
        Point::CreateContainer => ("createContainer", hooks.create_container()),
        Point::StartContainer => ("startContainer", hooks.start_container()),
        Point::Poststart => ("poststart", hooks.poststart()),
    };
    list.iter().flatten().try_for_each(|hook| run_one(hook, name, state))
}

/// Runs the `poststop` hooks: all of them, with a warning for each that fails.
pub fn run_poststop(hooks: Option<&Hooks>, state: &OciState) {
    for hook in hooks.and_then(|hooks| hooks.poststop().as_ref()).into_iter().flatten() {
        if let Err(error) = run_one(hook, "poststop", state) {
            warn!("{error}");
        }
    }
}

fn run_one(hook: &Hook, point: &'static str, state: &OciState) -> Result<(), HookError> {
    let path = hook.path();
    let fail = |source| HookError::Run { point, path: path.clone(), source };
    let mut errors = tempfile::tempfile().map_err(fail)?;
    let mut command = command(hook, path);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(errors.try_clone().map_err(fail)?);
    let mut child = command.spawn().map_err(fail)?;
    if let Some(mut input) = child.stdin.take() {
        let text = serde_json::to_vec(state).map_err(|error| fail(error.into()))?;
        // A hook need not read its input; the broken pipe is no failure.
        match input.write_all(&text) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(fail(error)),
            _ => {}
        }
    }
    let timeout = hook.timeout().and_then(|seconds| u64::try_from(seconds).ok()).map(Duration::from_secs);
    if let Some(after) = timeout
        && !ends_within(child.id(), after).map_err(fail)?
    {
        child.kill().map_err(fail)?;
        child.wait().map_err(fail)?;
        return Err(HookError::TimedOut { point, path: path.clone(), after });
    }
    let status = child.wait().map_err(fail)?;
    if status.success() {
        return Ok(());
    }
    let mut said = String::new();
    // Only a help to the reader: whatever could be read is good enough.
    let _ = errors.rewind().and_then(|()| errors.read_to_string(&mut said));
    let said = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it said nothing").to_owned();
    Err(HookError::Failed { point, path: path.clone(), status, said })
}

fn command(hook: &Hook, path: &Path) -> Command {
    let mut command = Command::new(path);
    if let Some((name, arguments)) = hook.args().as_ref().and_then(|args| args.split_first()) {
        command.arg0(name).args(arguments);
    }
    command.env_clear();
    for variable in hook.env().iter().flatten() {
        let (name, value) = variable.split_once('=').unwrap_or((variable, ""));
        command.env(name, value);
    }
    command
}

/// Whether our child ends in time. It is not reaped.
fn ends_within(pid: u32, timeout: Duration) -> io::Result<bool> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidInput)?;
    let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
    let timeout = Timespec::try_from(timeout).map_err(|_| io::ErrorKind::InvalidInput)?;
    let mut ends = [PollFd::new(&pidfd, PollFlags::IN)];
    Ok(retry_on_intr(|| poll(&mut ends, Some(&timeout)))? > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::Status;

    fn state() -> OciState {
        OciState {
            oci_version: "1.0.2".into(),
            id: "c".into(),
            status: Status::Creating,
            pid: 7,
            bundle: "/b".into(),
            rootfs: "/b/rootfs".into(),
            created: String::new(),
            owner: "0".into(),
            annotations: [].into(),
        }
    }

    fn run_script(script: &str, timeout: Option<u32>) -> Result<(), HookError> {
        let timeout = timeout.map_or_else(String::new, |timeout| format!(r#", "timeout": {timeout}"#));
        let script = serde_json::to_string(script).unwrap();
        let hooks = format!(
            r#"{{"createRuntime": [{{"path": "/bin/sh", "args": ["sh", "-c", {script}], "env": ["A=b"]{timeout}}}]}}"#
        );
        let hooks: Hooks = serde_json::from_str(&hooks).unwrap();
        run(Some(&hooks), Point::CreateRuntime, &state())
    }

    #[test]
    fn hooks_read_the_state_and_have_their_own_environment() {
        let script = r#"grep -q '"status":"creating"' && [ "$A" = b ] && [ -z "$HOME" ]"#;
        run_script(script, None).unwrap();
        run_script("exit 0", Some(60)).unwrap();
    }

    #[test]
    fn failures_tell_what_the_hook_said() {
        let error = run_script("echo one >&2; echo two >&2; exit 3", None).unwrap_err().to_string();
        assert_eq!(error, "the createRuntime hook /bin/sh failed (exit status: 3): two");
    }

    #[test]
    fn slow_hooks_are_killed() {
        let error = run_script("exec sleep 60", Some(1)).unwrap_err();
        assert!(matches!(error, HookError::TimedOut { .. }), "{error}");
    }

    #[test]
    fn missing_hooks_are_named() {
        let hooks: Hooks = serde_json::from_str(r#"{"poststart": [{"path": "/nonexistent/hook"}]}"#).unwrap();
        let error = run(Some(&hooks), Point::Poststart, &state()).unwrap_err().to_string();
        assert!(error.contains("poststart hook /nonexistent/hook"), "{error}");
    }

    #[test]
    fn all_poststop_hooks_run() {
        let folder = tempfile::tempdir().unwrap();
        let mark = folder.path().join("mark");
        let hooks = format!(
            r#"{{"poststop": [{{"path": "/bin/false"}}, {{"path": "/usr/bin/touch", "args": ["touch", {mark:?}]}}]}}"#
        );
        run_poststop(Some(&serde_json::from_str(&hooks).unwrap()), &state());
        assert!(mark.exists());
    }
}
