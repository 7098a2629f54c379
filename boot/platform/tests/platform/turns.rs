//! Guest threads that share a processor, and go on one after the other.

use std::sync::Arc;

use cloister_abi::Registers;
use cloister_platform::{AddressSpace, Thread, Trap};

use crate::common::{DATA, Sandbox, start};
use crate::hostile::{PROGRAM, SLOT, SPIN, slots};
use crate::stub::children;

/// How often threads take turns, so that each is met asleep, about to sleep, and awake.
const ROUNDS: u64 = 300;
/// Code that writes `rax` to what `rdi` points to, again and again.
const WRITE: [u8; 5] = [0x48, 0x89, 0x07, 0xeb, 0xfb]; // mov [rdi], rax; jmp -5
/// Where a slot says whom its thread is to wake.
const NEXT: u64 = 296;

/// Makes an address space with `code`, and a thread that is known by `number`.
fn program(sandbox: &Sandbox, code: &[u8], number: usize) -> (Arc<dyn AddressSpace>, Arc<dyn Thread>) {
    let (space, unused) = sandbox.program(code);
    let thread = sandbox.spawn(&space, number);
    unused.exit();
    (space, thread)
}

/// Has two threads make calls at the same time, and checks that both come each time.
fn take_turns(sandbox: &Sandbox, threads: [&Arc<dyn Thread>; 2]) {
    for round in 0..ROUNDS {
        let order = if round % 3 == 0 { [1, 0] } else { [0, 1] };
        for number in order {
            let rax = 700 + round * 2 + number as u64;
            threads[number].resume(&Registers { rax, ..start() });
        }
        let mut came: Vec<_> = (0..2)
            .map(|_| {
                let (thread, trap, registers) = sandbox.next_trap_of_any();
                assert_eq!(trap, Trap::Syscall);
                (thread, registers.syscall_number())
            })
            .collect();
        came.sort_unstable();
        assert_eq!(came, [(0, 700 + round * 2), (1, 701 + round * 2)]);
    }
}

#[test]
fn threads_of_one_address_space_take_turns() {
    let sandbox = Sandbox::on_systrap();
    let (space, first) = program(&sandbox, &PROGRAM, 0);
    let second = sandbox.spawn(&space, 1);
    take_turns(&sandbox, [&first, &second]);
}

#[test]
fn threads_of_two_address_spaces_take_turns() {
    let sandbox = Sandbox::on_systrap();
    let (_space, first) = program(&sandbox, &PROGRAM, 0);
    let (_other, second) = program(&sandbox, &PROGRAM, 1);
    take_turns(&sandbox, [&first, &second]);
}

#[test]
fn a_thread_does_not_wait_for_one_that_computes() {
    let sandbox = Sandbox::on_systrap();
    let (_space, busy) = program(&sandbox, &PROGRAM, 0);
    let (_other, thread) = program(&sandbox, &PROGRAM, 1);
    busy.resume(&Registers { rip: SPIN, ..start() });
    for number in 700..700 + ROUNDS / 10 {
        thread.resume(&Registers { rax: number, ..start() });
        let (who, trap, registers) = sandbox.next_trap_of_any();
        assert_eq!((who, trap, registers.syscall_number()), (1, Trap::Syscall, number));
    }
}

#[test]
fn a_thread_that_wakes_nobody_keeps_nobody_from_going_on() {
    let sandbox = Sandbox::on_systrap();
    let code: Vec<u8> = PROGRAM.into_iter().chain(WRITE).collect();
    let (space, hostile) = program(&sandbox, &code, 0);
    let slot = slots(*children().last().unwrap()).iter().map(|(slot, _)| *slot).max().unwrap();
    let forger = sandbox.spawn(&space, 2);
    let (_other, victim) = program(&sandbox, &PROGRAM, 1);
    // Both of its neighbours too, of which one is the slot of the thread.
    let rip = start().rip + PROGRAM.len() as u64;
    forger.resume(&Registers { rip, rdi: slot + NEXT, rax: DATA, ..start() });
    take_turns(&sandbox, [&hostile, &victim]);
    assert!(slot.is_multiple_of(SLOT), "what was written to is a slot");
}
