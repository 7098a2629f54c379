//! `kill`: signals into a container.

use cloister_proto::control::{Signal, SignalTarget};
use nix::sys::signal::Signal as Name;
use rustix::process::{Signal as HostSignal, pidfd_send_signal};

use super::{ContainerError, connect, status};
use crate::state::{Entry, StateError, Status};

/// Sends a signal to the container's first process, or to all of them.
///
/// `SIGKILL` to a root container that was not started ends its sandbox.
///
/// # Errors
///
/// The container is stopped, or the kernel does not answer.
pub fn kill(entry: &Entry, signal: i32, all: bool) -> Result<(), ContainerError> {
    let record = entry.record()?;
    let status = status(entry, &record)?;
    match status {
        // `--all` is for stragglers, and there are none: nothing of a sandbox outlives it.
        Status::Stopped if all => return Ok(()),
        Status::Stopped => {
            return Err(StateError::NotRunning(entry.id().clone()).into());
        }
        Status::Suspended => {
            return Err(StateError::Suspended { id: entry.id().clone(), action: "signal" }.into());
        }
        Status::Created if signal == Name::SIGKILL as i32 && record.sandbox.is_none() => {
            if let Some(boot) = record.boot.open() {
                // Fails only if it has ended just now.
                let _ = pidfd_send_signal(boot, HostSignal::KILL);
            }
            return Ok(());
        }
        _ => {}
    }
    let target = if all { SignalTarget::All } else { SignalTarget::Init };
    let request = Signal { id: entry.id().to_string(), signal, target };
    connect(entry, "signal")?.call(request, &[]).map_err(|source| ContainerError::Client {
        action: "signal",
        id: entry.id().clone(),
        source,
    })?;
    Ok(())
}

/// Linux' lowest real-time signal; the C library's `SIGRTMIN` lies above it, for its own use.
const RTMIN: i32 = 34;
const RTMAX: i32 = 64;

/// A signal's number from its number or its name, with or without `SIG`, in any case, `RTMIN+N` and `RTMAX-N` included.
///
/// # Errors
///
/// [`ContainerError::NoSignal`].
pub fn parse_signal(text: &str) -> Result<i32, ContainerError> {
    let error = || ContainerError::NoSignal(text.to_owned());
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let number = if name.starts_with(|first: char| first.is_ascii_digit()) {
        name.parse().ok()
    } else if let Some(offset) = name.strip_prefix("RTMIN") {
        offset_of(offset, '+').map(|offset| RTMIN + offset)
    } else if let Some(offset) = name.strip_prefix("RTMAX") {
        offset_of(offset, '-').map(|offset| RTMAX - offset)
    } else {
        format!("SIG{name}").parse::<Name>().ok().map(|signal| signal as i32)
    };
    number.filter(|number| (1..=64).contains(number)).ok_or_else(error)
}

fn offset_of(text: &str, sign: char) -> Option<i32> {
    if text.is_empty() {
        return Some(0);
    }
    text.strip_prefix(sign)?.parse().ok().filter(|offset| (0..=RTMAX - RTMIN).contains(offset))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_names_and_numbers() {
        for (text, number) in [
            ("9", 9),
            ("KILL", 9),
            ("sigterm", 15),
            ("SIGRTMIN", 34),
            ("rtmin+3", 37),
            ("RTMAX-1", 63),
            ("64", 64),
        ] {
            assert_eq!(parse_signal(text).unwrap(), number, "{text}");
        }
        for text in ["", "0", "65", "-1", "SIG", "SIGNOPE", "RTMIN-1", "RTMIN+31", "9x"] {
            assert!(parse_signal(text).is_err(), "{text}");
        }
    }
}
