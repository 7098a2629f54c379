//! What a thread does, by the word that it and the kernel change in turns.

use std::sync::atomic::Ordering;

use rustix::thread::futex;

use super::Slots;
use super::layout::{
    ASLEEP, COPYING, GIVE_WAY, HAND_OVER, HELP, NEXT, PARKED, RUNNING, SAVE, TRAPPED, UNFOLD,
};

impl Slots {
    /// Returns whether the thread waits for an answer.
    pub(in crate::systrap) fn is_trapped(&self, slot: usize) -> bool {
        self.state(slot).is_some_and(|state| state.load(Ordering::Acquire) != RUNNING)
    }

    /// Tells a trapped thread that its answer will take time.
    pub(in crate::systrap) fn park(&self, slot: usize) {
        if let Some(state) = self.state(slot) {
            let _ = state.compare_exchange(TRAPPED, PARKED, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// The same, and has it wake the thread that has the slot `next`, as [`Slots::wake`]. Returns whether it will, as far as
    /// it can be believed.
    pub(in crate::systrap) fn hand_over(&self, slot: usize, next: usize) -> bool {
        let words = (self.state(slot), self.slot(slot).get(NEXT / 8), self.turn_for_all(next));
        let (Some(state), Some(word), Some(turn)) = words else { return false };
        word.store(turn, Ordering::Relaxed);
        state.compare_exchange(TRAPPED, HAND_OVER, Ordering::Release, Ordering::Relaxed).is_ok()
    }

    /// Takes note of how many threads run.
    pub(in crate::systrap) fn set_running(&self, count: usize) {
        self.running.store(count, Ordering::Relaxed);
    }

    /// Returns how many threads ran when the kernel was last told of a trap.
    pub(in crate::systrap) fn running(&self) -> usize {
        self.running.load(Ordering::Relaxed)
    }

    /// Returns whether a trapped thread spins.
    pub(in crate::systrap) fn is_spinning(&self, slot: usize) -> bool {
        self.state(slot).is_some_and(|state| state.load(Ordering::Relaxed) == TRAPPED)
    }

    /// Has a trapped thread that spins let its helper run: [`HELP`] or [`GIVE_WAY`]. Returns whether it spins.
    pub(in crate::systrap) fn ask_for_help(&self, slot: usize, how: u32) -> bool {
        self.state(slot).is_some_and(|state| {
            state.compare_exchange(TRAPPED, how, Ordering::AcqRel, Ordering::Relaxed).is_ok()
        })
    }

    /// Returns whether the thread copies something.
    pub(in crate::systrap) fn is_copying(&self, slot: usize) -> bool {
        self.state(slot).is_some_and(|state| state.load(Ordering::Relaxed) == COPYING)
    }

    /// Tells a thread that was asked for help that it need not help any more.
    pub(in crate::systrap) fn end_help(&self, slot: usize) {
        let Some(state) = self.state(slot) else { return };
        for helps in [GIVE_WAY, HELP] {
            let _ = state.compare_exchange(helps, TRAPPED, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// Lets a trapped thread go on with what its slot says. Returns whether it sleeps, and must be woken for that.
    #[must_use]
    pub(in crate::systrap) fn release(&self, slot: usize) -> bool {
        self.set_state(slot, RUNNING)
    }

    /// Wakes a thread that slept when its state was changed.
    pub(in crate::systrap) fn wake(&self, slot: usize) {
        if let Some(turn) = self.turn(slot) {
            // All, since any thread of any address space can sleep on the word.
            let _ = futex::wake(turn, futex::Flags::empty(), i32::MAX.cast_unsigned());
        }
    }

    fn change_state(&self, slot: usize, to: u32) {
        if self.set_state(slot, to) {
            self.wake(slot);
        }
    }

    /// Changes the state of a thread. Returns whether it slept: whoever wakes it then wakes it for good.
    fn set_state(&self, slot: usize, to: u32) -> bool {
        let was_asleep = self.state(slot).is_some_and(|state| state.swap(to, Ordering::AcqRel) == ASLEEP);
        if was_asleep && let Some(turn) = self.turn(slot) {
            // A thread reads this word before it looks at its state for the last time.
            turn.fetch_add(1, Ordering::Release);
        }
        was_asleep
    }

    /// Has a thread that is at a patched call site save its vector registers.
    pub(in crate::systrap) fn save(&self, slot: usize) {
        self.change_state(slot, SAVE);
    }

    /// Returns whether it has.
    pub(in crate::systrap) fn is_saved(&self, slot: usize) -> bool {
        self.state(slot).is_some_and(|state| state.load(Ordering::Acquire) != SAVE)
    }

    /// Has a thread that is at a patched call site come with a frame.
    pub(in crate::systrap) fn unfold(&self, slot: usize) {
        self.change_state(slot, UNFOLD);
    }

    /// Returns whether a thread that was to come with a frame has.
    pub(in crate::systrap) fn is_unfolded(&self, slot: usize) -> bool {
        let state = self.state(slot).map(|state| state.load(Ordering::Acquire));
        state.is_some_and(|state| !matches!(state, RUNNING | UNFOLD)) && !self.is_call(slot)
    }
}
