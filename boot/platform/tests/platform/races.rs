//! Guest code that writes to what the kernel reads, while it does.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use cloister_abi::Registers;
use cloister_platform::{AddressSpace, Backing, FpuState, Protection, Thread, Trap};

use crate::common::{CODE, DATA, PAGE, RW, Sandbox, file_of, pages, start};
use crate::hostile::{FORGE, PROGRAM, SLOT, SPIN, assert_works, slots};
use crate::stub::{children, mappings};

/// Where the pages are that forgers copy from.
const FORGED: u64 = 0x60_0000;

/// Returns a page for a slot: that its thread has trapped, with this frame and `siginfo_t`, to make a system call.
fn forged_call(slot: u64, context: u64, info: u64, number: u32) -> [u64; 512] {
    let mut words = [0; 512];
    words[0..3].copy_from_slice(&[1, slot + context, slot + info]);
    let mut set = |offset: u64, value: u64| {
        if let Some(word) = usize::try_from(offset / 8).ok().and_then(|index| words.get_mut(index)) {
            *word = value;
        }
    };
    set(context + 40 + 13 * 8, number.into()); // rax
    set(context + 40 + 16 * 8, SPIN); // rip
    set(context + 40 + 23 * 8, slot + 3072); // the vector registers
    set(info, 31); // SIGSYS
    set(info + 8, 1); // SYS_SECCOMP
    set(info + 24, u64::from(number) | 0xc000_003e << 32);
    words
}

/// Has a thread write `words` to the page at `to`, again and again.
fn forge(
    sandbox: &Sandbox,
    space: &Arc<dyn AddressSpace>,
    number: usize,
    words: &[u64; 512],
    to: u64,
) -> Arc<dyn Thread> {
    let page = pages(FORGED + number as u64 * PAGE, 1);
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    space.map(page.clone(), RW, Backing::Anonymous).unwrap();
    assert_eq!(space.write(page.start, &bytes), bytes.len());
    let forger = sandbox.spawn(space, number);
    forger.resume(&Registers { rip: FORGE, rbx: page.start, rbp: to, ..start() });
    forger
}

/// Returns the slots of the last process that was made, by age of their threads.
fn last_slots() -> Vec<u64> {
    slots(*children().last().unwrap()).into_iter().map(|(address, _)| address).collect()
}

#[test]
fn forgers_of_many_traps_gain_nothing() {
    const VICTIMS: usize = 4;
    let sandbox = Sandbox::on_systrap();
    let (space, first) = sandbox.program(&PROGRAM);
    let mut threads = vec![first];
    threads.extend((1..VICTIMS).map(|number| sandbox.spawn(&space, number)));
    threads.iter().for_each(|thread| thread.resume(&Registers { rip: SPIN, ..start() }));
    assert_eq!(sandbox.trap_within(Duration::from_millis(20)), None);
    for (victim, slot) in last_slots().into_iter().enumerate() {
        let words = forged_call(slot, 1024, 2048, 700 + u32::try_from(victim).unwrap());
        threads.push(forge(&sandbox, &space, VICTIMS + victim, &words, slot));
    }
    // What a thread is said to ask for is asked in its own name.
    for _ in 0..200 {
        let (thread, trap, registers) = sandbox.next_forged_trap();
        assert!(thread < VICTIMS, "{thread}: {trap:?}");
        assert_eq!((trap, registers.syscall_number()), (Trap::Syscall, 700 + thread as u64));
        threads[thread].resume(&Registers { rip: SPIN, ..start() });
    }
    threads.iter().for_each(|thread| thread.exit());
    assert_works(&sandbox);
}

#[test]
fn a_slot_that_changes_while_it_is_read_is_its_threads_loss() {
    let sandbox = Sandbox::on_systrap();
    let mut calls = 0;
    // A victim seldom lives long.
    for round in 0.. {
        calls += race(&sandbox);
        if calls >= 100 {
            break;
        }
        assert!(round < 1000, "{calls} calls");
    }
    assert_works(&sandbox);
}

/// Lets forgers write different things to the slot of a thread that makes system calls. Returns how many it made.
fn race(sandbox: &Sandbox) -> u32 {
    let (space, victim) = sandbox.program(&PROGRAM);
    let slot = last_slots()[0];
    // Frames at three places, of which one ends at the end of the slot, and pointers to nowhere.
    let mut wild = forged_call(slot, 1024, 2048, 780);
    wild[1..3].copy_from_slice(&[slot - 8, u64::MAX]);
    let forged = [
        forged_call(slot, 1024, 2048, 777),
        forged_call(slot, SLOT - 304, SLOT - 32, 778),
        forged_call(slot, 2048, 1024, 779),
        wild,
    ];
    let forgers: Vec<_> =
        (1..).zip(&forged).map(|(number, words)| forge(sandbox, &space, number, words, slot)).collect();
    let mut calls = 0;
    victim.resume(&start());
    while calls < 100 {
        match sandbox.trap_within(Duration::from_millis(200)) {
            Some((0, Trap::Gone { .. }, _)) | None => break,
            Some((0, trap, _)) => {
                calls += u32::from(trap == Trap::Syscall);
                if let Ok(state) = victim.fpu() {
                    let _ = victim.set_fpu(&state);
                }
                let _ = victim.set_fpu(&FpuState::initial());
                victim.resume(&start());
            }
            Some((_, trap, _)) => assert!(matches!(trap, Trap::Exception(_) | Trap::Gone { .. }), "{trap:?}"),
        }
    }
    forgers.iter().for_each(|forger| forger.exit());
    victim.exit();
    calls
}

#[test]
fn a_helper_whose_scratch_page_is_written_to_spoils_its_own_space_only() {
    let sandbox = Sandbox::on_systrap();
    let (space, _thread) = sandbox.program(&PROGRAM);
    let other = sandbox.space();
    let map = mappings(*children().last().unwrap());
    let end = space.range().end;
    let (scratch, ..) = *map.iter().find(|(start, _, access, _)| *start >= end && access == "rw-p").unwrap();
    let (bad, good) = (file_of(&[1; 4096]), file_of(&[2; 4096]));
    for rubbish in [0, 1, 0x4141_4141_4141_4141, scratch, u64::MAX] {
        let vandal = forge(&sandbox, &space, 1, &[rubbish; 512], scratch);
        let mut refused = 0;
        for _ in 0..50 {
            let _ = sandbox.trap_within(Duration::from_millis(1));
            let file = Backing::Private { file: bad.as_fd(), offset: 0 };
            refused += u32::from(space.map(pages(DATA, 1), Protection::READ, file).is_err());
            // The next file is not taken for one that was not received.
            let file = Backing::Private { file: good.as_fd(), offset: 0 };
            other.map(pages(DATA, 1), Protection::READ, file).unwrap();
            let mut byte = [0];
            assert_eq!((other.read(DATA, &mut byte), byte), (1, [2]), "{rubbish:#x}, {refused} refused");
            let _ = space.compare_exchange(FORGED + PAGE, 0, 0);
        }
        vandal.exit();
        space.unmap(pages(FORGED + PAGE, 1)).unwrap();
    }
    assert_works(&sandbox);
}

#[test]
fn what_tells_whom_to_wake_cannot_be_written() {
    let sandbox = Sandbox::on_systrap();
    let (_space, thread) = sandbox.program(&PROGRAM);
    let map = mappings(*children().last().unwrap());
    let fixed = map.iter().filter(|(.., name)| name.contains("cloister") || name == "[vdso]");
    let mut count = 0;
    for (address, _, access, name) in fixed.filter(|(.., access, _)| !access.contains('w')) {
        // The forger's loop, whose first write is a fault.
        thread.resume(&Registers { rip: FORGE, rbx: CODE, rbp: *address, ..start() });
        let (trap, _) = sandbox.next_trap();
        let Trap::Exception(exception) = trap else { panic!("{name} {access}: {trap:?}") };
        assert_eq!((exception.signal, exception.address), (libc::SIGSEGV, *address), "{name}");
        count += 1;
    }
    assert_eq!(count, 5, "the code, the doorbell, the helper's commands, the clock, the vDSO");
    assert_works(&sandbox);
}
