//! Signals: `asm/signal.h`, `asm/sigcontext.h`, `asm/ucontext.h`, `asm-generic/siginfo.h`.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `struct sigaction` as `rt_sigaction(2)` takes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct SigAction {
    /// `SIG_DFL`, `SIG_IGN` or the handler's address.
    pub handler: u64,
    /// `SA_*`.
    pub flags: u64,
    /// Where the handler returns to.
    pub restorer: u64,
    /// What is blocked while the handler runs.
    pub mask: u64,
}

/// `siginfo_t`, whose union is left as words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct SigInfo {
    /// `si_signo`.
    pub signal: i32,
    /// `si_errno`.
    pub errno: i32,
    /// `si_code`.
    pub code: i32,
    /// Unused.
    pub padding: u32,
    /// The union of what the kinds of signals carry.
    pub fields: [u64; 14],
}

/// `struct signalfd_siginfo` of `signalfd(2)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct SignalFdInfo {
    /// `ssi_signo`.
    pub signal: u32,
    /// `ssi_errno`.
    pub errno: i32,
    /// `ssi_code`.
    pub code: i32,
    /// The sender.
    pub pid: u32,
    /// The sender's real user.
    pub uid: u32,
    /// The descriptor, of `SIGIO`.
    pub fd: i32,
    /// The timer's id.
    pub tid: u32,
    /// The conditions, of `SIGIO`.
    pub band: u32,
    /// How many expirations the timer missed.
    pub overrun: u32,
    /// The exception's number.
    pub trapno: u32,
    /// The child's exit status, or the signal that ended it.
    pub status: i32,
    /// The sender's value, as a number.
    pub int: i32,
    /// The sender's value, as a pointer.
    pub ptr: u64,
    /// The child's time in user code, in clock ticks.
    pub user_time: u64,
    /// The child's time in the kernel, in clock ticks.
    pub system_time: u64,
    /// The address of a fault.
    pub address: u64,
    /// How much around the address is lost, as a power of two.
    pub address_lsb: u16,
    /// Unused.
    pub padding: u16,
    /// The system call, of `SIGSYS`.
    pub syscall: i32,
    /// The address of the system call, of `SIGSYS`.
    pub call_address: u64,
    /// The architecture of the system call, of `SIGSYS`.
    pub arch: u32,
    /// Unused.
    pub reserved: [u32; 7],
}

/// `struct sigevent` of `timer_create(2)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct SigEvent {
    /// `sigev_value`.
    pub value: u64,
    /// `sigev_signo`.
    pub signal: i32,
    /// `SIGEV_*`.
    pub notify: i32,
    /// The thread, with `SIGEV_THREAD_ID`.
    pub tid: i32,
    /// Unused.
    pub padding: [u32; 11],
}

/// `stack_t` of `sigaltstack(2)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Stack {
    /// The lowest address.
    pub sp: u64,
    /// `SS_*`.
    pub flags: u32,
    /// Unused.
    pub padding: u32,
    /// The size in bytes.
    pub size: u64,
}

/// `struct sigcontext_64`: the registers of interrupted code.
#[expect(missing_docs, reason = "the names are the processor's")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct SigContext {
    pub r8: u64,
    pub r9: u64,
    pub r10: u64,
    pub r11: u64,
    pub r12: u64,
    pub r13: u64,
    pub r14: u64,
    pub r15: u64,
    pub rdi: u64,
    pub rsi: u64,
    pub rbp: u64,
    pub rbx: u64,
    pub rdx: u64,
    pub rax: u64,
    pub rcx: u64,
    pub rsp: u64,
    pub rip: u64,
    pub eflags: u64,
    pub cs: u16,
    pub gs: u16,
    pub fs: u16,
    pub ss: u16,
    /// The error code of the last processor exception.
    pub err: u64,
    /// The number of the last processor exception.
    pub trapno: u64,
    /// The lower bits of the mask of interrupted code.
    pub oldmask: u64,
    /// The address of the last page fault.
    pub cr2: u64,
    /// Where the floating-point state is; null for none.
    pub fpstate: u64,
    pub reserved: [u64; 8],
}

/// `struct ucontext` of x86-64.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct UContext {
    /// `UC_*`.
    pub flags: u64,
    /// Always null.
    pub link: u64,
    /// The alternate signal stack.
    pub stack: Stack,
    /// The registers.
    pub mcontext: SigContext,
    /// What interrupted code blocks.
    pub sigmask: u64,
}

/// `struct rt_sigframe`: what is on the stack when a handler begins; the floating-point state is above it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct RtSigFrame {
    /// Where the handler returns to: code that calls `rt_sigreturn(2)`.
    pub pretcode: u64,
    /// The interrupted context.
    pub uc: UContext,
    /// What came with the signal.
    pub info: SigInfo,
}

/// `struct _fpx_sw_bytes`: what the kernel says about the floating-point state, in the state's own spare bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct FpxSwBytes {
    /// [`FP_XSTATE_MAGIC1`] if there is more than the legacy state.
    pub magic1: u32,
    /// The size of all, the second magic number included.
    pub extended_size: u32,
    /// The features that are saved.
    pub xfeatures: u64,
    /// The size of the state.
    pub xstate_size: u32,
    /// Unused.
    pub padding: [u32; 7],
}

/// [`FpxSwBytes::magic1`].
pub const FP_XSTATE_MAGIC1: u32 = 0x4650_5853;
/// What follows the state.
pub const FP_XSTATE_MAGIC2: u32 = 0x4650_5845;
/// [`UContext::flags`]: the floating-point state is more than the legacy one.
pub const UC_FP_XSTATE: u64 = 1;
/// [`UContext::flags`]: `ss` is saved.
pub const UC_SIGCONTEXT_SS: u64 = 2;
/// [`UContext::flags`]: `ss` is restored as it is.
pub const UC_STRICT_RESTORE_SS: u64 = 4;

#[cfg(test)]
mod tests {
    use std::mem::offset_of;

    use super::*;

    #[test]
    fn layout_is_that_of_linux() {
        assert_eq!(size_of::<SigAction>(), 32);
        assert_eq!(size_of::<SigInfo>(), 128);
        assert_eq!(size_of::<SigEvent>(), 64);
        assert_eq!(size_of::<SignalFdInfo>(), 128);
        assert_eq!(offset_of!(SignalFdInfo, ptr), 48);
        assert_eq!(offset_of!(SignalFdInfo, call_address), 88);
        assert_eq!(size_of::<Stack>(), 24);
        assert_eq!(size_of::<SigContext>(), 256);
        assert_eq!(size_of::<UContext>(), 304);
        assert_eq!(size_of::<RtSigFrame>(), 440);
        assert_eq!(size_of::<FpxSwBytes>(), 48);
        assert_eq!(offset_of!(UContext, stack), 16);
        assert_eq!(offset_of!(UContext, mcontext), 40);
        assert_eq!(offset_of!(UContext, sigmask), 296);
        assert_eq!(offset_of!(SigContext, rip), 128);
        assert_eq!(offset_of!(SigContext, cs), 144);
        assert_eq!(offset_of!(SigContext, err), 152);
        assert_eq!(offset_of!(SigContext, cr2), 176);
        assert_eq!(offset_of!(SigContext, fpstate), 184);
        assert_eq!(offset_of!(RtSigFrame, info), 312);
    }
}
