//! `--preserve-fds`: descriptors of the caller that the container's process gets.

use std::os::fd::OwnedFd;

use anyhow::Context as _;
use cloister_proto::transport::adopt;

use super::Command;

/// Most descriptors that are passed on. What the kernel gets with one message has a limit.
pub(super) const MAX_PRESERVED: i64 = 32;

/// Takes over the descriptors that a command passes on.
///
/// # Errors
///
/// One of them is not open.
pub(crate) fn take_over(command: &Command) -> anyhow::Result<Vec<OwnedFd>> {
    let count = match command {
        Command::Create(command) => command.options.preserve_fds,
        Command::Run(command) => command.options.preserve_fds,
        Command::Exec(command) => command.preserved(),
        _ => 0,
    };
    (3..).take(usize::try_from(count)?).map(|number| take_one(number, count)).collect()
}

fn take_one(number: i32, count: u32) -> anyhow::Result<OwnedFd> {
    adopt(number).with_context(|| format!("descriptor {number} cannot be passed on (--preserve-fds {count})"))
}
