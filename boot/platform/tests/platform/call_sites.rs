//! Call sites that systrap patches: the guest must not be able to tell.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cloister_abi::Registers;
use cloister_platform::{AddressSpace, Backing, FpuState, Protection, Thread, Trap};

use crate::common::{DATA, PAGE, RW, Sandbox, TEXT, file_of, pages};

/// Where the site begins, and where its call goes on.
const SITE: u64 = TEXT + 1;
const AFTER: u64 = SITE + 7;
const NUMBER: u32 = 110;
/// `mov $110, %eax; syscall`.
const CALL: [u8; 7] = [0xb8, 110, 0, 0, 0, 0x0f, 0x05];
/// More traps than a site needs to be patched.
pub(crate) const MANY: u64 = 40;

/// A thread whose program is `nop`, the call, and `then`; in a private mapping of a file.
fn program(sandbox: &Sandbox, then: &[u8]) -> (Arc<dyn AddressSpace>, Arc<dyn Thread>) {
    let space = space(sandbox, then);
    let thread = sandbox.spawn(&space, 0);
    (space, thread)
}

/// An address space with such a program, and a page of data.
pub(crate) fn space(sandbox: &Sandbox, then: &[u8]) -> Arc<dyn AddressSpace> {
    let space = text(sandbox, &[[0x90].as_slice(), &CALL, then].concat());
    space.map(pages(DATA, 1), RW, Backing::Anonymous).unwrap();
    space
}

/// An address space with code in a private mapping of a file.
pub(crate) fn text(sandbox: &Sandbox, code: &[u8]) -> Arc<dyn AddressSpace> {
    let space = sandbox.space();
    let file = file_of(code);
    let backing = Backing::Private { file: file.as_fd(), offset: 0 };
    space.map(pages(TEXT, 1), Protection::READ | Protection::EXECUTE, backing).unwrap();
    space
}

/// Goes back to the call without changing a flag: `jmp`.
pub(crate) const AGAIN: [u8; 2] = [0xeb, 0xf7];
/// The same, but counts in `rbx` first: `inc %rbx; jmp`.
const COUNT: [u8; 5] = [0x48, 0xff, 0xc3, 0xeb, 0xf4];

fn site(space: &dyn AddressSpace) -> [u8; 7] {
    let mut bytes = [0; 7];
    assert_eq!(space.read(SITE, &mut bytes), 7);
    bytes
}

pub(crate) fn is_patched(space: &dyn AddressSpace) -> bool {
    let bytes = site(space);
    assert!(bytes == CALL || bytes.starts_with(&[0xff, 0x24, 0x25]), "{bytes:x?}");
    bytes != CALL
}

/// Registers that differ from each other, and flags that a program can have.
pub(crate) fn full() -> Registers {
    Registers {
        r8: 8,
        r9: 9,
        r10: 10,
        r12: 12,
        r13: 13,
        r14: 14,
        r15: 15,
        rdi: 1 << 63,
        rsi: u64::MAX,
        rbp: 5,
        rbx: 3,
        rdx: 2,
        fs_base: 0x1234_5000,
        eflags: Registers::INITIAL_EFLAGS | 0xcd5, // CF, PF, AF, ZF, SF, DF, OF
        ..Registers::start_at(SITE, DATA + PAGE)
    }
}

/// The registers at a trap of the site.
pub(crate) fn at_call(registers: &Registers) -> Registers {
    Registers {
        rip: AFTER,
        rcx: AFTER,
        r11: registers.eflags,
        rax: NUMBER.into(),
        orig_rax: NUMBER.into(),
        ..*registers
    }
}

/// Has the thread make calls until its site is patched; it is at a call then.
fn make_calls(sandbox: &Sandbox, thread: &dyn Thread, registers: &Registers) {
    thread.resume(registers);
    for result in 0..MANY {
        let (trap, registers) = sandbox.next_trap();
        assert_eq!((trap, registers.rip), (Trap::Syscall, AFTER));
        thread.resume(&Registers { rax: result, ..registers });
    }
    assert_eq!(sandbox.next_trap().0, Trap::Syscall);
}

#[test]
fn all_registers_and_the_red_zone_are_kept() {
    let sandbox = Sandbox::on_systrap();
    let (space, thread) = program(&sandbox, &AGAIN);
    let stack = [0xa5; 4096];
    assert_eq!(space.write(DATA, &stack), stack.len());
    thread.resume(&full());
    for result in 0..MANY {
        let (trap, registers) = sandbox.next_trap();
        assert_eq!((trap, registers), (Trap::Syscall, at_call(&full())), "call {result}");
        thread.resume(&Registers { rax: result, ..registers });
    }
    assert!(is_patched(&*space));
    let mut after = [0; 4096];
    space.read(DATA, &mut after);
    assert_eq!(after, stack);
}

#[test]
fn the_result_and_other_registers_can_be_set() {
    let sandbox = Sandbox::on_systrap();
    // cmp $77, %rax; je AGAIN; ud2
    let (space, thread) = program(&sandbox, &[0x48, 0x83, 0xf8, 77, 0x74, 0xf3, 0x0f, 0x0b]);
    thread.resume(&full());
    for _ in 0..MANY {
        let (trap, registers) = sandbox.next_trap();
        assert_eq!((trap, registers.rip), (Trap::Syscall, AFTER));
        thread.resume(&Registers { rax: 77, ..registers });
    }
    assert!(is_patched(&*space));
    let (_, registers) = sandbox.next_trap();
    let changed = Registers { rip: AFTER + 6, rbx: 0xdead, rsp: DATA + 64, fs_base: DATA, ..registers };
    thread.resume(&changed);
    let (trap, registers) = sandbox.next_trap();
    assert!(matches!(trap, Trap::Exception(exception) if exception.signal == libc::SIGILL), "{trap:?}");
    assert_eq!((registers.rbx, registers.rsp, registers.fs_base), (0xdead, DATA + 64, DATA));
}

#[test]
fn floating_point_registers_are_kept_and_can_be_set() {
    let sandbox = Sandbox::on_systrap();
    let (space, thread) = program(&sandbox, &AGAIN);
    let mut bytes = FpuState::initial().bytes().to_vec();
    bytes[160] = 99; // xmm0
    bytes[512] |= 2; // XSTATE_BV: SSE
    let state = FpuState::from_bytes(bytes);
    thread.resume(&full());
    assert_eq!(sandbox.next_trap().0, Trap::Syscall);
    thread.set_fpu(&state).unwrap();
    make_calls(&sandbox, &*thread, &full());
    assert!(is_patched(&*space));
    assert_eq!(thread.fpu().unwrap().bytes()[160], 99);
    // It is still at the call.
    thread.resume(&full());
    assert_eq!(sandbox.next_trap(), (Trap::Syscall, at_call(&full())));
    thread.set_fpu(&FpuState::initial()).unwrap();
    thread.resume(&full());
    assert_eq!(sandbox.next_trap(), (Trap::Syscall, at_call(&full())));
    assert_eq!(thread.fpu().unwrap().bytes()[160], 0);
}

#[test]
fn jumps_to_the_second_instruction_are_calls() {
    let sandbox = Sandbox::on_systrap();
    let (space, thread) = program(&sandbox, &AGAIN);
    make_calls(&sandbox, &*thread, &full());
    assert!(is_patched(&*space));
    for number in [39, NUMBER.into()] {
        thread.resume(&Registers { rip: SITE + 5, rax: number, ..full() });
        let (trap, registers) = sandbox.next_trap();
        let expected = Registers { rax: number, orig_rax: number, ..at_call(&full()) };
        assert_eq!((trap, registers), (Trap::Syscall, expected));
    }
}

#[test]
fn a_guest_can_have_gs() {
    let sandbox = Sandbox::on_systrap();
    let (space, thread) = program(&sandbox, &AGAIN);
    make_calls(&sandbox, &*thread, &full());
    assert!(is_patched(&*space));
    // Its own memory, none, and nowhere.
    for gs_base in [DATA, 0x1000, 0, 0x7000_0000_0000] {
        let before = Registers { gs_base, ..full() };
        thread.resume(&before);
        for _ in 0..3 {
            let (trap, registers) = sandbox.next_trap();
            assert_eq!((trap, registers), (Trap::Syscall, at_call(&before)));
            thread.resume(&registers);
        }
        assert_eq!(sandbox.next_trap().0, Trap::Syscall);
    }
    let mut data = [1; 4096];
    space.read(DATA, &mut data);
    assert_eq!(data, [0; 4096]);
}

#[test]
fn calls_can_be_interrupted_at_any_point() {
    let sandbox = Sandbox::on_systrap();
    let (space, thread) = program(&sandbox, &COUNT);
    make_calls(&sandbox, &*thread, &full());
    assert!(is_patched(&*space));
    let (ends, mut interruptions, mut count) = (AtomicBool::new(false), 0, 1000);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // Not for ever: a failure waits for this.
            for _ in 0..100_000 {
                if ends.load(Ordering::Relaxed) {
                    break;
                }
                thread.interrupt();
                std::thread::sleep(Duration::from_micros(20));
            }
        });
        thread.resume(&Registers { rbx: count, ..full() });
        for _ in 0..4000 {
            let (trap, registers) = sandbox.next_trap();
            let left =
                Registers { rip: 0, rcx: 0, r11: 0, rax: 0, orig_rax: 0, rbx: 0, eflags: 0, ..registers };
            let kept = Registers { rip: 0, orig_rax: 0, rbx: 0, eflags: 0, ..full() };
            assert_eq!(left, kept, "{trap:?} after {count} calls and {interruptions} interruptions");
            match trap {
                Trap::Syscall => {
                    assert_eq!(
                        (registers.rip, registers.orig_rax, registers.rbx),
                        (AFTER, NUMBER.into(), count)
                    );
                    count += 1;
                }
                Trap::Interrupted => {
                    interruptions += 1;
                    assert!((SITE..AFTER + 5).contains(&registers.rip), "{:#x}", registers.rip);
                    let counted = count - u64::from(registers.rip == AFTER);
                    assert_eq!(registers.rbx, counted, "{:#x}", registers.rip);
                }
                other => panic!("{other:?} with {registers:x?}"),
            }
            thread.resume(&Registers { orig_rax: u64::MAX, ..registers });
        }
        ends.store(true, Ordering::Relaxed);
    });
    assert!(interruptions > 10, "{interruptions}");
}

#[test]
fn copies_have_the_patches_and_moved_text_has_none() {
    let sandbox = Sandbox::on_systrap();
    let (space, thread) = program(&sandbox, &AGAIN);
    make_calls(&sandbox, &*thread, &full());
    let copy = space.fork().unwrap();
    assert!(is_patched(&*copy));
    let child = sandbox.spawn(&copy, 1);
    child.resume(&full());
    for _ in 0..3 {
        let (thread, trap, registers) = sandbox.next_trap_of_any();
        assert_eq!((thread, trap, registers), (1, Trap::Syscall, at_call(&full())));
        child.resume(&registers);
    }
    assert_eq!(sandbox.next_trap_of_any().0, 1);
    let elsewhere = TEXT + 16 * PAGE;
    space.remap(pages(TEXT, 1), pages(elsewhere, 1)).unwrap();
    let mut bytes = [0; 7];
    space.read(elsewhere + 1, &mut bytes);
    assert_eq!(bytes, CALL);
    assert!(is_patched(&*copy));
    thread.resume(&Registers { rip: elsewhere + 1, ..full() });
    assert_eq!(sandbox.next_trap_of_any().2.rip, elsewhere + 8);
}

#[test]
fn text_is_left_alone_while_another_thread_runs() {
    let sandbox = Sandbox::on_systrap();
    let (space, thread) = program(&sandbox, &[AGAIN, [0xeb, 0xfe]].concat());
    let other = sandbox.spawn(&space, 1);
    other.resume(&Registers { rip: AFTER + 2, ..full() });
    make_calls(&sandbox, &*thread, &full());
    assert!(!is_patched(&*space));
    other.interrupt();
    assert_eq!(sandbox.next_trap_of_any().0, 1);
    make_calls(&sandbox, &*thread, &full());
    assert!(is_patched(&*space));
}

#[test]
fn text_that_can_change_is_left_alone() {
    let sandbox = Sandbox::on_systrap();
    let code = [[0x90].as_slice(), &CALL, &AGAIN].concat();
    let (space, thread) = sandbox.program(&code);
    let start = Registers { rip: crate::common::CODE + 1, ..full() };
    thread.resume(&start);
    for _ in 0..MANY {
        let (trap, registers) = sandbox.next_trap();
        assert_eq!(trap, Trap::Syscall);
        thread.resume(&registers);
    }
    assert!(sandbox.trap_within(Duration::from_secs(10)).is_some());
    let mut bytes = vec![0; code.len()];
    space.read(crate::common::CODE, &mut bytes);
    assert_eq!(bytes, code);
}

/// Where the call of [`compares`] goes on.
const COMPARISON: u64 = TEXT + 12;
/// Counts calls in `rbx`, and goes on calling as long as the result is 77; then `ud2`:
/// `nop; inc %rbx; mov $110, %eax; nop; syscall; cmp $77, %rax; je; ud2`.
const COMPARES: [u8; 22] = [
    0x90, 0x48, 0xff, 0xc3, 0xb8, 110, 0, 0, 0, 0x90, 0x0f, 0x05, 0x48, 0x3d, 77, 0, 0, 0, 0x74, 0xed, 0x0f,
    0x0b,
];

/// A thread that has not called yet, of a program that compares the result of its call.
fn compares(sandbox: &Sandbox, code: &[u8]) -> (Arc<dyn AddressSpace>, Arc<dyn Thread>) {
    let space = text(sandbox, code);
    let thread = sandbox.spawn(&space, 0);
    (space, thread)
}

/// Answers calls with 77 until the site is patched; the thread is at a call then. Returns how many it made.
fn compare_until_patched(sandbox: &Sandbox, thread: &dyn Thread, space: &dyn AddressSpace) -> u64 {
    thread.resume(&Registers { rbx: 0, rip: SITE, ..full() });
    for call in 1..=MANY {
        let (trap, registers) = sandbox.next_trap();
        assert_eq!((trap, registers.rip, registers.rbx), (Trap::Syscall, COMPARISON, call));
        thread.resume(&Registers { rax: 77, ..registers });
    }
    assert_eq!(sandbox.next_trap().1.rbx, MANY + 1);
    let mut bytes = [0; 3];
    space.read(COMPARISON - 2, &mut bytes);
    assert_eq!(bytes, [0xff, 0x24, 0x25]);
    MANY + 1
}

#[test]
fn a_comparison_behind_the_call_is_made() {
    let sandbox = Sandbox::on_systrap();
    let (space, thread) = compares(&sandbox, &COMPARES);
    let calls = compare_until_patched(&sandbox, &*thread, &*space);
    // With a frame and without one.
    for is_framed in [false, true] {
        let registers = Registers { rip: COMPARISON, rbx: calls, rax: 77, ..full() };
        thread.resume(&registers);
        let (trap, registers) = sandbox.next_trap();
        assert_eq!((trap, registers.rip, registers.rbx), (Trap::Syscall, COMPARISON, calls + 1));
        if is_framed {
            thread.fpu().unwrap();
        }
        thread.resume(&Registers { rax: 78, ..registers });
        let (trap, registers) = sandbox.next_trap();
        assert!(matches!(trap, Trap::Exception(exception) if exception.signal == libc::SIGILL), "{trap:?}");
        assert_eq!((registers.rip, registers.rax), (COMPARISON + 8, 78));
    }
}

#[test]
fn threads_that_waited_when_the_site_was_patched_go_on() {
    let sandbox = Sandbox::on_systrap();
    let (space, thread) = compares(&sandbox, &COMPARES);
    let other = sandbox.spawn(&space, 1);
    other.resume(&Registers { rbx: 1000, rip: SITE, ..full() });
    let (_, trap, waiting) = sandbox.next_trap_of_any();
    assert_eq!((trap, waiting.rip, waiting.rbx), (Trap::Syscall, COMPARISON, 1001));
    compare_until_patched(&sandbox, &*thread, &*space);
    other.resume(&Registers { rax: 77, ..waiting });
    let (number, trap, registers) = sandbox.next_trap_of_any();
    assert_eq!((number, trap, registers.rip, registers.rbx), (1, Trap::Syscall, COMPARISON, 1002));
}

#[test]
fn comparisons_can_be_interrupted_and_stepped() {
    let sandbox = Sandbox::on_systrap();
    let (space, thread) = compares(&sandbox, &COMPARES);
    compare_until_patched(&sandbox, &*thread, &*space);
    let trace = Registers::INITIAL_EFLAGS | 0x100; // TF
    thread.resume(&Registers { rip: SITE, rbx: 0, eflags: trace, ..full() });
    let mut steps = Vec::new();
    while steps.len() < 16 {
        let (trap, registers) = sandbox.next_trap();
        assert!(matches!(trap, Trap::Syscall | Trap::Exception(_)), "{trap:?}");
        steps.push((registers.rip - TEXT, trap == Trap::Syscall));
        let rax = if trap == Trap::Syscall { 77 } else { registers.rax };
        thread.resume(&Registers { rax, eflags: registers.eflags | 0x100, ..registers });
    }
    let program = [(4, false), (9, false), (10, false), (12, true), (12, false), (18, false), (1, false)];
    let expected: Vec<_> = program.iter().cycle().copied().take(steps.len()).collect();
    // Whether a step ends behind the call is the host's affair: it does not for the signal.
    steps.retain(|step| *step != (12, false));
    let expected: Vec<_> =
        expected.into_iter().filter(|step| *step != (12, false)).take(steps.len()).collect();
    assert_eq!(steps.get(..expected.len()), Some(&*expected));
}

#[test]
fn a_comparison_that_is_jumped_to_is_left_alone() {
    let sandbox = Sandbox::on_systrap();
    // jmp COMPARISON
    let (space, thread) = compares(&sandbox, &[COMPARES.as_slice(), &[0xeb, 0xf4]].concat());
    thread.resume(&Registers { rip: SITE, ..full() });
    for _ in 0..MANY {
        let (trap, registers) = sandbox.next_trap();
        assert_eq!(trap, Trap::Syscall);
        thread.resume(&Registers { rax: 77, ..registers });
    }
    assert_eq!(sandbox.next_trap().0, Trap::Syscall);
    let mut bytes = COMPARES;
    space.read(TEXT, &mut bytes);
    assert_eq!(bytes, COMPARES);
}
