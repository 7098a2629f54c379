//! One instruction.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::opcode::{ABS, ALU, AND, JA, JMP, K, LD, RET};

/// One instruction: `struct sock_filter`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Instruction {
    /// What it does: [`opcode`](crate::opcode).
    pub code: u16,
    /// How many instructions a conditional jump skips if its condition holds.
    pub jt: u8,
    /// How many it skips if not.
    pub jf: u8,
    /// The constant.
    pub k: u32,
}

impl Instruction {
    /// Loads the word of the call's data at `offset` bytes.
    #[must_use]
    pub const fn load(offset: u32) -> Self {
        Self { code: LD | ABS, jt: 0, jf: 0, k: offset }
    }

    /// Keeps the bits of `mask`.
    #[must_use]
    pub const fn and(mask: u32) -> Self {
        Self { code: ALU | AND | K, jt: 0, jf: 0, k: mask }
    }

    /// Skips `jt` instructions if `test` ([`JEQ`](crate::opcode::JEQ) and its like) holds with `k`, otherwise `jf`.
    #[must_use]
    pub const fn jump_if(test: u16, k: u32, jt: u8, jf: u8) -> Self {
        Self { code: JMP | test | K, jt, jf, k }
    }

    /// Skips `by` instructions.
    #[must_use]
    pub const fn jump(by: u32) -> Self {
        Self { code: JMP | JA, jt: 0, jf: 0, k: by }
    }

    /// Ends the program with `value`.
    #[must_use]
    pub const fn ret(value: u32) -> Self {
        Self { code: RET | K, jt: 0, jf: 0, k: value }
    }
}
