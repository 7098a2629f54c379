//! The checks before a program is taken: those of Linux, in `seccomp_check_filter` and `bpf_check_classic`.

use crate::opcode::{
    A, ABS, ADD, ALU, AND, DIV, IMM, JA, JEQ, JGE, JGT, JMP, JSET, K, LD, LDX, LEN, LSH, MEM, MISC, MUL, NEG,
    OR, RET, RSH, ST, STX, SUB, TAX, TXA, X, XOR,
};
use crate::{Data, Instruction, MAX_INSTRUCTIONS};

/// The number of memory words.
pub(crate) const MEMORY_WORDS: usize = 16;

/// Why a program is not taken; numbers are those of instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// It has none or too many.
    #[error("a program has 1 to {MAX_INSTRUCTIONS} instructions")]
    Length,
    /// The instruction is not one that seccomp has.
    #[error("instruction {0} is not allowed")]
    Code(usize),
    /// The constant makes no sense: a zero divisor, a shift by more than a word, data or memory that there is not.
    #[error("the constant of instruction {0} is out of range")]
    Constant(usize),
    /// The jump leads out of the program.
    #[error("instruction {0} jumps out of the program")]
    Jump(usize),
    /// The last instruction does not end the program.
    #[error("the last instruction does not return")]
    NoReturn,
    /// A memory word is read that may not have been written.
    #[error("instruction {0} reads memory that may not have been written")]
    Unwritten(usize),
}

/// Checks a whole program.
pub(crate) fn check(instructions: &[Instruction]) -> Result<(), Invalid> {
    if !(1..=MAX_INSTRUCTIONS).contains(&instructions.len()) {
        return Err(Invalid::Length);
    }
    for (at, instruction) in instructions.iter().enumerate() {
        check_one(instruction, at, instructions.len())?;
    }
    match instructions.last() {
        Some(last) if is_return(last.code) => check_memory(instructions),
        _ => Err(Invalid::NoReturn),
    }
}

const fn is_return(code: u16) -> bool {
    code == RET | K || code == RET | A
}

fn check_one(instruction: &Instruction, at: usize, len: usize) -> Result<(), Invalid> {
    let k = instruction.k;
    let in_range = |is: bool| if is { Ok(()) } else { Err(Invalid::Constant(at)) };
    let inside = |skip: u32| {
        let target = usize::try_from(skip).ok().and_then(|skip| at.checked_add(1)?.checked_add(skip));
        if target.is_some_and(|target| target < len) { Ok(()) } else { Err(Invalid::Jump(at)) }
    };
    // Classes and operations are disjoint bits, so a sum of them is the code.
    match instruction.code {
        code if is_return(code) => Ok(()),
        code if code == LD | ABS => in_range(k < Data::BYTES && k.is_multiple_of(4)),
        code if code == LD | MEM || code == LDX | MEM || code == ST || code == STX => {
            in_range(usize::try_from(k).is_ok_and(|k| k < MEMORY_WORDS))
        }
        code if code == LD | IMM
            || code == LD | LEN
            || code == LDX | IMM
            || code == LDX | LEN
            || code == MISC | TAX
            || code == MISC | TXA
            || code == ALU | NEG =>
        {
            Ok(())
        }
        code if code == JMP | JA => inside(k),
        code if code & 0x07 == ALU && is_arithmetic(code & 0xf0) && code & !0xff == 0 => {
            let constant = code & X == 0;
            match code & 0xf0 {
                DIV if constant => in_range(k != 0),
                LSH | RSH if constant => in_range(k < 32),
                _ => Ok(()),
            }
        }
        code if code & 0x07 == JMP && matches!(code & 0xf0, JEQ | JGT | JGE | JSET) && code & !0xff == 0 => {
            inside(instruction.jt.into()).and_then(|()| inside(instruction.jf.into()))
        }
        _ => Err(Invalid::Code(at)),
    }
}

const fn is_arithmetic(operation: u16) -> bool {
    matches!(operation, ADD | SUB | MUL | DIV | OR | AND | LSH | RSH | XOR)
}

/// Checks that memory is written before it is read, on whatever way. All jumps lead forward, so one pass is enough: what
/// is known at an instruction is what all that lead to it have written.
fn check_memory(instructions: &[Instruction]) -> Result<(), Invalid> {
    let mut written_at = vec![u16::MAX; instructions.len()];
    // What was written on the way that falls through to the next instruction; all, where none does.
    let mut written = 0_u16;
    for (at, instruction) in instructions.iter().enumerate() {
        written &= written_at.get(at).copied().unwrap_or(0);
        let bit = 1_u16.checked_shl(instruction.k).unwrap_or(0);
        let mut meet = |skip: u32| {
            let target = usize::try_from(skip).ok().and_then(|skip| at.checked_add(1)?.checked_add(skip));
            if let Some(known) = target.and_then(|target| written_at.get_mut(target)) {
                *known &= written;
            }
        };
        match instruction.code {
            code if code == ST || code == STX => written |= bit,
            code if (code == LD | MEM || code == LDX | MEM) && written & bit == 0 => {
                return Err(Invalid::Unwritten(at));
            }
            code if code == JMP | JA => {
                meet(instruction.k);
                written = u16::MAX;
            }
            code if code & 0x07 == JMP => {
                meet(instruction.jt.into());
                meet(instruction.jf.into());
                written = u16::MAX;
            }
            _ => {}
        }
    }
    Ok(())
}
