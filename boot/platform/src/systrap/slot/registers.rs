//! What a trapped thread reports, and its general registers.

use std::sync::atomic::Ordering;

use cloister_abi::{Errno, Registers, errno};

use super::Slots;
use super::layout::{
    BYTES, CONTEXT, FS_BASE, GS_BASE, INFO, IS_CALL, RESUME, SAVED, STACK, WITH_ALL, WITH_REGISTERS, context,
};

/// What a thread at a patched call site is given to go on with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::systrap) enum Given {
    /// The result of the call.
    Result,
    /// General registers.
    Registers,
    /// General and vector registers.
    All,
}

/// Where a thread's frame is, as checked when it trapped.
#[derive(Clone, Copy, Debug)]
pub(in crate::systrap) struct Frame {
    /// Index of the first word of the `ucontext`.
    pub(in crate::systrap) context: usize,
}

/// What a trapped thread's slot says.
#[derive(Clone, Copy, Debug)]
pub(in crate::systrap) struct Report {
    pub(in crate::systrap) frame: Frame,
    pub(in crate::systrap) signal: i32,
    pub(in crate::systrap) code: i32,
    /// `si_addr` or `si_call_addr`.
    pub(in crate::systrap) address: u64,
    /// `si_syscall`.
    pub(in crate::systrap) syscall: i32,
    /// `si_arch`.
    pub(in crate::systrap) architecture: u32,
    pub(in crate::systrap) registers: Registers,
}

impl Slots {
    /// Returns the index of the word of a slot that is at `address` in the thread's memory.
    pub(super) fn index(&self, slot: usize, address: u64) -> Option<usize> {
        let offset = usize::try_from(address.checked_sub(self.address(slot))?).ok()?;
        (offset.is_multiple_of(8) && (STACK..BYTES).contains(&offset)).then_some(offset / 8)
    }

    /// Reads what a trapped thread reports.
    ///
    /// # Errors
    ///
    /// `EFAULT` if its slot makes no sense.
    pub(in crate::systrap) fn report(&self, slot: usize) -> Result<Report, Errno> {
        let words = self.slot(slot);
        let word =
            |index: usize| words.get(index).map(|word| word.load(Ordering::Relaxed)).ok_or(errno::EFAULT);
        let context = self.index(slot, word(CONTEXT / 8)?).ok_or(errno::EFAULT)?;
        let info = self.index(slot, word(INFO / 8)?).ok_or(errno::EFAULT)?;
        if context + context::END / 8 > words.len() {
            return Err(errno::EFAULT);
        }
        let frame = Frame { context };
        let (first, code, call) = (word(info)?, word(info + 1)?, word(info + 3)?);
        let (signal, _) = halves(first);
        Ok(Report {
            frame,
            signal,
            code: halves(code).0,
            address: word(info + 2)?,
            syscall: halves(call).0,
            architecture: halves(call).1.cast_unsigned(),
            registers: self.registers(slot, frame),
        })
    }

    fn registers(&self, slot: usize, frame: Frame) -> Registers {
        let words = self.slot(slot);
        let word = |index: usize| words.get(index).map_or(0, |word| word.load(Ordering::Relaxed));
        let segments = word(frame.context + context::REGISTERS / 8 + 18);
        Registers {
            cs: segments & 0xffff,
            ss: segments >> 48,
            gs_base: self.gs_base_of_guest(slot, word(GS_BASE / 8)),
            ..self.general(slot, frame.context + context::REGISTERS / 8)
        }
    }

    /// Returns the registers of a thread at a patched call site, as after the `syscall` instruction: `rip` is where it
    /// goes on, `orig_rax` the number.
    pub(in crate::systrap) fn call(&self, slot: usize) -> Registers {
        let saved = self.general(slot, SAVED / 8);
        Registers {
            rcx: saved.rip,
            r11: saved.eflags,
            orig_rax: saved.rax,
            cs: Registers::USER_CS,
            ss: Registers::USER_SS,
            ..saved
        }
    }

    /// Sets the result of the call of a thread that is at a patched call site.
    pub(in crate::systrap) fn set_result(&self, slot: usize, value: u64) {
        if let Some(word) = self.slot(slot).get(SAVED / 8 + 13) {
            word.store(value, Ordering::Relaxed);
        }
    }

    /// Returns whether a trapped thread is at a patched call site, and has no frame.
    pub(in crate::systrap) fn is_call(&self, slot: usize) -> bool {
        self.slot(slot).get(IS_CALL / 8).is_some_and(|word| Self::half(word).load(Ordering::Relaxed) != 0)
    }

    /// Returns the registers with which a thread that was at a patched call site goes on, but for the vector registers.
    pub(in crate::systrap) fn given(&self, slot: usize, given: Given) -> Registers {
        let saved = if given == Given::Result { self.call(slot) } else { self.general(slot, SAVED / 8) };
        Registers { orig_rax: u64::MAX, cs: Registers::USER_CS, ss: Registers::USER_SS, ..saved }
    }

    /// Sets the registers with which a thread that is at a patched call site goes on, at `resume`, which stands for
    /// their `rip`. Its segments' bases stay as they are. With [`Given::All`] its vector registers are in its slot.
    pub(in crate::systrap) fn give(&self, slot: usize, registers: &Registers, resume: u64, given: Given) {
        let (words, r) = (self.slot(slot), registers);
        for (word, value) in words.iter().skip(SAVED / 8).zip(general_of(r)) {
            word.store(value, Ordering::Relaxed);
        }
        if let (Some(word), Some(is_call)) = (words.get(RESUME / 8), words.get(IS_CALL / 8)) {
            word.store(resume, Ordering::Relaxed);
            let what = if given == Given::All { WITH_ALL } else { WITH_REGISTERS };
            Self::half(is_call).store(what, Ordering::Relaxed);
        }
    }

    /// Returns the 18 registers from word `first` of a slot on, in the order of `struct sigcontext`, with the `fs` base.
    fn general(&self, slot: usize, first: usize) -> Registers {
        let words = self.slot(slot);
        let word = |index: usize| words.get(index).map_or(0, |word| word.load(Ordering::Relaxed));
        let general = |number: usize| word(first + number);
        Registers {
            r8: general(0),
            r9: general(1),
            r10: general(2),
            r11: general(3),
            r12: general(4),
            r13: general(5),
            r14: general(6),
            r15: general(7),
            rdi: general(8),
            rsi: general(9),
            rbp: general(10),
            rbx: general(11),
            rdx: general(12),
            rax: general(13),
            rcx: general(14),
            rsp: general(15),
            rip: general(16),
            eflags: general(17),
            fs_base: word(FS_BASE / 8),
            orig_rax: u64::MAX,
            ..Registers::default()
        }
    }

    /// The processor's `gs` base is the slot's address where the guest's is 0, which it is in nearly all programs.
    fn gs_base_of_guest(&self, slot: usize, base: u64) -> u64 {
        if base == self.address(slot) { 0 } else { base }
    }

    /// Puts registers, which the host must accept, into a trapped thread's frame.
    pub(in crate::systrap) fn set_registers(&self, slot: usize, frame: Frame, registers: &Registers) {
        let words = self.slot(slot);
        let set = |index: usize, value: u64| {
            if let Some(word) = words.get(index) {
                word.store(value, Ordering::Relaxed);
            }
        };
        let r = registers;
        let segments = Registers::USER_CS | Registers::USER_SS << 48; // cs, gs, fs, ss
        for (number, value) in general_of(r).into_iter().chain([segments]).enumerate() {
            set(frame.context + context::REGISTERS / 8 + number, value);
        }
        set(frame.context + context::SIGNAL_MASK / 8, 0);
        set(FS_BASE / 8, r.fs_base);
        set(GS_BASE / 8, if r.gs_base == 0 { self.address(slot) } else { r.gs_base });
    }
}

/// Returns the 18 general registers in the order of `struct sigcontext`.
fn general_of(r: &Registers) -> [u64; 18] {
    [
        r.r8, r.r9, r.r10, r.r11, r.r12, r.r13, r.r14, r.r15, r.rdi, r.rsi, r.rbp, r.rbx, r.rdx, r.rax,
        r.rcx, r.rsp, r.rip, r.eflags,
    ]
}

/// Splits a word into the two numbers that a C structure has there.
pub(super) fn halves(word: u64) -> (i32, i32) {
    let [a, b, c, d, e, f, g, h] = word.to_le_bytes();
    (i32::from_le_bytes([a, b, c, d]), i32::from_le_bytes([e, f, g, h]))
}
