//! What is done with all sandboxes: by and by, at the beginning, and at the end.

use std::time::SystemTime;

use super::decide::{self, Action, Seen, Shutdown};
use super::operations::is_gone;
use super::{Manager, ManagerError};
use crate::container::{end_remains, status};
use crate::state::{ContainerId, StateError};

/// What was done with a sandbox, or why it was not.
#[derive(Debug)]
pub struct Report {
    /// The sandbox.
    pub id: ContainerId,
    /// What was to be done.
    pub action: Action,
    /// How that went.
    pub outcome: Result<(), ManagerError>,
}

impl Manager {
    /// Puts away those that did nothing for longer than they may.
    ///
    /// # Errors
    ///
    /// The sandboxes cannot be listed. What fails with one of them is in its report.
    pub fn reap(&self, now: SystemTime) -> Result<Vec<Report>, ManagerError> {
        self.act(|seen| decide::when_idle(seen, now))
    }

    /// Brings what is on the disk and what runs together, after the manager, a command or the host was killed: what is dead is
    /// removed.
    ///
    /// # Errors
    ///
    /// As [`Manager::reap`].
    pub fn reconcile(&self) -> Result<Vec<Report>, ManagerError> {
        self.act(decide::when_begun)
    }

    /// Puts all away that a manager made.
    ///
    /// # Errors
    ///
    /// As [`Manager::reap`].
    pub fn shut_down(&self, shutdown: Shutdown) -> Result<Vec<Report>, ManagerError> {
        self.act(|seen| decide::when_ended(seen, shutdown))
    }

    fn act(&self, decide: impl Fn(&Seen) -> Option<Action>) -> Result<Vec<Report>, ManagerError> {
        let mut reports = Vec::new();
        for id in self.config.store.list()? {
            let decided = match self.see(&id) {
                Ok(seen) => decide(&seen),
                Err(error) if is_gone(&error) => None,
                // The next one may be in a better state.
                Err(error) => {
                    tracing::warn!("sandbox {id} is left alone: {error}");
                    None
                }
            };
            let Some(action) = decided else { continue };
            let outcome = match action {
                Action::Destroy => self.destroy(&id),
                Action::Suspend => self.pause(&id),
                Action::EndRemains => self.end_remains(&id),
            };
            if !outcome.as_ref().is_err_and(is_gone) {
                reports.push(Report { id, action, outcome });
            }
        }
        Ok(reports)
    }

    /// Looks at a sandbox, when nobody works on it.
    fn see(&self, id: &ContainerId) -> Result<Seen, ManagerError> {
        let entry = self.config.store.open(id)?;
        let status = match entry.record() {
            Ok(record) => Some(status(&entry, &record)?),
            Err(StateError::Incomplete(_)) => None,
            Err(error) => return Err(error.into()),
        };
        let lifetime = entry.lifetime()?;
        let last_activity = match lifetime {
            Some(_) => entry.last_activity()?,
            None => None,
        };
        Ok(Seen { id: id.clone(), status, lifetime, last_activity })
    }

    fn end_remains(&self, id: &ContainerId) -> Result<(), ManagerError> {
        let entry = self.config.store.open(id)?;
        // Somebody may have woken it meanwhile.
        if entry.is_suspended() { Ok(end_remains(&entry)?) } else { Ok(()) }
    }
}
