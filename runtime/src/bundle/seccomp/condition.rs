//! A condition on an argument of a call, which has 64 bits, while a program computes with 32.

use cloister_bpf::opcode::{JEQ, JGE, JGT};
use cloister_bpf::{Data, Instruction};
use oci_spec::runtime::{LinuxSeccompArg, LinuxSeccompOperator as Operator};

/// Where a test leads to.
#[derive(Clone, Copy)]
enum To {
    /// The next instruction.
    Next,
    /// Behind the condition, which holds.
    Holds,
    /// Out: it does not hold.
    Fails,
}

/// An instruction, with where it jumps to if it is a test.
type Step = (Instruction, To, To);

/// Appends the instructions of a condition: they fall through if it holds, and skip `fails` more if not.
pub(super) fn append(program: &mut Vec<Instruction>, condition: LinuxSeccompArg, fails: usize) {
    let steps = steps(condition);
    let count = steps.len();
    for (at, (mut instruction, holds, other)) in steps.into_iter().enumerate() {
        let behind = count - at - 1;
        let skip = |to: To| match to {
            To::Next => 0,
            To::Holds => behind,
            To::Fails => behind + fails,
        };
        // A rule has at most six conditions of at most seven instructions.
        let short = |skip: usize| u8::try_from(skip).expect("the conditions of one rule are short");
        (instruction.jt, instruction.jf) = (short(skip(holds)), short(skip(other)));
        program.push(instruction);
    }
}

/// The number of instructions of a condition.
pub(super) fn len(condition: LinuxSeccompArg) -> usize {
    steps(condition).len()
}

#[expect(clippy::cast_possible_truncation, reason = "the halves are what is wanted")]
const fn halves(value: u64) -> (u32, u32) {
    ((value >> 32) as u32, value as u32)
}

fn steps(condition: LinuxSeccompArg) -> Vec<Step> {
    use To::{Fails, Holds, Next};
    let low_word = Data::argument(u32::try_from(condition.index()).expect("the index was checked"));
    let plain = |instruction| (instruction, Next, Next);
    let test = |test, k, holds, other| (Instruction::jump_if(test, k, 0, 0), holds, other);
    let (load_high, load_low) = (plain(Instruction::load(low_word + 4)), plain(Instruction::load(low_word)));
    let (high, low) = halves(condition.value());
    match condition.op() {
        Operator::ScmpCmpEq => {
            vec![load_high, test(JEQ, high, Next, Fails), load_low, test(JEQ, low, Next, Fails)]
        }
        Operator::ScmpCmpNe => {
            vec![load_high, test(JEQ, high, Next, Holds), load_low, test(JEQ, low, Fails, Next)]
        }
        Operator::ScmpCmpGt | Operator::ScmpCmpGe => {
            let last = if condition.op() == Operator::ScmpCmpGt { JGT } else { JGE };
            vec![
                load_high,
                test(JGT, high, Holds, Next),
                test(JEQ, high, Next, Fails),
                load_low,
                test(last, low, Next, Fails),
            ]
        }
        Operator::ScmpCmpLt | Operator::ScmpCmpLe => {
            let last = if condition.op() == Operator::ScmpCmpLt { JGE } else { JGT };
            vec![
                load_high,
                test(JGT, high, Fails, Next),
                test(JEQ, high, Next, Holds),
                load_low,
                test(last, low, Fails, Next),
            ]
        }
        Operator::ScmpCmpMaskedEq => {
            // The first value is the mask, the second what is compared under it.
            let (high_mask, low_mask) = (high, low);
            let (high, low) = halves(condition.value_two().unwrap_or(0) & condition.value());
            vec![
                load_high,
                plain(Instruction::and(high_mask)),
                test(JEQ, high, Next, Fails),
                load_low,
                plain(Instruction::and(low_mask)),
                test(JEQ, low, Next, Fails),
            ]
        }
    }
}
