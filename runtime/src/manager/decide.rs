//! Decisions: from what is seen of sandboxes and the time to what is to be done. Nothing here looks at the host.

use std::time::SystemTime;

use crate::state::{ContainerId, Lifetime, Status, Then};

/// What is seen of a sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its id.
    pub id: ContainerId,
    /// Where in its life it is; `None` if it was not made to the end.
    pub status: Option<Status>,
    /// How long it may do nothing; `None` if no manager made it.
    pub lifetime: Option<Lifetime>,
    /// When it did something last; `None` if it does now.
    pub last_activity: Option<SystemTime>,
}

/// What is to be done with a sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing of it is to be left.
    Destroy,
    /// It is to go to the disk.
    Suspend,
    /// It is on the disk, but something of it may be left running.
    EndRemains,
}

/// What is to be done with all at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shutdown {
    /// Those that run go to the disk.
    Suspend,
    /// Nothing of any is left.
    Destroy,
}

/// What is to be done with a sandbox that did nothing for longer than it may.
///
/// A clock that was set back makes none idle.
#[must_use]
pub fn when_idle(seen: &Seen, now: SystemTime) -> Option<Action> {
    let lifetime = seen.lifetime?;
    let idle = now.duration_since(seen.last_activity?).ok()?;
    if idle < lifetime.idle? {
        return None;
    }
    match (lifetime.then, seen.status?) {
        (Then::Destroy, Status::Creating) => None,
        (Then::Destroy, _) => Some(Action::Destroy),
        (Then::Suspend, Status::Running | Status::Paused) => Some(Action::Suspend),
        (Then::Suspend, _) => None,
    }
}

/// What is to be done with a sandbox by a manager that begins: commands may have been killed, and so may sandboxes.
///
/// What no manager made is left alone, but for remains that are in the way of new sandboxes.
#[must_use]
pub fn when_begun(seen: &Seen) -> Option<Action> {
    match (seen.status, seen.lifetime) {
        (None, _) => Some(Action::Destroy),
        (Some(Status::Stopped), Some(_)) => Some(Action::Destroy),
        (Some(Status::Suspended), _) => Some(Action::EndRemains),
        _ => None,
    }
}

/// What is to be done with a sandbox when the manager ends for good. What no manager made is left alone.
#[must_use]
pub fn when_ended(seen: &Seen, shutdown: Shutdown) -> Option<Action> {
    seen.lifetime?;
    match (shutdown, seen.status?) {
        (Shutdown::Suspend, Status::Running | Status::Paused) => Some(Action::Suspend),
        (Shutdown::Suspend, Status::Suspended | Status::Creating) => None,
        // One that was not started, or has ended, has nothing that would be worth to be kept.
        (Shutdown::Suspend | Shutdown::Destroy, _) => Some(Action::Destroy),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const IDLE: Duration = Duration::from_secs(60);

    fn seen(status: Status, then: Then) -> Seen {
        Seen {
            id: "c".parse().unwrap(),
            status: Some(status),
            lifetime: Some(Lifetime { idle: Some(IDLE), then }),
            last_activity: Some(SystemTime::UNIX_EPOCH),
        }
    }

    #[test]
    fn who_is_idle_for_long_is_put_away() {
        let late = SystemTime::UNIX_EPOCH + IDLE;
        for (status, suspended, destroyed) in [
            (Status::Running, Some(Action::Suspend), Some(Action::Destroy)),
            (Status::Paused, Some(Action::Suspend), Some(Action::Destroy)),
            (Status::Suspended, None, Some(Action::Destroy)),
            (Status::Stopped, None, Some(Action::Destroy)),
            (Status::Creating, None, None),
        ] {
            assert_eq!(when_idle(&seen(status, Then::Suspend), late), suspended, "{status}");
            assert_eq!(when_idle(&seen(status, Then::Destroy), late), destroyed, "{status}");
        }
    }

    #[test]
    fn who_is_in_use_or_not_idle_for_long_is_left_alone() {
        let late = SystemTime::UNIX_EPOCH + IDLE;
        let idle = seen(Status::Running, Then::Destroy);
        assert_eq!(when_idle(&idle, late - Duration::from_nanos(1)), None);
        assert_eq!(when_idle(&idle, SystemTime::UNIX_EPOCH - IDLE), None, "the clock was set back");
        assert_eq!(when_idle(&Seen { last_activity: None, ..idle.clone() }, late), None);
        assert_eq!(when_idle(&Seen { lifetime: None, ..idle.clone() }, late), None);
        let for_ever = Some(Lifetime { idle: None, then: Then::Destroy });
        assert_eq!(when_idle(&Seen { lifetime: for_ever, ..idle }, late), None);
    }

    #[test]
    fn a_manager_that_begins_removes_what_is_dead() {
        let running = seen(Status::Running, Then::Suspend);
        assert_eq!(when_begun(&running), None);
        assert_eq!(when_begun(&Seen { status: None, lifetime: None, ..running }), Some(Action::Destroy));
        let stopped = seen(Status::Stopped, Then::Suspend);
        assert_eq!(when_begun(&stopped), Some(Action::Destroy));
        assert_eq!(when_begun(&Seen { lifetime: None, ..stopped }), None, "it is another's");
        assert_eq!(when_begun(&seen(Status::Suspended, Then::Suspend)), Some(Action::EndRemains));
    }

    #[test]
    fn a_manager_that_ends_keeps_what_can_be_kept() {
        let at_end = |status, shutdown| when_ended(&seen(status, Then::Suspend), shutdown);
        assert_eq!(at_end(Status::Running, Shutdown::Suspend), Some(Action::Suspend));
        assert_eq!(at_end(Status::Running, Shutdown::Destroy), Some(Action::Destroy));
        assert_eq!(at_end(Status::Suspended, Shutdown::Suspend), None);
        assert_eq!(at_end(Status::Suspended, Shutdown::Destroy), Some(Action::Destroy));
        assert_eq!(at_end(Status::Stopped, Shutdown::Suspend), Some(Action::Destroy));
        let others = Seen { lifetime: None, ..seen(Status::Running, Then::Suspend) };
        assert_eq!(when_ended(&others, Shutdown::Destroy), None);
    }
}
