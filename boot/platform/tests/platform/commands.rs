//! Address spaces that change while they have threads, so that helpers of systrap get their commands by a page.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cloister_abi::{Registers, errno};
use cloister_platform::{AddressSpace, Backing, Protection, Thread, Trap};
use rustix::process::{Pid, Signal};

use crate::common::{CODE, DATA, PAGE, RW, Sandbox, file_of, pages, start};
use crate::hostile::{slots, wait_for_deaths};
use crate::stub::children;

/// `syscall; mov [rdi], rax; syscall; jmp -6`.
const PROGRAM: [u8; 9] = [0x0f, 0x05, 0x48, 0x89, 0x07, 0x0f, 0x05, 0xeb, 0xfa];
/// Where memory is changed.
const PLACE: u64 = 0x70_0000;

/// Returns an address space with a thread that has trapped, whose helper looks for commands.
fn serving(sandbox: &Sandbox) -> (Arc<dyn AddressSpace>, Arc<dyn Thread>) {
    let (space, thread) = sandbox.program(&PROGRAM);
    thread.resume(&start());
    assert_eq!(sandbox.next_trap().0, Trap::Syscall);
    for _ in 0..4 {
        space.map(pages(PLACE, 4), RW, Backing::Anonymous).unwrap();
    }
    (space, thread)
}

/// Returns where a process has a page of commands, and where that is in its file.
fn page_of_commands(pid: i32) -> Option<(u64, u64)> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let hex = |text: &str| u64::from_str_radix(text, 16).unwrap();
    let mut pages = maps.lines().filter_map(|line| {
        let words: Vec<_> = line.split_whitespace().collect();
        let is_one = words[1] == "r--s" && words[5].contains("cloister-slots") && hex(words[2]) != 0;
        is_one.then(|| (hex(words[0].split_once('-').unwrap().0), hex(words[2])))
    });
    pages.next()
}

/// Changes memory in all ways, and checks that it is so.
fn assert_changes(space: &Arc<dyn AddressSpace>) {
    let mut byte = [0xff];
    space.map(pages(PLACE, 4), RW, Backing::Anonymous).unwrap();
    assert_eq!((space.read(PLACE, &mut byte), byte), (1, [0]));
    assert_eq!(space.write(PLACE, &[7]), 1);
    space.protect(pages(PLACE, 1), Protection::READ).unwrap();
    assert_eq!(space.write(PLACE, &[8]), 0);
    space.remap(pages(PLACE, 1), pages(PLACE + 8 * PAGE, 1)).unwrap();
    assert_eq!((space.read(PLACE + 8 * PAGE, &mut byte), byte), (1, [7]));
    space.unmap(pages(PLACE + 8 * PAGE, 1)).unwrap();
    assert_eq!(space.read(PLACE + 8 * PAGE, &mut byte), 0);
    assert_eq!(space.protect(pages(PLACE + 8 * PAGE, 1), RW), Err(errno::ENOMEM));

    let file = file_of(&[9; 2 * 4096]);
    space.map(pages(PLACE, 2), RW, Backing::Private { file: file.as_fd(), offset: 0 }).unwrap();
    assert_eq!((space.read(PLACE + PAGE, &mut byte), byte), (1, [9]));
    let read_only = std::fs::File::open("/proc/self/exe").unwrap();
    let backing = Backing::Shared { file: read_only.as_fd(), offset: 0 };
    assert_eq!(space.map(pages(PLACE, 1), RW, backing), Err(errno::EACCES));

    assert_eq!(space.write(DATA, &u32::MAX.to_le_bytes()), 4);
    assert_eq!(space.compare_exchange(DATA, 1, 2), Ok(u32::MAX));
    assert_eq!(space.compare_exchange(DATA, u32::MAX, 5), Ok(u32::MAX));
    assert_eq!(space.compare_exchange(DATA, 0, 0), Ok(5));
    assert_eq!(space.compare_exchange(PLACE + 8 * PAGE, 0, 0), Err(errno::EFAULT));
    let copy = space.fork().unwrap();
    assert_eq!((copy.read(PLACE + PAGE, &mut byte), byte), (1, [9]));
}

#[test]
fn memory_changes_while_threads_wait_spin_or_run() {
    for sandbox in [Sandbox::on_ptrace(), Sandbox::on_systrap()] {
        let (space, thread) = serving(&sandbox);
        assert_changes(&space);
        std::thread::sleep(Duration::from_millis(20)); // the thread sleeps
        assert_changes(&space);
        let other = sandbox.spawn(&space, 1);
        other.resume(&Registers { rdi: DATA + 8, ..start() });
        for _ in 0..20 {
            assert_changes(&space);
            // It writes to memory that the other thread's changes are not about.
            if sandbox.trap_within(Duration::from_millis(10)).is_some() {
                other.resume(&Registers { rdi: DATA + 8, ..start() });
            }
        }
        thread.exit();
        other.exit();
        assert_changes(&space);
    }
}

#[test]
fn a_page_of_commands_is_read_only_and_one_address_spaces_own() {
    let sandbox = Sandbox::on_systrap();
    let (space, thread) = serving(&sandbox);
    let [_, helper, _] = children()[..] else { panic!("the empty space, the helper, its thread") };
    let (page, offset) = page_of_commands(helper).expect("it serves");
    // Guest code can't write there.
    thread.resume(&Registers { rip: CODE + 2, rdi: page, ..start() });
    let (trap, registers) = sandbox.next_trap();
    assert!(matches!(trap, Trap::Exception(exception) if exception.address == page), "{trap:?}");
    assert_eq!(registers.rip, CODE + 2);

    let copy = space.fork().unwrap();
    assert_eq!(page_of_commands(*children().last().unwrap()), None, "a copy has none");
    let other = sandbox.spawn(&copy, 1);
    other.resume(&start());
    assert_eq!(sandbox.next_trap().0, Trap::Syscall);
    (0..4).for_each(|_| assert_changes(&copy));
    let (_, of_copy) = page_of_commands(children()[3]).expect("it serves");
    assert_ne!(of_copy, offset);

    // The next that gets the page finds nothing in it.
    thread.exit();
    other.exit();
    drop((space, copy));
    wait_for_deaths(&sandbox, 1);
    let (_space, _thread) = serving(&sandbox);
    let [_, helper, _] = children()[..] else { panic!("the empty space, the helper, its thread") };
    let (page, _) = page_of_commands(helper).expect("it serves");
    let mut words = [0; 4096];
    let mut local = [std::io::IoSliceMut::new(&mut words)];
    let remote = [nix::sys::uio::RemoteIoVec { base: usize::try_from(page).unwrap(), len: 4096 }];
    nix::sys::uio::process_vm_readv(nix::unistd::Pid::from_raw(helper), &mut local, &remote).unwrap();
    let used = words.iter().rposition(|byte| *byte != 0).unwrap();
    assert!(used < 16 * 8, "the last command, and nothing else: {used}");
}

#[test]
fn a_helper_that_serves_outlives_signals_and_its_death_is_seen() {
    let sandbox = Sandbox::on_systrap();
    let (space, _thread) = serving(&sandbox);
    let [_, helper, _] = children()[..] else { panic!("the empty space, the helper, its thread") };
    assert!(page_of_commands(helper).is_some());
    let helper = Pid::from_raw(helper).unwrap();
    for signal in [Signal::TERM, Signal::USR1, Signal::STOP, Signal::SEGV] {
        rustix::process::kill_process(helper, signal).unwrap();
        assert_eq!(sandbox.trap_within(Duration::from_millis(5)), None);
        assert_changes(&space);
        rustix::process::kill_process(helper, signal).unwrap();
        assert_changes(&space);
    }
    rustix::process::kill_process(helper, Signal::KILL).unwrap();
    assert_eq!(space.map(pages(PLACE, 1), RW, Backing::Anonymous), Err(errno::ESRCH));
    assert_eq!(space.unmap(pages(PLACE, 1)), Err(errno::ESRCH));
}

/// Returns whether a process sleeps (`proc_pid_stat(5)`).
fn is_asleep(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit_once(") ").unwrap().1.starts_with('S')
}

#[test]
fn a_helper_sleeps_after_a_burst_and_is_woken_whatever_guest_code_says_of_it() {
    /// Where a slot tells whether the helper sleeps.
    const TOLD: u64 = 280;
    let sandbox = Sandbox::on_systrap();
    let (space, thread) = serving(&sandbox);
    let [_, helper, _] = children()[..] else { panic!("the empty space, the helper, its thread") };
    let slot = slots(helper).first().unwrap().0;
    for lie in [0, 1, u64::MAX] {
        let until = Instant::now() + Duration::from_secs(30);
        while !is_asleep(helper) {
            assert!(Instant::now() < until, "the helper does not sleep");
            std::thread::sleep(Duration::from_millis(1));
        }
        thread.resume(&Registers { rip: CODE + 2, rdi: slot + TOLD, rax: lie, ..start() });
        assert_eq!(sandbox.next_trap().0, Trap::Syscall);
        (0..4).for_each(|_| assert_changes(&space));
    }
}
