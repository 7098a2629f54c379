//! The frame of a signal handler on the guest's stack, and the way back (`sigreturn(2)`).

use cloister_abi::Registers;
use cloister_abi::signal::{
    RtSigFrame, SigContext, UC_FP_XSTATE, UC_SIGCONTEXT_SS, UC_STRICT_RESTORE_SS, UContext,
};
use cloister_platform::FpuState;
use zerocopy::{FromBytes, IntoBytes};

use super::action::ActionFlags;
use super::info::low;
use super::state::ExceptionCause;
use super::{Action, AltStack, Handler, SignalInfo, SignalSet, fpu};
use crate::error::{Fail, fail};
use crate::prelude::{SyscallCx, errno};
use crate::syscall::Address;

/// What a function may use below its stack pointer (System V ABI, 3.2.2).
const RED_ZONE_BYTES: u64 = 128;
const FRAME_BYTES: u64 = size_of::<RtSigFrame>() as u64;
/// From where the handler's `ret` leaves the stack pointer, how far it is to the floating-point state of a frame.
const TO_FPU_BYTES: usize = size_of::<RtSigFrame>() + 8;

/// Carry, parity, adjust, zero, sign, trap, direction, overflow, resume, alignment check: what guest code may set.
const USER_EFLAGS: u64 = 0x5_0dd5;
/// Trap, direction, resume: what a handler does not begin with.
const CLEARED_EFLAGS: u64 = 0x1_0500;

/// Where the parts of a frame are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Layout {
    /// The frame, and the stack pointer of the handler.
    frame: u64,
    /// The floating-point state above it.
    fpu: u64,
}

impl Layout {
    /// Returns the layout of a frame for code with the stack pointer `sp`.
    fn new(sp: u64, fpu_bytes: u64, stack: &AltStack, flags: ActionFlags) -> Result<Self, Fail> {
        let top = if flags.contains(ActionFlags::ONSTACK) { stack.top_for(sp) } else { None };
        let below = top.unwrap_or_else(|| sp.wrapping_sub(RED_ZONE_BYTES));
        let fpu = below.wrapping_sub(fpu_bytes) & !63;
        // As after a call instruction: the stack pointer was aligned to 16 before the return address.
        let frame = (fpu.wrapping_sub(FRAME_BYTES) & !15).wrapping_sub(8);
        if (top.is_some() || stack.is_in_use(sp)) && !stack.contains(frame) {
            return Err(fail(errno::EFAULT, "the alternate stack is too small for a frame"));
        }
        Ok(Self { frame, fpu })
    }
}

/// Puts the frame for a signal on the guest's stack, and sets the registers so that its handler runs.
///
/// # Errors
///
/// `EFAULT` if there is no room, or no restorer; nothing has changed then.
pub(super) fn push(
    cx: &mut SyscallCx<'_>,
    info: &SignalInfo,
    action: &Action,
    mask: SignalSet,
) -> Result<(), Fail> {
    let Handler::Function(handler) = action.handler else { return Ok(()) };
    if !action.flags.contains(ActionFlags::RESTORER) {
        return Err(fail(errno::EFAULT, "the action has no restorer"));
    }
    let thread = cx.task.thread().ok_or(fail(errno::EFAULT, "the thread is gone"))?;
    let state = fpu::to_frame(&thread.fpu()?);
    let (alt_stack, exception) = {
        let signals = cx.task.signals.lock();
        (signals.alt_stack, signals.exception)
    };
    let registers = *cx.registers();
    let layout = Layout::new(registers.rsp, state.len() as u64, &alt_stack, action.flags)?;
    let frame = RtSigFrame {
        pretcode: action.restorer,
        uc: UContext {
            flags: UC_FP_XSTATE | UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS,
            link: 0,
            stack: alt_stack.to_frame(),
            mcontext: context(&registers, exception, layout.fpu, mask),
            sigmask: mask.0,
        },
        info: info.to_raw(),
    };
    // One copy for all: the gap between the two is the guest's to waste.
    let mut bytes = frame.as_bytes().to_vec();
    bytes.resize(usize::try_from(layout.fpu.wrapping_sub(layout.frame)).unwrap_or(0), 0);
    bytes.extend_from_slice(&state);
    cx.memory().write_bytes(Address(layout.frame), &bytes)?;
    thread.set_fpu(&FpuState::initial())?;
    cx.task.signals.lock().alt_stack.disarm();
    let of_frame = |offset: usize| layout.frame.wrapping_add(offset as u64);
    let registers = cx.registers_mut();
    registers.rdi = u64::from(info.signal.number());
    registers.rsi = of_frame(std::mem::offset_of!(RtSigFrame, info));
    registers.rdx = of_frame(std::mem::offset_of!(RtSigFrame, uc));
    registers.rax = 0;
    registers.rip = handler;
    registers.rsp = layout.frame;
    registers.cs = Registers::USER_CS;
    registers.ss = Registers::USER_SS;
    registers.eflags &= !CLEARED_EFLAGS;
    registers.orig_rax = u64::MAX;
    Ok(())
}

/// Takes the frame at the stack pointer back: registers, floating-point state, mask and alternate stack.
///
/// # Errors
///
/// `EFAULT` if it can't be read, `EINVAL` if the processor does not take the state. The caller sends `SIGSEGV`.
pub(crate) fn pop(cx: &mut SyscallCx<'_>) -> Result<(), Fail> {
    let memory = cx.memory();
    let thread = cx.task.thread().ok_or(fail(errno::EFAULT, "the thread is gone"))?;
    let form = thread.fpu_form()?;
    // The handler's `ret` has taken the first word. All of a frame of ours is read at once.
    let start = cx.registers().rsp;
    let bytes = memory.read_most(Address(start), TO_FPU_BYTES + fpu::frame_bytes(&form));
    let (uc, _) = UContext::read_from_prefix(&bytes)
        .map_err(|_| fail(errno::EFAULT, "the frame of the signal handler can't be read"))?;
    cx.set_mask(SignalSet::mask(uc.sigmask));
    let state = match uc.mcontext.fpstate {
        0 => FpuState::initial(),
        address => {
            let read = |address: Address, into: &mut [u8]| {
                let copied = usize::try_from(address.0.wrapping_sub(start)).ok();
                match copied.and_then(|at| bytes.get(at..at.checked_add(into.len())?)) {
                    Some(part) => into.copy_from_slice(part),
                    None => memory.read_bytes(address, into)?,
                }
                Ok(())
            };
            fpu::from_frame(read, Address(address), &form)?
        }
    };
    thread.set_fpu(&state)?;
    restore(cx.registers_mut(), &uc.mcontext);
    let sp = cx.registers().rsp;
    let alt_stack = &mut cx.task.signals.lock().alt_stack;
    // As Linux, a stack that is no good is left out without a word.
    if let Ok(changed) = alt_stack.changed_to(&uc.stack, sp) {
        *alt_stack = changed;
    }
    Ok(())
}

fn context(registers: &Registers, exception: ExceptionCause, fpstate: u64, mask: SignalSet) -> SigContext {
    let selector = |register: u64| u16::try_from(register & 0xffff).unwrap_or(0);
    SigContext {
        r8: registers.r8,
        r9: registers.r9,
        r10: registers.r10,
        r11: registers.r11,
        r12: registers.r12,
        r13: registers.r13,
        r14: registers.r14,
        r15: registers.r15,
        rdi: registers.rdi,
        rsi: registers.rsi,
        rbp: registers.rbp,
        rbx: registers.rbx,
        rdx: registers.rdx,
        rax: registers.rax,
        rcx: registers.rcx,
        rsp: registers.rsp,
        rip: registers.rip,
        eflags: registers.eflags,
        cs: selector(registers.cs),
        gs: 0,
        fs: 0,
        ss: selector(registers.ss),
        err: exception.error,
        trapno: exception.number,
        oldmask: u64::from(low(mask.0)),
        cr2: exception.address,
        fpstate,
        reserved: [0; 8],
    }
}

fn restore(registers: &mut Registers, context: &SigContext) {
    let eflags = (registers.eflags & !USER_EFLAGS) | (context.eflags & USER_EFLAGS);
    *registers = Registers {
        r8: context.r8,
        r9: context.r9,
        r10: context.r10,
        r11: context.r11,
        r12: context.r12,
        r13: context.r13,
        r14: context.r14,
        r15: context.r15,
        rdi: context.rdi,
        rsi: context.rsi,
        rbp: context.rbp,
        rbx: context.rbx,
        rdx: context.rdx,
        rax: context.rax,
        rcx: context.rcx,
        rsp: context.rsp,
        rip: context.rip,
        eflags,
        // Only 64-bit code runs, whatever the frame says.
        cs: Registers::USER_CS,
        ss: Registers::USER_SS,
        orig_rax: u64::MAX,
        ..*registers
    };
}

#[cfg(test)]
mod tests {
    use cloister_abi::signal::Stack;

    use super::*;

    fn alt_stack(flags: u32, size: u64) -> AltStack {
        AltStack::default().changed_to(&Stack { sp: 0x10_0000, flags, padding: 0, size }, 0).unwrap()
    }

    #[test]
    fn frames_are_aligned_below_the_red_zone() {
        for sp in [0x7fff_0000_u64, 0x7fff_0001, 0x7fff_0008, 0x7fff_003f] {
            let layout = Layout::new(sp, 836, &AltStack::default(), ActionFlags::empty()).unwrap();
            assert_eq!((layout.frame + 8) % 16, 0);
            assert_eq!(layout.fpu % 64, 0);
            assert_eq!(layout.fpu, layout.frame + 8 + TO_FPU_BYTES as u64);
            assert!(layout.fpu + 836 <= sp - 128 && layout.frame + FRAME_BYTES <= layout.fpu);
        }
    }

    #[test]
    fn handlers_that_ask_for_it_are_on_the_alternate_stack() {
        let stack = alt_stack(0, 8192);
        let layout = Layout::new(0x7fff_0000, 836, &stack, ActionFlags::ONSTACK).unwrap();
        assert!(stack.contains(layout.frame) && layout.fpu + 836 <= 0x10_2000);
        let nested = Layout::new(layout.frame - 256, 836, &stack, ActionFlags::ONSTACK).unwrap();
        assert!(nested.frame < layout.frame - 256 && stack.contains(nested.frame));
        Layout::new(0x7fff_0000, 8192, &stack, ActionFlags::ONSTACK).expect_err("it has no room");
        Layout::new(0x10_0400, 836, &stack, ActionFlags::empty()).expect_err("it has no room");
    }

    #[test]
    fn registers_survive_and_privileged_ones_are_left_alone() {
        let before =
            Registers { rax: 1, r15: 15, rsp: 99, fs_base: 7, ..Registers::start_at(0x1000, 0x2000) };
        let mut after = Registers { fs_base: 7, ..Registers::start_at(1, 2) };
        let mut saved = context(&before, ExceptionCause::default(), 0, SignalSet::EMPTY);
        saved.cs = 0x10;
        saved.ss = 0;
        saved.eflags = u64::MAX;
        restore(&mut after, &saved);
        assert_eq!(after, Registers { eflags: 0x202 | USER_EFLAGS, ..before });
    }
}
