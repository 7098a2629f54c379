//! The codes of instructions (`linux/bpf_common.h`, `linux/filter.h`): a class, with a size and mode or an operation and
//! the source of its second operand.

/// Loads into the accumulator.
pub const LD: u16 = 0x00;
/// Loads into the index register.
pub const LDX: u16 = 0x01;
/// Stores the accumulator in memory.
pub const ST: u16 = 0x02;
/// Stores the index register in memory.
pub const STX: u16 = 0x03;
/// Computes in the accumulator.
pub const ALU: u16 = 0x04;
/// Jumps.
pub const JMP: u16 = 0x05;
/// Ends the program.
pub const RET: u16 = 0x06;
/// Moves between the registers.
pub const MISC: u16 = 0x07;

/// Mode: the constant itself.
pub const IMM: u16 = 0x00;
/// Mode: a word of the call's data, by its offset in bytes.
pub const ABS: u16 = 0x20;
/// Mode: a word of memory.
pub const MEM: u16 = 0x60;
/// Mode: the size of the call's data.
pub const LEN: u16 = 0x80;

/// Addition.
pub const ADD: u16 = 0x00;
/// Subtraction.
pub const SUB: u16 = 0x10;
/// Multiplication.
pub const MUL: u16 = 0x20;
/// Division.
pub const DIV: u16 = 0x30;
/// Bitwise or.
pub const OR: u16 = 0x40;
/// Bitwise and.
pub const AND: u16 = 0x50;
/// Shift to the left.
pub const LSH: u16 = 0x60;
/// Shift to the right.
pub const RSH: u16 = 0x70;
/// Negation.
pub const NEG: u16 = 0x80;
/// Bitwise exclusive or.
pub const XOR: u16 = 0xa0;

/// Jump always.
pub const JA: u16 = 0x00;
/// Jump if equal.
pub const JEQ: u16 = 0x10;
/// Jump if greater.
pub const JGT: u16 = 0x20;
/// Jump if greater or equal.
pub const JGE: u16 = 0x30;
/// Jump if a bit of both is set.
pub const JSET: u16 = 0x40;

/// The second operand is the constant.
pub const K: u16 = 0x00;
/// The second operand is the index register.
pub const X: u16 = 0x08;
/// What is returned is the accumulator.
pub const A: u16 = 0x10;

/// Moves the accumulator to the index register.
pub const TAX: u16 = 0x00;
/// Moves the index register to the accumulator.
pub const TXA: u16 = 0x80;
