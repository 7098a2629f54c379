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

/// `mov $110, %rax; syscall`, and again.
const LONG_CALL: [u8; 11] = [0x48, 0xc7, 0xc0, 110, 0, 0, 0, 0x0f, 0x05, 0xeb, 0xf5];

#[test]
fn calls_after_long_instructions_are_patched() {
    let sandbox = Sandbox::on_systrap();
    let code = [[0x90].as_slice(), &LONG_CALL].concat();
    let space = text(&sandbox, &code);
    let thread = sandbox.spawn(&space, 0);
    let (start, after) = (TEXT + 1, TEXT + 10);
    let begin = Registers { rip: start, ..full() };
    let expected = Registers { rip: after, rcx: after, ..at_call(&full()) };
    call_often(&sandbox, &*thread, &begin);
    let mut bytes = vec![0; code.len()];
    space.read(TEXT, &mut bytes);
    assert_eq!(bytes[1..4], [0xff, 0x24, 0x25]);
    assert_eq!(bytes[8..], code[8..], "the rest stays");
    // From the beginning, and from the second instruction, for another call.
    for (rip, number) in [(start, 110), (after - 2, 39), (start, 110)] {
        thread.resume(&Registers { rip, rax: number, ..full() });
        let expected = Registers { rax: number, orig_rax: number, ..expected };
        assert_eq!(sandbox.next_trap(), (Trap::Syscall, expected), "{rip:#x}");
    }
}
