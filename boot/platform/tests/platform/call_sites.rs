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
    let space = sandbox.space();
    let file = file_of(&[[0x90].as_slice(), &CALL, then].concat());
    let backing = Backing::Private { file: file.as_fd(), offset: 0 };
    space.map(pages(TEXT, 1), Protection::READ | Protection::EXECUTE, backing).unwrap();
    space.map(pages(DATA, 1), RW, Backing::Anonymous).unwrap();
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
            assert_eq!(left, Registers { rip: 0, orig_rax: 0, rbx: 0, eflags: 0, ..full() });
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
