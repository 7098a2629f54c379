//! Programs that were checked, and their interpreter.

use crate::check::{Invalid, MEMORY_WORDS, check};
use crate::opcode::{
    A, ABS, ADD, ALU, AND, DIV, JEQ, JGE, JGT, JMP, JSET, LD, LDX, LEN, LSH, MEM, MUL, OR, RET, RSH, ST, STX,
    SUB, TXA, X, XOR,
};
use crate::{Data, Instruction};

/// Most instructions of a program (`BPF_MAXINSNS`).
pub const MAX_INSTRUCTIONS: usize = 4096;

/// A program that was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program(Box<[Instruction]>);

/// What a program says to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The value that it returned: `SECCOMP_RET_*` with its data.
    pub value: u32,
    /// Whether it would say the same to every call of that number: it has looked at nothing but the number and the
    /// architecture.
    pub is_constant: bool,
}

/// What a program works with.
struct Machine<'a> {
    data: &'a Data,
    a: u32,
    x: u32,
    memory: [u32; MEMORY_WORDS],
    is_constant: bool,
}

impl Program {
    /// Checks a program.
    ///
    /// # Errors
    ///
    /// Where Linux says `EINVAL`.
    pub fn new(instructions: impl Into<Box<[Instruction]>>) -> Result<Self, Invalid> {
        let instructions = instructions.into();
        check(&instructions)?;
        Ok(Self(instructions))
    }

    /// Returns its instructions.
    #[must_use]
    pub fn instructions(&self) -> &[Instruction] {
        &self.0
    }

    /// Runs it on a call.
    #[must_use]
    pub fn run(&self, data: &Data) -> Verdict {
        let mut machine = Machine { data, a: 0, x: 0, memory: [0; MEMORY_WORDS], is_constant: true };
        let mut rest = self.0.iter();
        while let Some(instruction) = rest.next() {
            match machine.step(instruction) {
                Step::Skip(0) => {}
                // All jumps lead forward and to an instruction.
                Step::Skip(count) => rest = rest.as_slice().get(count..).unwrap_or_default().iter(),
                Step::Return(value) => return Verdict { value, is_constant: machine.is_constant },
            }
        }
        // Not reached: the last instruction returns. 0 kills the thread.
        Verdict { value: 0, is_constant: false }
    }
}

/// What follows an instruction.
enum Step {
    /// The next instruction, or one that is so many behind it.
    Skip(usize),
    /// The end.
    Return(u32),
}

impl Machine<'_> {
    fn step(&mut self, instruction: &Instruction) -> Step {
        let Instruction { code, jt, jf, k } = *instruction;
        let operand = if code & X == 0 { k } else { self.x };
        match code & 0x07 {
            LD => self.a = self.load(code, k),
            LDX => self.x = self.load(code, k),
            ST | STX => {
                let value = if code == ST { self.a } else { self.x };
                if let Some(word) = memory_index(k).and_then(|index| self.memory.get_mut(index)) {
                    *word = value;
                }
            }
            ALU => match self.compute(code & 0xf0, operand) {
                Some(value) => self.a = value,
                // As in Linux a division by zero ends the program with 0, which kills the thread.
                None => return Step::Return(0),
            },
            JMP => {
                let holds = match code & 0xf0 {
                    JEQ => self.a == operand,
                    JGT => self.a > operand,
                    JGE => self.a >= operand,
                    JSET => self.a & operand != 0,
                    _ => return Step::Skip(usize::try_from(k).unwrap_or(usize::MAX)),
                };
                return Step::Skip(usize::from(if holds { jt } else { jf }));
            }
            RET => return Step::Return(if code & A == 0 { k } else { self.a }),
            _ if code & TXA == 0 => self.x = self.a,
            _ => self.a = self.x,
        }
        Step::Skip(0)
    }

    fn load(&mut self, code: u16, k: u32) -> u32 {
        match code & 0xe0 {
            ABS => {
                self.is_constant &= k < Data::ARCHITECTURE.saturating_add(4);
                self.data.word(k).unwrap_or(0)
            }
            MEM => memory_index(k).and_then(|index| self.memory.get(index)).copied().unwrap_or(0),
            LEN => Data::BYTES,
            _ => k,
        }
    }

    fn compute(&self, operation: u16, operand: u32) -> Option<u32> {
        let a = self.a;
        Some(match operation {
            ADD => a.wrapping_add(operand),
            SUB => a.wrapping_sub(operand),
            MUL => a.wrapping_mul(operand),
            DIV => a.checked_div(operand)?,
            OR => a | operand,
            AND => a & operand,
            LSH => a.wrapping_shl(operand),
            RSH => a.wrapping_shr(operand),
            XOR => a ^ operand,
            _ => a.wrapping_neg(),
        })
    }
}

fn memory_index(k: u32) -> Option<usize> {
    usize::try_from(k).ok()
}
