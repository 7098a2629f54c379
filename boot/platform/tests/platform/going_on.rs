//! Threads at patched call sites that go on with other registers than a result: signals, and returns from them.

use std::sync::Arc;

use cloister_abi::Registers;
use cloister_platform::{AddressSpace, FpuState, Thread, Trap};

use crate::call_sites::{AGAIN, MANY, at_call, full, is_patched, space, text};
use crate::common::{DATA, Sandbox, TEXT};

/// Behind the call of [`waits`]: `jmp` to itself.
const WAIT: u64 = TEXT + 10;

/// A thread at a patched site, whose program calls again and again; behind that, one that waits.
fn at_site(sandbox: &Sandbox) -> (Arc<dyn AddressSpace>, Arc<dyn Thread>) {
    let space = space(sandbox, &[AGAIN, [0xeb, 0xfe]].concat());
    let thread = sandbox.spawn(&space, 0);
    call_often(sandbox, &*thread, &full());
    assert!(is_patched(&*space));
    (space, thread)
}

/// Has a thread make calls with `registers` until their site is patched; it is at a call then.
fn call_often(sandbox: &Sandbox, thread: &dyn Thread, registers: &Registers) {
    thread.resume(registers);
    for _ in 0..MANY {
        let (trap, at_call) = sandbox.next_trap();
        assert_eq!((trap, at_call.rip), (Trap::Syscall, at_call.rcx));
        thread.resume(&at_call);
    }
    assert_eq!(sandbox.next_trap().0, Trap::Syscall);
}

/// Registers of which none is what a call leaves there.
fn others(round: u64) -> Registers {
    Registers {
        r8: round,
        r9: round + 1,
        r10: round + 2,
        r11: round + 3,
        r12: round + 4,
        r13: round + 5,
        r14: round + 6,
        r15: round + 7,
        rdi: round + 8,
        rsi: round + 9,
        rbp: round + 10,
        rbx: round + 11,
        rdx: round + 12,
        rax: round + 13,
        rcx: round + 14,
        rsp: DATA + 8 * (round % 64),
        rip: WAIT,
        eflags: if round.is_multiple_of(2) { full().eflags } else { Registers::INITIAL_EFLAGS },
        ..full()
    }
}

/// A state with `value` in the first vector register.
fn vectors(value: u8) -> FpuState {
    let mut bytes = FpuState::initial().bytes().to_vec();
    bytes[160] = value;
    bytes[512] |= 2; // XSTATE_BV: SSE
    FpuState::from_bytes(bytes)
}

fn first_vector(thread: &dyn Thread) -> u8 {
    thread.fpu().unwrap().bytes()[160]
}

#[test]
fn registers_arrive_wherever_the_thread_is_interrupted() {
    let sandbox = Sandbox::on_systrap();
    let (_space, thread) = at_site(&sandbox);
    let mut expected_vector = 0;
    for round in 0..3000 {
        // With and without vector registers, which are the thread's own otherwise.
        if round % 3 != 0 {
            expected_vector = u8::try_from(round % 251).unwrap();
            thread.set_fpu(&vectors(expected_vector)).unwrap();
        }
        // The interruption comes while it wakes up, while it restores them, or later.
        thread.resume(&others(round));
        (0..round % 64).for_each(|_| std::hint::spin_loop());
        thread.interrupt();
        let (trap, registers) = sandbox.next_trap();
        let expected = Registers { orig_rax: registers.orig_rax, ..others(round) };
        assert_eq!((trap, registers), (Trap::Interrupted, expected), "round {round}");
        assert_eq!(first_vector(&*thread), expected_vector, "round {round}");
        thread.resume(&full());
        assert_eq!(sandbox.next_trap(), (Trap::Syscall, at_call(&full())), "round {round}");
    }
}

#[test]
fn vector_registers_are_told_and_kept() {
    let sandbox = Sandbox::on_systrap();
    let (_space, thread) = at_site(&sandbox);
    for round in 1..100 {
        thread.set_fpu(&vectors(round)).unwrap();
        assert_eq!(first_vector(&*thread), round, "as it was set");
        thread.resume(&full());
        assert_eq!(sandbox.next_trap(), (Trap::Syscall, at_call(&full())));
        assert_eq!(first_vector(&*thread), round, "as the thread has it");
        let saved = thread.fpu().unwrap();
        thread.set_fpu(&FpuState::initial()).unwrap();
        thread.set_fpu(&saved).unwrap();
        // A step goes by a frame.
        let steps = Registers { eflags: full().eflags | 0x100, rip: WAIT, ..full() };
        thread.resume(&steps);
        let (trap, registers) = sandbox.next_trap();
        assert!(matches!(trap, Trap::Exception(exception) if exception.signal == libc::SIGTRAP), "{trap:?}");
        assert_eq!((registers.rip, first_vector(&*thread)), (WAIT, round));
        thread.resume(&full());
        assert_eq!(sandbox.next_trap(), (Trap::Syscall, at_call(&full())));
    }
}

#[test]
fn states_that_the_processor_refuses_change_nothing() {
    let sandbox = Sandbox::on_systrap();
    let (_space, thread) = at_site(&sandbox);
    thread.set_fpu(&vectors(7)).unwrap();
    for (offset, value) in [(26, 1), (512 + 8, 1), (512 + 7, 0x80), (512 + 63, 1)] {
        let mut bytes = vectors(8).bytes().to_vec();
        bytes[offset] = value; // MXCSR, XCOMP_BV, a component that there is not, reserved
        thread.set_fpu(&FpuState::from_bytes(bytes)).unwrap_err();
    }
    assert_eq!(first_vector(&*thread), 7);
    thread.resume(&full());
    assert_eq!(sandbox.next_trap(), (Trap::Syscall, at_call(&full())));
    assert_eq!(first_vector(&*thread), 7);
}

/// Where the instruction of seven bytes is in the program that [`long_call`] makes, and where its call goes on.
const LONG: u64 = TEXT + 6;
const AFTER_LONG: u64 = LONG + 9;

/// Has a thread make calls by `mov $110, %eax`, `instruction`, `syscall`, again and again. Returns it, with its memory, at
/// a call, and whether the site is patched.
fn long_call(sandbox: &Sandbox, instruction: [u8; 7]) -> (Arc<dyn AddressSpace>, Arc<dyn Thread>, bool) {
    let code = [[0x90, 0xb8, 110, 0, 0, 0].as_slice(), &instruction, &[0x0f, 0x05, 0xeb, 0xf0]].concat();
    let space = text(sandbox, &code);
    let thread = sandbox.spawn(&space, 0);
    call_often(sandbox, &*thread, &Registers { rip: TEXT + 1, ..full() });
    let mut bytes = vec![0; code.len()];
    space.read(TEXT, &mut bytes);
    let is_patched = bytes[6..9] == [0xff, 0x24, 0x25];
    assert_eq!((&bytes[..6], &bytes[13..]), (&code[..6], &code[13..]), "the rest stays");
    (space, thread, is_patched || bytes[6..13] != instruction)
}

#[test]
fn calls_behind_instructions_that_can_be_moved_are_patched() {
    let sandbox = Sandbox::on_systrap();
    let call = Registers { rip: AFTER_LONG, rcx: AFTER_LONG, ..at_call(&full()) };
    for (instruction, expected) in [
        // mov $110, %rax; mov $-2, %r9
        ([0x48, 0xc7, 0xc0, 110, 0, 0, 0], call),
        ([0x49, 0xc7, 0xc1, 0xfe, 0xff, 0xff, 0xff], Registers { r9: u64::MAX - 1, ..call }),
        // lea 0x1000(%rip), %rsi; lea -16(%rip), %r10
        ([0x48, 0x8d, 0x35, 0, 0x10, 0, 0], Registers { rsi: LONG + 7 + 0x1000, ..call }),
        ([0x4c, 0x8d, 0x15, 0xf0, 0xff, 0xff, 0xff], Registers { r10: LONG + 7 - 16, ..call }),
        // lea 0x200(%rbx), %rsi; lea -1(%r13), %r8
        ([0x48, 0x8d, 0xb3, 0, 2, 0, 0], Registers { rsi: 0x203, ..call }),
        ([0x4d, 0x8d, 0x85, 0xff, 0xff, 0xff, 0xff], Registers { r8: 12, ..call }),
    ] {
        let (_space, thread, is_patched) = long_call(&sandbox, instruction);
        assert!(is_patched, "{instruction:x?}");
        // From the beginning, from the instruction, and from the call, for another one.
        for (rip, number) in [(TEXT + 1, 110), (LONG, 110), (AFTER_LONG - 2, 39)] {
            thread.resume(&Registers { rip, rax: number, ..full() });
            let mut expected = Registers { rax: number, orig_rax: number, ..expected };
            if rip == AFTER_LONG - 2 {
                expected =
                    Registers { rsi: full().rsi, r8: full().r8, r9: full().r9, r10: full().r10, ..expected };
            }
            assert_eq!(sandbox.next_trap(), (Trap::Syscall, expected), "{instruction:x?} from {rip:#x}");
        }
        // Wherever it is interrupted it is at an instruction of its program.
        thread.resume(&Registers { rip: TEXT + 1, ..full() });
        for _ in 0..200 {
            thread.interrupt();
            let (trap, registers) = sandbox.next_trap();
            assert!((TEXT..=AFTER_LONG).contains(&registers.rip), "{trap:?} at {:#x}", registers.rip);
            thread.resume(&Registers { orig_rax: u64::MAX, ..registers });
        }
    }
}

#[test]
fn calls_behind_other_instructions_are_left_alone() {
    let sandbox = Sandbox::on_systrap();
    for instruction in [
        [0x0f, 0x1f, 0x80, 0, 0, 0, 0],          // nop
        [0x48, 0x8d, 0xb6, 1, 0, 0, 0],          // lea 1(%rsi), %rsi
        [0x48, 0x8d, 0xb1, 1, 0, 0, 0],          // lea 1(%rcx), %rsi
        [0x48, 0x8d, 0x0d, 1, 0, 0, 0],          // lea 1(%rip), %rcx
        [0x90, 0x48, 0x8d, 0x74, 0x24, 8, 0x90], // nop; lea 8(%rsp), %rsi; nop
    ] {
        let (_space, _thread, is_patched) = long_call(&sandbox, instruction);
        assert!(!is_patched, "{instruction:x?}");
    }
}
