//! Which terminal controls which session.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Terminal;
use super::terminal::is_same;
use crate::error::Errno;
use crate::prelude::errno;
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

/// The saved form of [`Sessions`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SessionsImage {
    controlled: Vec<ControlledImage>,
}

/// The saved form of a session that a terminal controls, or controlled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct ControlledImage {
    session: Pid,
    /// The id of the terminal in the snapshot; `None` once it was hung up.
    terminal: Option<u64>,
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
    /// Returns the saved form; `id_of` tells the ids of terminals.
    pub(crate) fn to_image(&self, id_of: impl Fn(&Arc<dyn Terminal>) -> u64) -> SessionsImage {
        let controlled = self.controlled.iter().map(|(session, it)| ControlledImage {
            session: *session,
            terminal: it.terminal.as_ref().map(&id_of),
            foreground: it.foreground,
        });
        SessionsImage { controlled: controlled.collect() }
    }

    /// Brings back what was saved; `terminal_of` finds terminals by their ids.
    ///
    /// # Errors
    ///
    /// `EINVAL` if a terminal is not there, or controls two sessions.
    pub(crate) fn from_image(
        image: SessionsImage,
        terminal_of: impl Fn(u64) -> Option<Arc<dyn Terminal>>,
    ) -> Result<Self, Errno> {
        let mut sessions = Self::default();
        for ControlledImage { session, terminal, foreground } in image.controlled {
            let terminal = match terminal {
                Some(id) => Some(terminal_of(id).ok_or(errno::EINVAL)?),
                None => None,
            };
            if terminal.as_ref().is_some_and(|terminal| sessions.session_of(terminal).is_some()) {
                return Err(errno::EINVAL);
            }
            sessions.controlled.insert(session, Controlled { terminal, foreground });
        }
        Ok(sessions)
    }

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
    use crate::testing::saved;

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

    #[test]
    fn an_image_brings_back_who_controls_what() {
        let terminals: [Arc<dyn Terminal>; 2] = [Arc::new(Named(1)), Arc::new(Named(2))];
        let [a, b] = &terminals;
        let mut sessions = Sessions::default();
        sessions.control(10, 11, Arc::clone(a));
        sessions.control(20, 20, Arc::clone(b));
        sessions.hang_up(20);
        let id_of = |terminal: &Arc<dyn Terminal>| terminal.device().map_or(0, |(_, minor)| minor.into());
        let image = saved(&sessions.to_image(id_of));
        let of = |id: u64| terminals.get(usize::try_from(id).ok()?.checked_sub(1)?).cloned();
        let mut restored = Sessions::from_image(image.clone(), of).unwrap();
        assert_eq!(restored.to_image(id_of), image);
        assert!(restored.is_controlled_by(10, a));
        assert_eq!((restored.foreground(10), restored.session_of(b)), (Some(11), None));
        assert_eq!(restored.release(20), Some(Left { foreground: 20, was_hung_up: true }));
        assert_eq!(Sessions::from_image(image.clone(), |_| None).err(), Some(errno::EINVAL));
        let mut twice = image;
        twice.controlled[1].terminal = Some(1);
        assert_eq!(Sessions::from_image(twice, of).err(), Some(errno::EINVAL));
    }
}
