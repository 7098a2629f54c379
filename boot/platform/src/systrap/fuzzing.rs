//! Slots that hold anything: what the kernel makes of them. For the fuzz target `slot`, and a test.

use std::sync::atomic::Ordering;

use super::slot::{self, BYTES, CONTEXT, FS_BASE, FpuPlace, GS_BASE, INFO, STACK, Slots};
use super::threads;
use crate::ptrace::image::Layout;
use crate::ptrace::run::sanitised;
use crate::{FpuState, Trap};

/// Where the slots would be in a stub process.
const BASE: u64 = 0x7fff_1234_0000;
/// The slot; those before and behind it are others'.
const SLOT: usize = 1;

/// How far the kernel gets with a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It makes no sense.
    Refused,
    /// There is a trap, or none that is worth anything.
    Reported,
    /// Also the vector registers could be read.
    Copied,
}

/// A slot of somebody hostile.
#[derive(Debug)]
pub struct HostileSlot(Slots);

impl HostileSlot {
    /// Makes one.
    ///
    /// # Errors
    ///
    /// The host's.
    pub fn new() -> std::io::Result<Self> {
        Slots::new(&Layout { slots: BASE, ..Layout::new(0) }, SLOT + 2, 1).map(Self)
    }

    /// Does what the kernel does when a thread traps whose slot holds `bytes`.
    ///
    /// These are words: the control words, then the stack. Pointers are offsets in the slot, so that more than a few
    /// make sense, unless their highest bit is set.
    ///
    /// # Panics
    ///
    /// If the kernel looks or writes where it must not.
    pub fn handle_trap(&self, bytes: &[u8]) -> Progress {
        let slots = &self.0;
        self.fill(bytes);
        let Ok(report) = slots.report(SLOT) else { return Progress::Refused };
        let context = report.frame.context * 8;
        assert!((STACK..=BYTES - slot::context::END).contains(&context), "{context}");
        let before = self.control_words();
        let trap = threads::trap_of(&report, true);
        if let Some((Trap::Exception(exception), _)) = &trap {
            assert!(exception.code > 0, "{exception:?}");
        }
        let in_slot = slots.fpu(SLOT, FpuPlace::Slot);
        let copied = slots.fpu(SLOT, FpuPlace::Frame(report.frame));
        for place in [FpuPlace::Frame(report.frame), FpuPlace::Slot] {
            for state in copied.iter().chain(&in_slot) {
                assert!(state.bytes().len() <= BYTES - STACK);
                let _ = slots.set_fpu(SLOT, place, state);
            }
            for state in [FpuState::initial(), FpuState::from_bytes(bytes)] {
                let _ = slots.set_fpu(SLOT, place, &state);
            }
        }
        let registers = trap.map_or(report.registers, |(_, registers)| registers);
        slots.set_registers(SLOT, report.frame, &sanitised(&registers));
        assert_eq!(self.control_words(), before);
        for number in [SLOT - 1, SLOT + 1] {
            let is_clear = slots.slot(number).iter().all(|word| word.load(Ordering::Relaxed) == 0);
            assert!(is_clear, "slot {number} is another's");
        }
        if copied.is_ok() { Progress::Copied } else { Progress::Reported }
    }

    /// Fills the slot.
    fn fill(&self, bytes: &[u8]) {
        let words = self.0.slot(SLOT);
        let given = bytes.chunks(8).map(|chunk| {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            u64::from_le_bytes(word)
        });
        for (word, value) in words.iter().zip(given.chain(std::iter::repeat(0))) {
            word.store(value, Ordering::Relaxed);
        }
        let pointer = |offset: usize| {
            if let Some(word) = words.get(offset / 8) {
                let value = word.load(Ordering::Relaxed);
                if value >> 63 == 0 {
                    word.store(self.0.address(SLOT).wrapping_add(value), Ordering::Relaxed);
                }
            }
        };
        let context = words.get(CONTEXT / 8).map_or(0, |word| word.load(Ordering::Relaxed));
        pointer(CONTEXT);
        pointer(INFO);
        if let Ok(context @ ..BYTES) = usize::try_from(context) {
            pointer(context + slot::context::FPU);
        }
    }

    /// Returns the control words, but those that the kernel sets.
    fn control_words(&self) -> Vec<u64> {
        let is_kept = |index: &usize| ![FS_BASE / 8, GS_BASE / 8].contains(index);
        let words = self.0.slot(SLOT);
        let kept = (0..STACK / 8).filter(is_kept).filter_map(|index| words.get(index));
        kept.map(|word| word.load(Ordering::Relaxed)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A linear congruential generator (Knuth's constants): the same words in each run.
    struct Words(u64);

    impl Words {
        fn next(&mut self) -> u64 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            self.0 ^ (self.0 >> 32)
        }
    }

    #[test]
    fn a_slot_of_random_words_is_read_within_its_bounds() {
        let hostile = HostileSlot::new().unwrap();
        let mut random = Words(1);
        let mut count = [0; 3];
        for _ in 0..1000 {
            // What is right in one of four words, or all would be refused at the first look.
            let mut near = |limit: u64| match random.next() % 4 {
                0 => random.next(),
                1 => random.next() % (2 * limit),
                _ => random.next() % (limit / 8) * 8,
            };
            let mut words: Vec<u64> = (0..BYTES / 8).map(|_| near(BYTES as u64)).collect();
            let (context, fpu) = (near(BYTES as u64 / 2), near(BYTES as u64 / 2));
            words[CONTEXT / 8] = context;
            let mut set = |offset: u64, value: u64| {
                if let Some(word) = usize::try_from(offset / 8).ok().and_then(|index| words.get_mut(index)) {
                    *word = value;
                }
            };
            if let (Some(pointer), Some(magic)) = (
                context.checked_add(slot::context::FPU as u64),
                fpu.checked_add(slot::SOFTWARE_RESERVED as u64),
            ) {
                set(pointer, fpu);
                set(magic, u64::from(slot::XSTATE_MAGIC));
                set(magic.saturating_add(16), near(BYTES as u64));
            }
            let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
            count[hostile.handle_trap(&bytes) as usize] += 1;
        }
        assert!(count.iter().all(|count| *count > 30), "{count:?}");
    }
}
