//! Classic BPF programs over system calls, as `seccomp(2)` takes them: their instructions, the checks that Linux makes
//! before it takes one, and their interpreter.
//!
//! Programs come from guests and are hostile. A [`Program`] is one that was checked: every jump leads forward and to an
//! instruction, so that it ends after at most as many steps as it has instructions; it looks at nothing but the call's
//! [`Data`]; and it reads no memory word that it may not have written.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "the programs are hostile")]

mod check;
mod data;
mod instruction;
pub mod opcode;
mod program;

pub use check::Invalid;
pub use data::Data;
pub use instruction::Instruction;
pub use program::{MAX_INSTRUCTIONS, Program, Verdict};
