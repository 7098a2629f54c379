//! Who may send signals to whom (`kill(2)`).

use super::Signal;
use crate::error::{Fail, fail};
use crate::prelude::{Arc, Task, errno};
use crate::task::{Capabilities, Credentials, Process, Tree};

/// Returns whether a task with the credentials `sender` may send signals to one with `receiver`.
fn is_allowed(sender: &Credentials, receiver: &Credentials) -> bool {
    [sender.uid, sender.euid].iter().any(|id| [receiver.uid, receiver.suid].contains(id))
        || sender.has(Capabilities::KILL)
}

/// Checks whether `sender` may send `signal` (`None`: just look) to `process`.
///
/// # Errors
///
/// `EPERM` if it may not.
pub(crate) fn check(
    tree: &Tree,
    sender: &Arc<Task>,
    process: &Process,
    signal: Option<Signal>,
) -> Result<(), Fail> {
    if Arc::ptr_eq(sender.group(), &process.group) {
        return Ok(());
    }
    // A zombie has no credentials left; whoever finds it may look.
    let Some(receiver) = process.tasks.first() else { return Ok(()) };
    if is_allowed(&sender.credentials(), &receiver.credentials()) {
        return Ok(());
    }
    let is_same_session =
        || tree.process(sender.group().tgid()).is_some_and(|own| own.session == process.session);
    if signal == Some(Signal::CONT) && is_same_session() {
        return Ok(());
    }
    Err(fail(errno::EPERM, "the process has another user"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(uid: u32, euid: u32, suid: u32) -> Credentials {
        Credentials { uid, euid, suid, ..Credentials::default() }
    }

    #[test]
    fn real_or_effective_of_the_sender_is_real_or_saved_of_the_receiver() {
        assert!(is_allowed(&user(1, 9, 9), &user(1, 8, 8)));
        assert!(is_allowed(&user(9, 1, 9), &user(8, 8, 1)));
        assert!(!is_allowed(&user(9, 9, 1), &user(1, 1, 1)));
        assert!(!is_allowed(&user(9, 9, 9), &user(1, 9, 1)));
        // Root without the capability is an ordinary user.
        assert!(!is_allowed(&user(0, 0, 0), &user(1, 1, 1)));
        let root = Credentials { effective: Capabilities::KILL, ..user(0, 0, 0) };
        assert!(is_allowed(&root, &user(1, 1, 1)));
    }
}
