//! The registers of a user thread.

use serde::{Deserialize, Serialize};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The general registers of a thread, in the layout of `struct user_regs_struct` (`sys/user.h`).
#[expect(missing_docs, reason = "the names are the processor's")]
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    FromBytes,
    IntoBytes,
    KnownLayout,
    Immutable,
)]
#[repr(C)]
pub struct Registers {
    pub r15: u64,
    pub r14: u64,
    pub r13: u64,
    pub r12: u64,
    pub rbp: u64,
    pub rbx: u64,
    pub r11: u64,
    pub r10: u64,
    pub r9: u64,
    pub r8: u64,
    pub rax: u64,
    pub rcx: u64,
    pub rdx: u64,
    pub rsi: u64,
    pub rdi: u64,
    /// The system call's number while a call is handled, otherwise `u64::MAX`.
    pub orig_rax: u64,
    pub rip: u64,
    pub cs: u64,
    pub eflags: u64,
    pub rsp: u64,
    pub ss: u64,
    pub fs_base: u64,
    pub gs_base: u64,
    pub ds: u64,
    pub es: u64,
    pub fs: u64,
    pub gs: u64,
}

impl Registers {
    /// The code segment of 64-bit user code.
    pub const USER_CS: u64 = 0x33;
    /// The stack segment of user code.
    pub const USER_SS: u64 = 0x2b;
    /// The flags that a new thread starts with: the reserved bit and the interrupt flag.
    pub const INITIAL_EFLAGS: u64 = 0x202;

    /// Returns the registers of a thread that starts at `rip` with the stack pointer `rsp`.
    pub fn start_at(rip: u64, rsp: u64) -> Self {
        Self {
            rip,
            rsp,
            cs: Self::USER_CS,
            ss: Self::USER_SS,
            eflags: Self::INITIAL_EFLAGS,
            orig_rax: u64::MAX,
            ..Self::default()
        }
    }

    /// Returns the number of the system call that the thread asks for.
    pub fn syscall_number(&self) -> u64 {
        self.orig_rax
    }

    /// Returns the six arguments of the system call that the thread asks for.
    pub fn syscall_arguments(&self) -> [u64; 6] {
        [self.rdi, self.rsi, self.rdx, self.r10, self.r8, self.r9]
    }
}
