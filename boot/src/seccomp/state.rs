//! The seccomp mode of a task.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cloister_sync::{Lock, class};

use super::{Filter, Filters};
use crate::error::Fail;

/// What a task may call.
#[derive(Clone, Debug, Default)]
pub(crate) enum Mode {
    /// All.
    #[default]
    Disabled,
    /// `read`, `write`, `exit` and `rt_sigreturn`.
    Strict,
    /// What its filters allow.
    Filter(Arc<Filters>),
}

/// The seccomp mode of a task.
#[derive(Debug, Default)]
pub(crate) struct Seccomp {
    /// Whether the mode is another than [`Mode::Disabled`]: all that most system calls look at.
    is_on: AtomicBool,
    mode: Lock<Mode, { class::TASK }>,
}

impl Mode {
    /// Returns the mode of a container's processes with the filter of its configuration.
    ///
    /// # Errors
    ///
    /// As [`Filters::new`].
    pub(crate) fn with_filter(filter: Arc<Filter>) -> Result<Self, Fail> {
        Ok(Self::Filter(Arc::new(Filters::new(vec![filter])?)))
    }

    /// Returns its number (`PR_GET_SECCOMP`).
    pub(crate) fn number(&self) -> u32 {
        match self {
            Self::Disabled => 0,
            Self::Strict => 1,
            Self::Filter(_) => 2,
        }
    }

    /// Returns how many filters there are.
    pub(crate) fn nr_filters(&self) -> usize {
        if let Self::Filter(filters) = self { filters.list().len() } else { 0 }
    }
}

impl Seccomp {
    /// Returns whether calls have to be looked at.
    pub(crate) fn is_on(&self) -> bool {
        self.is_on.load(Ordering::Relaxed)
    }

    /// Returns the mode.
    pub(crate) fn mode(&self) -> Mode {
        if self.is_on() { self.mode.lock().clone() } else { Mode::Disabled }
    }

    /// Sets the mode; with the process tree locked, or before others see the task.
    pub(crate) fn set(&self, mode: Mode) {
        let is_on = !matches!(mode, Mode::Disabled);
        let before = std::mem::replace(&mut *self.mode.lock(), mode);
        self.is_on.store(is_on, Ordering::Relaxed);
        drop(before);
    }
}
