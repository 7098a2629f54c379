//! Guest code that knows how systrap works, and wants more than its share.

use std::collections::HashMap;
use std::os::fd::AsFd;
use std::time::Duration;

use cloister_abi::{Registers, errno};
use cloister_platform::{Backing, FpuState, Trap};
use rustix::process::{Resource, Rlimit};

use crate::common::{CODE, DATA, PAGE, RW, Sandbox, file_of, start};
use crate::stub::{children, mappings};

/// The program of all tests: `syscall; jmp -4` at 0, `jmp rdi` at 4, `jmp $` at 6, and at 8 a loop that writes `rax` to
/// the whole slot at `rdi`, and at 26 one that copies the page at `rbx` to `rbp`.
pub(crate) const PROGRAM: [u8; 42] = [
    0x0f, 0x05, 0xeb, 0xfc, 0xff, 0xe7, 0xeb, 0xfe, // syscall; jmp; jmp rdi; jmp $
    0x48, 0x89, 0xfa, // 1: mov rdx, rdi
    0xb9, 0x00, 0x10, 0x00, 0x00, // mov ecx, 4096
    0xf3, 0x48, 0xab, // rep stosq
    0x48, 0x89, 0xd7, // mov rdi, rdx
    0xeb, 0xf0, 0x90, 0x90, // jmp 1b
    0x48, 0x89, 0xde, // 2: mov rsi, rbx
    0x48, 0x89, 0xef, // mov rdi, rbp
    0xb9, 0x00, 0x02, 0x00, 0x00, // mov ecx, 512
    0xf3, 0x48, 0xa5, // rep movsq
    0xeb, 0xf0, // jmp 2b
];
const JUMP: u64 = CODE + 4;
pub(crate) const SPIN: u64 = CODE + 6;
const SCRIBBLE: u64 = CODE + 8;
pub(crate) const FORGE: u64 = CODE + 26;

/// Returns where the slots in the memory of a process are, with their offsets in the file.
pub(crate) fn slots(pid: i32) -> Vec<(u64, u64)> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
    let hex = |text: &str| u64::from_str_radix(text, 16).unwrap();
    let slots = maps.lines().filter(|line| line.contains("cloister-slots")).flat_map(|line| {
        let words: Vec<_> = line.split_whitespace().collect();
        let (start, end) = words[0].split_once('-').unwrap();
        let (start, end, offset) = (hex(start), hex(end), hex(words[2]));
        // Neighbours are one mapping.
        (0..(end - start) / SLOT).map(move |slot| (start + slot * SLOT, offset + slot * SLOT))
    });
    slots.filter(|(_, offset)| *offset != 0).collect()
}

/// The size of a slot.
pub(crate) const SLOT: u64 = 32768;

/// Returns the stub's code page, and its contents.
fn code_page(pid: i32) -> (u64, Vec<u8>) {
    let map = mappings(pid);
    let (page, ..) = map.iter().find(|(.., name)| name.contains("cloister-stub")).unwrap();
    let mut code = vec![0; 4096];
    let mut local = [std::io::IoSliceMut::new(&mut code)];
    let remote = [nix::sys::uio::RemoteIoVec { base: usize::try_from(*page).unwrap(), len: 4096 }];
    nix::sys::uio::process_vm_readv(nix::unistd::Pid::from_raw(pid), &mut local, &remote).unwrap();
    (*page, code)
}

/// Waits until only `count` stub processes are left.
pub(crate) fn wait_for_deaths(sandbox: &Sandbox, count: usize) {
    for _ in 0..1000 {
        let _ = sandbox.trap_within(Duration::from_millis(10));
        if children().len() == count {
            return;
        }
    }
    assert_eq!(children().len(), count);
}

/// Checks that a thread of another address space goes on as it should.
pub(crate) fn assert_works(sandbox: &Sandbox) {
    let (_space, thread) = sandbox.program(&PROGRAM);
    for number in 0..20 {
        thread.resume(&Registers { rax: 1000 + number, rbx: number, ..start() });
        // Others may trap meanwhile.
        let (_, registers) = (0..100_000)
            .map(|_| sandbox.next_trap())
            .find(|(trap, now)| *trap == Trap::Syscall && now.syscall_number() == 1000 + number)
            .unwrap();
        assert_eq!((registers.rbx, registers.rip), (number, CODE + 2));
    }
    thread.exit();
}

#[test]
fn slots_that_are_scribbled_over_harm_nobody_else() {
    for rubbish in [0, 1, 2, 0x4141_4141_4141_4141, u64::MAX] {
        let sandbox = Sandbox::on_systrap();
        let (space, victim) = sandbox.program(&PROGRAM);
        let pid = *children().last().unwrap();
        let slot = slots(pid).first().unwrap().0;
        let vandal = sandbox.spawn(&space, 1);
        victim.resume(&Registers { rax: 39, ..start() });
        vandal.resume(&Registers { rip: SCRIBBLE, rdi: slot, rax: rubbish, ..start() });
        for _ in 0..200 {
            match sandbox.trap_within(Duration::from_millis(20)) {
                Some((0, Trap::Gone { .. }, _)) | None => break,
                Some((0, ..)) => victim.resume(&Registers { rax: 39, ..start() }),
                Some((_, trap, _)) => assert!(matches!(trap, Trap::Gone { .. }), "{trap:?}"),
            }
        }
        assert_works(&sandbox);
        victim.exit();
        vandal.exit();
    }
}

#[test]
fn a_forged_trap_is_its_threads_own() {
    let sandbox = Sandbox::on_systrap();
    let (space, victim) = sandbox.program(&PROGRAM);
    let pid = *children().last().unwrap();
    let slot = slots(pid).first().unwrap().0;
    victim.resume(&Registers { rip: SPIN, ..start() });
    assert_eq!(sandbox.trap_within(Duration::from_millis(20)), None);
    // What the forger writes: that the thread has trapped, and with which frame and `siginfo_t`.
    let mut words = [0_u64; 512];
    words[0..3].copy_from_slice(&[1, slot + 1024, slot + 2048]);
    words[128 + 5 + 13] = 777; // rax
    words[256..260].copy_from_slice(&[31, 1, 0, 777 | 0xc000_003e << 32]); // SIGSYS, SYS_SECCOMP, the call
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    assert_eq!(space.write(DATA, &bytes), bytes.len());
    let forger = sandbox.spawn(&space, 1);
    forger.resume(&Registers { rip: FORGE, rbx: DATA, rbp: slot, ..start() });
    for _ in 0..20 {
        let (thread, trap, registers) = sandbox.next_forged_trap();
        assert_eq!((thread, trap, registers.syscall_number()), (0, Trap::Syscall, 777));
        assert_eq!(victim.fpu(), Err(errno::EFAULT));
        assert_eq!(victim.set_fpu(&FpuState::initial()), Err(errno::EFAULT));
        victim.resume(&Registers { rip: SPIN, ..start() });
    }
    victim.exit();
    forger.exit();
    wait_for_deaths(&sandbox, 2); // the empty space and the helper
    assert_works(&sandbox);
}

#[test]
fn bases_of_segments_are_the_guests_affair() {
    let sandbox = Sandbox::on_systrap();
    let (_space, thread) = sandbox.program(&PROGRAM);
    for base in [0, 1, DATA, 0x7fff_ffff_f000, 1 << 63, u64::MAX] {
        thread.resume(&Registers { fs_base: base, gs_base: base, ..start() });
        assert_eq!(sandbox.next_trap().0, Trap::Syscall);
    }
    assert_works(&sandbox);
}

#[test]
fn hundreds_of_threads_come_and_go() {
    let sandbox = Sandbox::on_systrap();
    let (space, first) = sandbox.program(&PROGRAM);
    for _ in 0..2 {
        let threads: Vec<_> = (1..300).map(|number| sandbox.spawn(&space, number)).collect();
        threads.iter().for_each(|thread| thread.resume(&start()));
        for _ in &threads {
            assert_eq!(sandbox.next_trap().0, Trap::Syscall);
        }
        // A copy has none of the slots.
        let copy = space.fork().unwrap();
        assert_eq!(slots(*children().last().unwrap()), []);
        drop(copy);
        threads.iter().for_each(|thread| thread.exit());
        wait_for_deaths(&sandbox, 3 + 8); // the empty space, the helper, the first thread, and those that rest
    }
    let mapped = slots(*children().last().unwrap()).len();
    assert_eq!(mapped, 300, "slots of dead threads are used again");
    first.exit();
    assert_works(&sandbox);
}

#[test]
fn a_resting_thread_that_guest_code_wakes_is_no_thread_again() {
    let sandbox = Sandbox::on_systrap();
    let (space, vandal) = sandbox.program(&PROGRAM);
    let thread = sandbox.spawn(&space, 1);
    thread.resume(&start());
    assert_eq!(sandbox.next_trap_of_any().0, 1);
    thread.exit();
    let before = children();
    let [.., resting] = before[..] else { panic!("a process that rests") };
    let (slot, _) = *slots(resting).last().unwrap();

    vandal.resume(&Registers { rip: SCRIBBLE, rdi: slot, ..start() });
    assert_eq!(sandbox.trap_within(Duration::from_millis(50)), None);
    for number in 0..3 {
        let thread = sandbox.spawn(&space, 2);
        assert!(!children().contains(&resting) || number == 0, "it is killed");
        thread.resume(&Registers { rax: 1000 + number, ..start() });
        let (by, trap, registers) = sandbox.next_trap_of_any();
        assert_eq!((by, trap, registers.syscall_number()), (2, Trap::Syscall, 1000 + number));
        thread.exit();
    }
    assert_works(&sandbox);
    vandal.exit();
    drop((space, vandal));
    wait_for_deaths(&sandbox, 1);
}

#[test]
fn system_calls_of_the_stubs_code_are_traps() {
    let sandbox = Sandbox::on_systrap();
    let (_space, thread) = sandbox.program(&PROGRAM);
    let pid = *children().last().unwrap();
    let (page, code) = code_page(pid);
    let calls: Vec<_> = (0_u64..).zip(code.windows(2)).filter(|(_, window)| window == b"\x0f\x05").collect();
    assert!(calls.len() >= 10, "{}", calls.len());
    thread.resume(&start());
    assert_eq!(sandbox.next_trap().0, Trap::Syscall);
    let before = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let processes = children();
    let numbers = [
        libc::SYS_mmap,
        libc::SYS_munmap,
        libc::SYS_clone,
        libc::SYS_openat,
        libc::SYS_execve,
        libc::SYS_kill,
        libc::SYS_tgkill, // of no process
        libc::SYS_futex,  // neither to wait nor to wake
        libc::SYS_prctl,
        libc::SYS_ptrace,
        libc::SYS_seccomp,
        libc::SYS_sigaltstack,
        libc::SYS_close,
        libc::SYS_exit,
        libc::SYS_exit_group,
    ];
    for (offset, _) in calls {
        for number in numbers {
            let rax = u64::try_from(number).unwrap();
            thread.resume(&Registers {
                rip: page + offset,
                rax,
                rdi: 0,
                rsi: DATA,
                rdx: 3,
                r10: 0x22,
                ..start()
            });
            let (trap, registers) = sandbox.next_trap();
            assert_eq!((trap, registers.syscall_number()), (Trap::Syscall, rax));
            assert_eq!(registers.rip, page + offset + 2);
        }
    }
    assert_eq!(std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap(), before);
    assert_eq!(std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count(), 0);
    assert_eq!(children(), processes);
}

#[test]
fn jumps_into_the_stubs_code_harm_nobody_else() {
    let sandbox = Sandbox::on_systrap();
    let (space, first) = sandbox.program(&PROGRAM);
    let pid = *children().last().unwrap();
    let (page, slot) = (code_page(pid).0, slots(pid).first().unwrap().0);
    first.exit();
    for stack in [0, page, slot, slot + SLOT / 2, DATA + PAGE, u64::MAX] {
        for offset in (0x100..0x300).step_by(7) {
            let thread = sandbox.spawn(&space, 1);
            let r = Registers { rip: JUMP, rdi: page + offset, rsp: stack, rbx: slot, rbp: slot, ..start() };
            thread.resume(&r);
            let _ = sandbox.trap_within(Duration::from_millis(1));
            thread.exit();
        }
    }
    while sandbox.trap_within(Duration::from_millis(20)).is_some() {}
    assert_works(&sandbox);
}

/// Writes a frame for `rt_sigreturn(2)` to the page of data. Returns where the stack pointer must be.
fn frame(space: &dyn cloister_platform::AddressSpace, rip: u64, segments: u64) -> u64 {
    let mut words = [0_u64; 38];
    let registers = &mut words[5..];
    registers[15] = DATA + PAGE; // rsp
    registers[16] = rip;
    registers[17] = Registers::INITIAL_EFLAGS;
    registers[18] = segments;
    words[37] = u64::MAX; // the signal mask
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    assert_eq!(space.write(DATA, &bytes), bytes.len());
    DATA
}

#[test]
fn a_thread_that_blocks_all_signals_is_killed_when_it_should_stop() {
    let sandbox = Sandbox::on_systrap();
    let (space, thread) = sandbox.program(&PROGRAM);
    let (page, code) = code_page(*children().last().unwrap());
    let call = page + (0_u64..).zip(code.windows(2)).find(|(_, window)| window == b"\x0f\x05").unwrap().0;
    let segments = Registers::USER_CS | Registers::USER_SS << 48;
    let rsp = frame(&*space, SPIN, segments);
    thread.resume(&Registers { rip: call, rsp, rax: 15, ..start() });
    assert_eq!(sandbox.trap_within(Duration::from_millis(20)), None);
    thread.interrupt();
    assert_eq!(sandbox.next_trap().0, Trap::Gone { signal: libc::SIGKILL });
    assert_works(&sandbox);

    // Where no code can be, and in 32-bit mode: it dies, or is ended.
    for (rip, segments) in [(1 << 63, segments), (SPIN, 0x23 | Registers::USER_SS << 48), (SPIN, 0)] {
        let thread = sandbox.spawn(&space, 0);
        let rsp = frame(&*space, rip, segments);
        thread.resume(&Registers { rip: call, rsp, rax: 15, ..start() });
        let _ = sandbox.trap_within(Duration::from_millis(20));
        thread.exit();
        assert_works(&sandbox);
    }
}

#[test]
fn slots_are_never_those_of_two_address_spaces() {
    let sandbox = Sandbox::on_systrap();
    let spaces: Vec<_> = (0..4).map(|_| sandbox.space()).collect();
    for _ in 0..3 {
        let threads: Vec<_> =
            spaces.iter().flat_map(|space| (0..20).map(|_| sandbox.spawn(space, 0))).collect();
        let mut owners = HashMap::new();
        for pid in children() {
            let mapped = slots(pid);
            // All processes of an address space see the same.
            for (_, offset) in &mapped {
                assert_eq!(owners.entry(*offset).or_insert_with(|| mapped.clone()), &mapped);
            }
        }
        assert_eq!(owners.len(), 80, "slots of dead threads are used again");
        // Not one has trapped, so none rests.
        threads.iter().for_each(|thread| thread.exit());
        wait_for_deaths(&sandbox, 1 + spaces.len());
    }
    assert_works(&sandbox);
}

#[test]
fn a_thread_that_cannot_be_made_takes_no_slot() {
    let sandbox = Sandbox::on_systrap();
    let (space, _first) = sandbox.program(&PROGRAM);
    let [_, helper, _] = children()[..] else { panic!("the empty space, the helper, its thread") };
    let helper = rustix::process::Pid::from_raw(helper).unwrap();
    let set_limit = |bytes| {
        let limit = Rlimit { current: bytes, maximum: None };
        rustix::process::prlimit(Some(helper), Resource::As, limit).unwrap();
    };
    // The host maps no more for the helper.
    set_limit(Some(PAGE));
    for _ in 0..100 {
        assert_eq!(sandbox.try_spawn(&space, 1).unwrap_err(), errno::ENOMEM);
    }
    set_limit(None);
    let _second = sandbox.spawn(&space, 1);
    let pid = *children().last().unwrap();
    let offsets: Vec<_> = slots(pid).iter().map(|(_, offset)| *offset).collect();
    assert_eq!(offsets, [SLOT, 2 * SLOT], "the next slot is used, and none is lost");

    // Nothing is left of the helper; what it might have used is the next address space's.
    rustix::process::kill_process(helper, rustix::process::Signal::KILL).unwrap();
    wait_for_deaths(&sandbox, 1);
    assert_eq!(sandbox.try_spawn(&space, 2).unwrap_err(), errno::ESRCH);
    let (_space, _thread) = sandbox.program(&PROGRAM);
    let mut offsets: Vec<_> = slots(*children().last().unwrap()).iter().map(|(_, offset)| *offset).collect();
    assert!(offsets.pop().is_some_and(|offset| offset <= 2 * SLOT) && offsets.is_empty());
    assert_works(&sandbox);
}

#[test]
fn a_first_thread_that_cannot_be_made_takes_no_slot() {
    let sandbox = Sandbox::on_systrap();
    let space = sandbox.space();
    let helper = *children().last().unwrap();
    let statm = std::fs::read_to_string(format!("/proc/{helper}/statm")).unwrap();
    let size: u64 = statm.split(' ').next().unwrap().parse::<u64>().unwrap() * PAGE;
    let pid = rustix::process::Pid::from_raw(helper).unwrap();
    let set_limit = |bytes| {
        let limit = Rlimit { current: bytes, maximum: None };
        rustix::process::prlimit(Some(pid), Resource::As, limit).unwrap();
    };
    let before = mappings(helper);
    // The host maps neither its slot, nor, when it has that, the page of commands.
    for limit in [size, size + SLOT] {
        set_limit(Some(limit));
        for _ in 0..100 {
            assert_eq!(sandbox.try_spawn(&space, 0).unwrap_err(), errno::ENOMEM);
        }
        assert_eq!(mappings(helper), before);
    }
    set_limit(None);
    let _first = sandbox.spawn(&space, 0);
    let offsets: Vec<_> = slots(helper).iter().map(|(_, offset)| *offset).collect();
    assert_eq!(offsets, [SLOT], "the first slot is used, and none is lost");
    let file = file_of(&[9; 4096]);
    space.map(DATA..DATA + PAGE, RW, Backing::Private { file: file.as_fd(), offset: 0 }).unwrap();
    let mut byte = [0];
    assert_eq!(
        (space.read(DATA, &mut byte), byte),
        (1, [9]),
        "no descriptor is left that is taken for this file's"
    );
    assert_works(&sandbox);
}

#[test]
fn all_slots_can_be_used_and_no_more() {
    let sandbox = Sandbox::with_threads(20);
    let spaces = [sandbox.space(), sandbox.space()];
    // Slots of threads that were ended are free when the host has ended them.
    let spawn = |space, number| {
        for _ in 0..1000 {
            match sandbox.try_spawn(space, number) {
                Err(errno::EAGAIN) => assert_eq!(sandbox.trap_within(Duration::from_millis(10)), None),
                other => return other.unwrap(),
            }
        }
        panic!("no slot becomes free");
    };
    for _ in 0..3 {
        let threads: Vec<_> = (0..20).map(|number| spawn(&spaces[number % 2], number)).collect();
        for space in &spaces {
            assert_eq!(sandbox.try_spawn(space, 20).unwrap_err(), errno::EAGAIN);
        }
        // Who has one is not harmed.
        threads.iter().for_each(|thread| thread.resume(&start()));
        let mut seen: Vec<_> = threads.iter().map(|_| sandbox.next_trap_of_any().0).collect();
        seen.sort_unstable();
        assert!(seen.into_iter().eq(0..20));
        // Both spaces keep what they have mapped.
        threads.iter().for_each(|thread| thread.exit());
    }
    drop(spaces);
    wait_for_deaths(&sandbox, 1);
    let space = sandbox.space();
    let threads: Vec<_> = (0..20).map(|number| sandbox.spawn(&space, number)).collect();
    assert_eq!(threads.len(), 20, "another has all of them");
}

#[test]
fn memory_that_the_host_refuses_is_an_error() {
    let sandbox = Sandbox::on_systrap();
    let (space, thread) = sandbox.program(&PROGRAM);
    let helper = rustix::process::Pid::from_raw(children()[1]).unwrap();
    let limit = Rlimit { current: Some(64 << 20), maximum: None };
    rustix::process::prlimit(Some(helper), Resource::As, limit).unwrap();
    let much = 0x1000_0000..0x2000_0000;
    assert_eq!(space.map(much.clone(), RW, Backing::Anonymous), Err(errno::ENOMEM));
    let file = file_of(&[1; 4096]);
    let backing = Backing::Shared { file: file.as_fd(), offset: 0 };
    assert_eq!(space.map(much.clone(), RW, backing), Err(errno::ENOMEM));
    assert_eq!(space.read(much.start, &mut [0]), 0);
    thread.resume(&start());
    assert_eq!(sandbox.next_trap().0, Trap::Syscall);
    assert_works(&sandbox);
}
