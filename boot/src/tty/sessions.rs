//! Which terminal controls which session.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Terminal;
use super::terminal::is_same;
use crate::task::Pid;

/// Which terminal controls which session (`credentials(7)`, "Process groups and sessions"): a part of the process tree, under
/// its lock. A session without a terminal has no entry.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    controlled: BTreeMap<Pid, Controlled>,
}

/// A session that a terminal controls, or controlled until it was hung up.
#[derive(Clone, Debug)]
struct Controlled {
    /// `None` once it was hung up.
    terminal: Option<Arc<dyn Terminal>>,
    foreground: Pid,
}

/// What a session leaves behind when its leader ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Left {
    /// The process group in the foreground.
    pub(super) foreground: Pid,
    /// Whether the terminal was hung up before.
    pub(super) was_hung_up: bool,
}

impl Sessions {
    /// Makes `terminal` control `session`, with `foreground` in the foreground.
    pub(crate) fn control(&mut self, session: Pid, foreground: Pid, terminal: Arc<dyn Terminal>) {
        self.controlled.insert(session, Controlled { terminal: Some(terminal), foreground });
    }

    /// Returns the terminal that controls `session`.
    pub(crate) fn terminal(&self, session: Pid) -> Option<&Arc<dyn Terminal>> {
        self.controlled.get(&session)?.terminal.as_ref()
    }

    /// Returns the process group in the foreground of the terminal that controls `session`.
    pub(crate) fn foreground(&self, session: Pid) -> Option<Pid> {
        self.controlled.get(&session).filter(|it| it.terminal.is_some()).map(|it| it.foreground)
    }

    /// Puts a process group into the foreground of the terminal that controls `session`.
    pub(super) fn set_foreground(&mut self, session: Pid, foreground: Pid) {
        if let Some(controlled) = self.controlled.get_mut(&session) {
            controlled.foreground = foreground;
        }
    }

    /// Returns the session that `terminal` controls.
    pub(super) fn session_of(&self, terminal: &Arc<dyn Terminal>) -> Option<Pid> {
        let controls = |it: &Controlled| it.terminal.as_ref().is_some_and(|own| is_same(own, terminal));
        self.controlled.iter().find(|(_, it)| controls(it)).map(|(session, _)| *session)
    }

    /// Returns whether `terminal` controls `session`.
    pub(super) fn is_controlled_by(&self, session: Pid, terminal: &Arc<dyn Terminal>) -> bool {
        self.terminal(session).is_some_and(|own| is_same(own, terminal))
    }

    /// Takes the terminal away from `session`, which forgets it. Returns what is left to be done.
    pub(super) fn release(&mut self, session: Pid) -> Option<Left> {
        let controlled = self.controlled.remove(&session)?;
        Some(Left { foreground: controlled.foreground, was_hung_up: controlled.terminal.is_none() })
    }

    /// Forgets `session`, none of whose processes has run.
    pub(crate) fn forget(&mut self, session: Pid) {
        self.controlled.remove(&session);
    }

    /// Takes the terminal away from `session`, which keeps in mind who was in its foreground. Returns the terminal.
    pub(super) fn hang_up(&mut self, session: Pid) -> Option<Arc<dyn Terminal>> {
        self.controlled.get_mut(&session)?.terminal.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Fail, fail};
    use crate::fs::{FileOps, OpenFlags};
    use crate::prelude::errno;

    #[derive(Debug)]
    struct Named(u32);

    impl Terminal for Named {
        fn device(&self) -> Option<(u32, u32)> {
            Some((136, self.0))
        }

        fn stops_background_writers(&self) -> bool {
            false
        }

        fn open(self: Arc<Self>, _: OpenFlags) -> Result<Box<dyn FileOps>, Fail> {
            Err(fail(errno::EIO, "nothing to open"))
        }
    }

    #[test]
    fn a_session_has_a_terminal_until_it_is_taken_away() {
        let (a, b): (Arc<dyn Terminal>, Arc<dyn Terminal>) = (Arc::new(Named(1)), Arc::new(Named(2)));
        let mut sessions = Sessions::default();
        sessions.control(10, 10, Arc::clone(&a));
        sessions.set_foreground(10, 11);
        assert_eq!((sessions.session_of(&a), sessions.session_of(&b)), (Some(10), None));
        assert!(sessions.is_controlled_by(10, &a) && !sessions.is_controlled_by(10, &b));
        assert_eq!((sessions.foreground(10), sessions.foreground(11)), (Some(11), None));
        assert!(sessions.hang_up(10).is_some_and(|own| is_same(&own, &a)));
        assert_eq!((sessions.foreground(10), sessions.session_of(&a)), (None, None));
        assert_eq!(sessions.release(10), Some(Left { foreground: 11, was_hung_up: true }));
        assert_eq!(sessions.release(10), None);
    }
}
