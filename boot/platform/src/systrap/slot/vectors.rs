//! The floating-point and vector registers of a trapped thread.

#![expect(unsafe_code, reason = "asks the processor which registers it has")]

use std::arch::x86_64::{__cpuid, __cpuid_count, _xgetbv};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use cloister_abi::{Errno, errno};

use super::layout::{
    HEADER, HEADER_BYTES, LEGACY_BYTES, MXCSR_AT, MXCSR_MASK, SOFTWARE_RESERVED, STATE, VECTORS,
    XSTATE_MAGIC, context,
};
use super::registers::halves;
use super::{Frame, Slots};
use crate::FpuState;

/// The processor's vector registers as `XSAVE` stores them.
#[derive(Debug)]
pub(super) struct Vectors {
    pub(super) bytes: usize,
    pub(super) features: u64,
    /// The features whose registers are behind the header, and at which words they are.
    components: Vec<(u64, Range<usize>)>,
}

/// Where a trapped thread's vector registers are.
#[derive(Clone, Copy, Debug)]
pub(in crate::systrap) enum FpuPlace {
    /// In its frame.
    Frame(Frame),
    /// At [`STATE`].
    Slot,
}

impl Slots {
    /// Returns the words of a trapped thread's floating-point and vector registers.
    fn fpu_words(&self, slot: usize, place: FpuPlace) -> Option<&[AtomicU64]> {
        let words = self.slot(slot);
        let FpuPlace::Frame(frame) = place else {
            return words.get(STATE / 8..(STATE + self.vectors.bytes) / 8);
        };
        let address = words.get(frame.context + context::FPU / 8)?.load(Ordering::Relaxed);
        let start = self.index(slot, address)?;
        let reserved = words.get(start + SOFTWARE_RESERVED / 8..start + SOFTWARE_RESERVED / 8 + 3)?;
        let [magic, _, size] = reserved else { return None };
        let length = if halves(magic.load(Ordering::Relaxed)).0.cast_unsigned() == XSTATE_MAGIC {
            usize::try_from(halves(size.load(Ordering::Relaxed)).0).ok()?
        } else {
            LEGACY_BYTES
        };
        words.get(start..start.checked_add(length / 8)?)
    }

    /// Returns a state of the form that the processor's has: its size, its features, and a mask of MXCSR.
    pub(in crate::systrap) fn fpu_form(&self) -> FpuState {
        let mut bytes = FpuState::initial().bytes().to_vec();
        bytes.resize(self.vectors.bytes, 0);
        // MXCSR is in the first half of the word of its mask.
        let mask = MXCSR_MASK << 32 | 0x1f80;
        let parts = [(MXCSR_AT, mask), (SOFTWARE_RESERVED, self.vectors.features)];
        for (offset, value) in parts {
            if let Some(part) = bytes.get_mut(offset..offset + 8) {
                part.copy_from_slice(&value.to_le_bytes());
            }
        }
        FpuState::from_bytes(bytes)
    }

    /// Copies the floating-point and vector registers of a trapped thread.
    ///
    /// # Errors
    ///
    /// `EFAULT` if its slot makes no sense.
    pub(in crate::systrap) fn fpu(&self, slot: usize, place: FpuPlace) -> Result<FpuState, Errno> {
        let words = self.fpu_words(slot, place).ok_or(errno::EFAULT)?;
        let mut bytes = vec![0; size_of_val(words)];
        let present = words.get(HEADER).map_or(0, |word| word.load(Ordering::Relaxed));
        for index in self.vectors.words(present) {
            if let (Some(word), Some(part)) = (words.get(index), bytes.as_chunks_mut().0.get_mut(index)) {
                *part = word.load(Ordering::Relaxed).to_le_bytes();
            }
        }
        // Not what has been written there since.
        if let Some(part) = bytes.as_chunks_mut().0.get_mut(HEADER) {
            *part = present.to_le_bytes();
        }
        if let Some(reserved) = bytes.get_mut(SOFTWARE_RESERVED..LEGACY_BYTES) {
            // As for ptrace(2), what there is.
            let (features, rest) = reserved.split_at_mut(8);
            features.copy_from_slice(&self.vectors.features.to_le_bytes());
            rest.fill(0);
        }
        Ok(FpuState::from_bytes(bytes))
    }

    /// Sets the floating-point and vector registers of a trapped thread; components that a shorter `state` does not
    /// have become initial.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the state is not one of this processor's, `EFAULT` if the slot makes no sense.
    pub(in crate::systrap) fn set_fpu(
        &self,
        slot: usize,
        place: FpuPlace,
        state: &FpuState,
    ) -> Result<(), Errno> {
        let words = self.fpu_words(slot, place).ok_or(errno::EFAULT)?;
        let (given, rest) = state.bytes().as_chunks::<8>();
        if given.len() > words.len() || !rest.is_empty() || !self.vectors.can_be(given) {
            return Err(errno::EINVAL);
        }
        let reserved = SOFTWARE_RESERVED / 8..LEGACY_BYTES / 8;
        let value = |index: usize| given.get(index).map_or(0, |bytes| u64::from_le_bytes(*bytes));
        for index in self.vectors.words(value(HEADER)).filter(|index| !reserved.contains(index)) {
            if let Some(word) = words.get(index) {
                word.store(value(index), Ordering::Relaxed);
            }
        }
        Ok(())
    }
}

impl Vectors {
    /// Asks the processor.
    pub(super) fn of_processor() -> Self {
        /// `CPUID` of `XSAVE`, whose subleafs have the size and the offset of each component; `OSXSAVE` in leaf 1.
        const LEAF: u32 = 0xd;
        const OSXSAVE: u32 = 1 << 27;
        if __cpuid(1).ecx & OSXSAVE == 0 {
            return Self { bytes: LEGACY_BYTES, features: 0, components: Vec::new() };
        }
        // SAFETY: the processor has the instruction, and the host allows it.
        let features = unsafe { _xgetbv(0) } & u64::from(VECTORS);
        let components: Vec<_> = (2..u64::BITS)
            .map(|number| (1 << number, number))
            .filter(|(feature, _)| features & feature != 0)
            .map(|(feature, number)| {
                let (start, length) = (__cpuid_count(LEAF, number).ebx, __cpuid_count(LEAF, number).eax);
                (feature, start as usize / 8..(start as usize + length as usize).div_ceil(8))
            })
            .collect();
        let end = components.iter().map(|(_, words)| words.end * 8).max();
        Self { bytes: end.unwrap_or(0).max(LEGACY_BYTES + HEADER_BYTES), features, components }
    }

    /// Returns at which words there is something in a state whose header says that `present` components are in use. What
    /// is at the others does not matter to the processor.
    fn words(&self, present: u64) -> impl Iterator<Item = usize> {
        let used = self.components.iter().filter(move |(feature, _)| present & feature != 0);
        (0..(LEGACY_BYTES + HEADER_BYTES) / 8).chain(used.flat_map(|(_, words)| words.clone()))
    }

    /// Returns whether the processor takes `given`: the host kills a thread for what it does not.
    fn can_be(&self, given: &[[u8; 8]]) -> bool {
        let word = |index: usize| given.get(index).map(|bytes| u64::from_le_bytes(*bytes));
        word(3).is_some_and(|word| word & u64::from(u32::MAX) & !MXCSR_MASK == 0)
            && word(HEADER).is_some_and(|present| present & !self.features == 0)
            && (HEADER + 1..HEADER + HEADER_BYTES / 8).all(|index| word(index) == Some(0))
    }
}
