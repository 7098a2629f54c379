//! Memory of an address space, copied by a thread of it that waits for the kernel anyway.
//!
//! A thread at a patched call site looks for its answer all the time, so it can be asked for more on the way: to copy
//! what the call is about from its memory to its slot, or back. That costs a small part of what the host takes to copy
//! from one process to another. What the thread can't read or write it does not copy: a fault in the copying ends it
//! (see `ptrace::image`), and how much is left tells how far it came.
//!
//! The thread may not be running. It must take the request up before long, or the request is withdrawn, and the host
//! copies. One that was taken up is waited for, but not as long as it may take to bring memory in from a slow place: then
//! the host copies the same, and what the thread still does is of no use to anybody, and of no harm before its call ends.
//!
//! Guest code can have the thread copy something else, or say that it did: it is its own memory that it lies about.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::process::Pid;

use super::slot::{BUFFER, BUFFER_BYTES, COPY, COPY_BYTES, COPY_FROM, COPY_TO, COPYING, Slots, TRAPPED};

/// How often the kernel looks whether a request was taken up: somewhat longer than a running thread needs.
const LOOKS: u32 = 50;
/// How often it looks whether the thread is done before it lets others run: somewhat longer than a page takes.
const LOOKS_FOR_END: u32 = 500;
/// How long it waits for the end: longer than the host lets another run in the thread's place.
const PATIENCE: Duration = Duration::from_millis(20);

/// The thread whose call is being handled, if it can copy.
#[derive(Debug, Default)]
pub(super) struct Copier {
    /// Its slot, above the helper of its address space, whose number is never 0.
    thread: AtomicU64,
}

impl Copier {
    /// Says that the call of the thread that has `slot` is being handled.
    pub(super) fn set(&self, slot: usize, helper: Pid) {
        let helper = u64::from(helper.as_raw_pid().cast_unsigned());
        self.thread.store((slot as u64) << 32 | helper, Ordering::Relaxed);
    }

    /// Says that no thread can copy.
    pub(super) fn clear(&self) {
        self.thread.store(0, Ordering::Relaxed);
    }

    /// Returns the slot of the thread that can copy, if it is one of the address space with this helper.
    fn slot(&self, helper: Pid) -> Option<usize> {
        let thread = self.thread.load(Ordering::Relaxed);
        let is_its = thread & u64::from(u32::MAX) == u64::from(helper.as_raw_pid().cast_unsigned());
        is_its.then(|| usize::try_from(thread >> 32).ok()).flatten()
    }

    /// Returns whether a thread of the address space with this helper can copy.
    pub(super) fn can_copy(&self, helper: Pid) -> bool {
        self.slot(helper).is_some()
    }

    /// Copies between two places in the memory of an address space. Returns how many bytes could be copied; `None` if no
    /// thread does that.
    pub(super) fn copy(
        &self,
        slots: &Slots,
        helper: Pid,
        from_and_to: [u64; 2],
        length: usize,
    ) -> Option<usize> {
        self.request(slots, self.slot(helper)?, from_and_to, length)
    }

    /// Copies from the memory of an address space. Returns how many bytes could be read; `None` if no thread does that.
    pub(super) fn read(&self, slots: &Slots, helper: Pid, address: u64, into: &mut [u8]) -> Option<usize> {
        let slot = self.slot(helper).filter(|_| into.len() <= BUFFER_BYTES)?;
        let buffer = slots.address(slot) + BUFFER as u64;
        let copied = self.request(slots, slot, [address, buffer], into.len())?;
        let words = slots.slot(slot).get(BUFFER / 8..)?;
        // Whole words first, for the sake of speed.
        let (whole, rest) = into.get_mut(..copied)?.as_chunks_mut();
        let last = words.get(whole.len()).map_or([0; 8], |word| word.load(Ordering::Relaxed).to_ne_bytes());
        for (bytes, word) in whole.iter_mut().zip(words) {
            *bytes = word.load(Ordering::Relaxed).to_ne_bytes();
        }
        rest.copy_from_slice(last.get(..rest.len())?);
        Some(copied)
    }

    /// Copies to the memory of an address space. Returns how many bytes could be written; `None` if no thread does that.
    pub(super) fn write(&self, slots: &Slots, helper: Pid, address: u64, from: &[u8]) -> Option<usize> {
        let slot = self.slot(helper).filter(|_| from.len() <= BUFFER_BYTES)?;
        let words = slots.slot(slot).get(BUFFER / 8..)?;
        let (whole, rest) = from.as_chunks();
        for (bytes, word) in whole.iter().zip(words) {
            word.store(u64::from_ne_bytes(*bytes), Ordering::Relaxed);
        }
        if let Some(word) = words.get(whole.len()) {
            let mut last = [0; 8];
            last.get_mut(..rest.len())?.copy_from_slice(rest);
            word.store(u64::from_ne_bytes(last), Ordering::Relaxed);
        }
        let buffer = slots.address(slot) + BUFFER as u64;
        self.request(slots, slot, [buffer, address], from.len())
    }

    /// Has the thread copy `length` bytes. Returns how many it could; `None` if it does not.
    fn request(&self, slots: &Slots, slot: usize, [from, to]: [u64; 2], length: usize) -> Option<usize> {
        let (words, state) = (slots.slot(slot), slots.state(slot)?);
        for (offset, value) in [(COPY_FROM, from), (COPY_TO, to), (COPY_BYTES, length as u64)] {
            words.get(offset / 8)?.store(value, Ordering::Relaxed);
        }
        state.compare_exchange(TRAPPED, COPY, Ordering::Release, Ordering::Relaxed).ok()?;
        let is_taken_up = (0..LOOKS).any(|_| {
            spin_loop();
            state.load(Ordering::Relaxed) != COPY
        });
        if !is_taken_up && state.compare_exchange(COPY, TRAPPED, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        {
            return None;
        }
        if !(0..LOOKS_FOR_END).any(|_| {
            spin_loop();
            state.load(Ordering::Acquire) != COPYING
        }) {
            let asked = Instant::now();
            while state.load(Ordering::Acquire) == COPYING {
                if asked.elapsed() >= PATIENCE {
                    self.clear();
                    return None;
                }
                rustix::thread::sched_yield();
            }
        }
        let left = usize::try_from(words.get(COPY_BYTES / 8)?.load(Ordering::Relaxed)).ok()?;
        length.checked_sub(left)
    }
}
