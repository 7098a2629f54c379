//! What signals do (`sigaction(2)`).

use bitflags::bitflags;
use cloister_abi::signal::SigAction;
use cloister_sync::{Lock, LockGuard, class};
use serde::{Deserialize, Serialize};

use super::{Signal, SignalSet};

bitflags! {
    /// `SA_*` of `sigaction(2)`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
    pub(crate) struct ActionFlags: u64 {
        /// Do not tell when a child stops.
        const NOCLDSTOP = 1;
        /// Children are no zombies when they end.
        const NOCLDWAIT = 2;
        /// The handler takes three arguments.
        const SIGINFO = 4;
        /// Tag bits of addresses are shown.
        const EXPOSE_TAGBITS = 0x800;
        /// The restorer is set.
        const RESTORER = 0x0400_0000;
        /// The handler runs on the alternate stack.
        const ONSTACK = 0x0800_0000;
        /// Interrupted calls are restarted.
        const RESTART = 0x1000_0000;
        /// The signal is not blocked while its handler runs.
        const NODEFER = 0x4000_0000;
        /// The action goes back to the default when the handler begins.
        const RESETHAND = 0x8000_0000;
    }
}

/// Who handles a signal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Handler {
    /// `SIG_DFL`.
    #[default]
    Default,
    /// `SIG_IGN`.
    Ignore,
    /// Guest code at this address.
    Function(u64),
}

/// What a signal does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Action {
    /// Who handles it.
    pub(crate) handler: Handler,
    /// How.
    pub(crate) flags: ActionFlags,
    /// Where the handler returns to.
    pub(crate) restorer: u64,
    /// What is blocked while the handler runs.
    pub(crate) mask: SignalSet,
}

/// What a signal does if nothing else was asked for (`signal(7)`, "Standard signals").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DefaultAction {
    /// The process ends. (`signal(7)` tells those with a core dump apart; Cloister writes none.)
    Terminate,
    /// Nothing.
    Ignore,
    /// The process stops.
    Stop,
    /// The process goes on, if it is stopped.
    Continue,
}

impl DefaultAction {
    /// Returns that of `signal`.
    pub(crate) fn of(signal: Signal) -> Self {
        match signal {
            Signal::CHLD | Signal::URG | Signal::WINCH => Self::Ignore,
            Signal::CONT => Self::Continue,
            Signal::STOP | Signal::TSTP | Signal::TTIN | Signal::TTOU => Self::Stop,
            _ => Self::Terminate,
        }
    }
}

impl Action {
    /// Takes what the guest asks for. Unknown flags are dropped, so that programs can probe for them
    /// (`sigaction(2)`, "Dynamically probing for flag bit support").
    pub(crate) fn from_raw(raw: &SigAction) -> Self {
        Self {
            handler: match raw.handler {
                0 => Handler::Default,
                1 => Handler::Ignore,
                address => Handler::Function(address),
            },
            flags: ActionFlags::from_bits_truncate(raw.flags),
            restorer: raw.restorer,
            mask: SignalSet(raw.mask).without(SignalSet::UNMASKABLE),
        }
    }

    /// Returns it in the guest's form.
    pub(crate) fn to_raw(self) -> SigAction {
        SigAction {
            handler: match self.handler {
                Handler::Default => 0,
                Handler::Ignore => 1,
                Handler::Function(address) => address,
            },
            flags: self.flags.bits(),
            restorer: self.restorer,
            mask: self.mask.0,
        }
    }

    /// Returns whether `signal` does nothing at all by this action.
    pub(crate) fn ignores(&self, signal: Signal) -> bool {
        match self.handler {
            Handler::Default => {
                matches!(DefaultAction::of(signal), DefaultAction::Ignore | DefaultAction::Continue)
            }
            Handler::Ignore => true,
            Handler::Function(_) => false,
        }
    }
}

/// The actions of all signals.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Action>")]
pub(crate) struct ActionTable(Vec<Action>);

impl TryFrom<Vec<Action>> for ActionTable {
    type Error = &'static str;

    /// Takes what was saved.
    fn try_from(actions: Vec<Action>) -> Result<Self, Self::Error> {
        let is_whole = actions.len() == usize::from(Signal::COUNT);
        is_whole.then_some(Self(actions)).ok_or("there is not one action for each signal")
    }
}

impl Default for ActionTable {
    fn default() -> Self {
        Self(vec![Action::default(); usize::from(Signal::COUNT)])
    }
}

impl ActionTable {
    /// Returns what `signal` does.
    pub(crate) fn get(&self, signal: Signal) -> Action {
        self.0.get(usize::from(signal.number()) - 1).copied().unwrap_or_default()
    }

    /// Changes what `signal` does, and returns what it did.
    pub(crate) fn set(&mut self, signal: Signal, action: Action) -> Action {
        match self.0.get_mut(usize::from(signal.number()) - 1) {
            Some(slot) => std::mem::replace(slot, action),
            None => Action::default(),
        }
    }

    /// Returns those of a program that is executed: handlers are gone, what is ignored stays so (`execve(2)`).
    fn for_exec(&self) -> Self {
        let after = |action: &Action| match action.handler {
            Handler::Ignore => Action { handler: Handler::Ignore, ..Action::default() },
            Handler::Default | Handler::Function(_) => Action::default(),
        };
        Self(self.0.iter().map(after).collect())
    }
}

/// What signals do to the tasks that share this (`clone(2)`, `CLONE_SIGHAND`).
#[derive(Debug, Default)]
pub(crate) struct SignalActions {
    table: Lock<ActionTable, { class::SIGNAL_ACTIONS }>,
}

impl SignalActions {
    /// Brings back what was saved.
    pub(crate) fn from_table(table: ActionTable) -> Self {
        Self { table: Lock::new(table) }
    }

    /// Returns a copy of `other`, for a fork.
    pub(crate) fn copy_of(other: &Self) -> Self {
        Self { table: Lock::new(other.table.lock().clone()) }
    }

    /// Returns those of a program that the task executes.
    pub(crate) fn for_exec(&self) -> Self {
        Self { table: Lock::new(self.table.lock().for_exec()) }
    }

    /// Returns access to them.
    pub(crate) fn lock(&self) -> LockGuard<'_, ActionTable> {
        self.table.lock()
    }

    /// Returns what `signal` does.
    pub(crate) fn get(&self, signal: Signal) -> Action {
        self.table.lock().get(signal)
    }

    /// Returns the set of signals that are ignored, and that of those with a handler, as `/proc/PID/status` shows.
    pub(crate) fn ignored_and_caught(&self) -> (SignalSet, SignalSet) {
        let (mut ignored, mut caught) = (SignalSet::EMPTY, SignalSet::EMPTY);
        let table = self.table.lock();
        for signal in Signal::all() {
            match table.get(signal).handler {
                Handler::Default => {}
                Handler::Ignore => ignored.insert(signal),
                Handler::Function(_) => caught.insert(signal),
            }
        }
        (ignored, caught)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exec_keeps_what_is_ignored() {
        let mut table = ActionTable::default();
        let flags = ActionFlags::NOCLDWAIT;
        table.set(Signal::CHLD, Action { handler: Handler::Ignore, flags, ..Action::default() });
        table.set(Signal::HUP, Action { handler: Handler::Function(4096), ..Action::default() });
        let after = table.for_exec();
        let chld = Action { handler: Handler::Ignore, ..Action::default() };
        assert_eq!((after.get(Signal::CHLD), after.get(Signal::HUP)), (chld, Action::default()));
        let bytes = serde_json::to_vec(&table).unwrap();
        assert_eq!(serde_json::from_slice::<ActionTable>(&bytes).unwrap(), table);
    }

    #[test]
    fn unknown_flags_and_unmaskable_signals_are_dropped() {
        let raw = SigAction { handler: 1, flags: 0x400 | 0x1000_0000, restorer: 0, mask: u64::MAX };
        let action = Action::from_raw(&raw).to_raw();
        assert_eq!(action.flags, 0x1000_0000);
        assert_eq!(action.mask, !((1 << 8) | (1 << 18)));
    }

    #[test]
    fn a_table_is_saved_whole_or_refused() {
        let mut table = ActionTable::default();
        table.set(Signal::USR1, Action { handler: Handler::Function(0x1000), ..Action::default() });
        assert_eq!(crate::testing::saved(&table), table);
        ActionTable::try_from(vec![Action::default(); 3]).unwrap_err();
    }
}
