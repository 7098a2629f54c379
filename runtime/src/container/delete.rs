//! `delete`: removes what a container leaves.

use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::retry_on_intr;
use rustix::process::{Signal, pidfd_send_signal};

use super::join::destroy;
use super::{ContainerError, status};
use crate::hooks;
use crate::state::{Entry, OciState, ProcessIdentity, StateError, Status};

/// How long the kernel of the host may take to end what was killed.
const DEATH_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the process that stands for a container may take to end after it.
const DEPUTY_TIMEOUT: Duration = Duration::from_secs(5);

/// Deletes a stopped container, or with `force` any.
///
/// # Errors
///
/// The container is not stopped, or cannot be ended.
pub fn delete(entry: Entry, force: bool) -> Result<(), ContainerError> {
    let record = match entry.record() {
        Ok(record) => record,
        // Nothing can be running: a creation that was killed took its sandbox with it or was not that far.
        Err(StateError::Incomplete(_)) if force => {
            if entry.has_joined() {
                destroy(&entry)?;
            }
            return Ok(entry.remove()?);
        }
        Err(error) => return Err(error.into()),
    };
    if !force {
        let status = status(&entry, &record)?;
        if status != Status::Stopped {
            return Err(StateError::WrongStatus { id: entry.id().clone(), action: "delete", status }.into());
        }
    }
    // What is stopped as well: the kernel may be about to end, and the gofer follows it.
    let has_ended = match (&record.sandbox, record.deputy) {
        (None, _) => end(record.boot),
        (Some(_), deputy) => {
            destroy(&entry)?;
            // It ends as the container did, which whoever waits for it is to see.
            deputy.is_none_or(|deputy| ends_by_itself(deputy) || end(deputy))
        }
    };
    if !has_ended || !end(record.gofer) {
        return Err(ContainerError::Unkillable(entry.id().clone()));
    }
    let hooks = entry.config().ok().and_then(|config| config.hooks().clone());
    let state = OciState::new(entry.id(), &record, Status::Stopped);
    entry.remove()?;
    hooks::run_poststop(hooks.as_ref(), &state);
    Ok(())
}

/// Whether a process ends in good time without being killed.
fn ends_by_itself(process: ProcessIdentity) -> bool {
    process.open().is_none_or(|pidfd| ends_within(&pidfd, DEPUTY_TIMEOUT))
}

/// Kills a process and waits for its end. Whether it has ended.
pub(super) fn end(process: ProcessIdentity) -> bool {
    let Some(pidfd) = process.open() else { return true };
    // Fails only if it has ended.
    let _ = pidfd_send_signal(&pidfd, Signal::KILL);
    ends_within(&pidfd, DEATH_TIMEOUT)
}

/// Whether a process ends within the time-out.
pub(super) fn ends_within(pidfd: &OwnedFd, timeout: Duration) -> bool {
    let timeout = Timespec::try_from(timeout).ok();
    let mut ends = [PollFd::new(pidfd, PollFlags::IN)];
    retry_on_intr(|| poll(&mut ends, timeout.as_ref())).is_ok_and(|ready| ready > 0)
}
