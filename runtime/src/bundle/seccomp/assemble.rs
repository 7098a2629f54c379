//! From decisions to a program.

use cloister_bpf::opcode::{JEQ, JGE};
use cloister_bpf::{Data, Instruction};

use super::{Decision, Rule, condition};

/// `AUDIT_ARCH_X86_64`.
const ARCHITECTURE: u32 = 0xc000_003e;

/// `SECCOMP_RET_KILL_PROCESS`.
const KILL_PROCESS: u32 = 0x8000_0000;

/// Makes the program. A segment is a range of call numbers, which begins at its number and ends where the next begins; of
/// those that begin at the same number the last counts. The first begins at 0. `default` is the value of calls whose
/// conditions do not hold.
///
/// The range is found by bisection, in as many tests as the logarithm of their number.
pub(super) fn program(segments: Vec<(u32, Decision)>, default: u32) -> Vec<Instruction> {
    let mut merged: Vec<(u32, Decision)> = Vec::with_capacity(segments.len());
    for (start, decision) in segments {
        if merged.last().is_some_and(|(last, _)| *last == start) {
            merged.pop();
        }
        if merged.last().is_none_or(|(_, last)| *last != decision) {
            merged.push((start, decision));
        }
    }
    let mut program = vec![
        Instruction::load(Data::ARCHITECTURE),
        Instruction::jump_if(JEQ, ARCHITECTURE, 1, 0),
        Instruction::ret(KILL_PROCESS),
        Instruction::load(Data::NUMBER),
    ];
    append_search(&mut program, &merged, default);
    program
}

fn append_search(program: &mut Vec<Instruction>, segments: &[(u32, Decision)], default: u32) {
    let (lower, upper) = segments.split_at(segments.len() / 2);
    match (lower, upper) {
        ([], []) => {}
        ([], [(_, decision), ..]) => append_decision(program, decision, default),
        (_, [(start, _), ..]) => {
            let mut below = Vec::new();
            append_search(&mut below, lower, default);
            append_skip(program, *start, below.len());
            program.extend(below);
            append_search(program, upper, default);
        }
        (_, []) => append_search(program, lower, default),
    }
}

/// Skips `len` instructions if the number is `start` or more.
fn append_skip(program: &mut Vec<Instruction>, start: u32, len: usize) {
    if let Ok(len) = u8::try_from(len) {
        program.push(Instruction::jump_if(JGE, start, len, 0));
    } else {
        program.push(Instruction::jump_if(JGE, start, 0, 1));
        program.push(Instruction::jump(u32::try_from(len).unwrap_or(u32::MAX)));
    }
}

fn append_decision(program: &mut Vec<Instruction>, decision: &Decision, default: u32) {
    match decision {
        Decision::Always(value) => program.push(Instruction::ret(*value)),
        Decision::Rules(rules) => {
            rules.iter().for_each(|rule| append_rule(program, rule));
            program.push(Instruction::ret(default));
        }
    }
}

/// Appends a rule: it returns, or falls through if its conditions do not hold.
fn append_rule(program: &mut Vec<Instruction>, rule: &Rule) {
    let mut left: usize = rule.conditions.iter().map(|one| condition::len(*one)).sum();
    for one in &rule.conditions {
        left -= condition::len(*one);
        // Behind the other conditions is the return.
        condition::append(program, *one, left + 1);
    }
    program.push(Instruction::ret(rule.value));
}
