//! What a stub process holds, and what is left of it.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use cloister_abi::{Registers, errno};
use cloister_platform::vdso::TIME_PAGE;
use cloister_platform::{Backing, Protection, Trap};

use crate::common::{CODE, DATA, PAGE, RW, Sandbox, file_of, pages, start};
use crate::hostile::SLOT;

/// Returns the children of the calling host thread.
pub(crate) fn children() -> Vec<i32> {
    let list = std::fs::read_to_string("/proc/thread-self/children").unwrap();
    list.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

/// Returns the mappings of a process: start, end, permissions, name.
pub(crate) fn mappings(pid: i32) -> Vec<(u64, u64, String, String)> {
    let list = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let hex = |text: &str| u64::from_str_radix(text, 16).unwrap();
    list.lines()
        .map(|line| {
            let mut words = line.split_whitespace();
            let (start, end) = words.next().unwrap().split_once('-').unwrap();
            let permissions = words.next().unwrap().to_owned();
            (hex(start), hex(end), permissions, words.skip(3).collect())
        })
        .collect()
}

#[test]
fn a_stub_holds_nothing_but_the_platforms_pages() {
    check_stubs(&Sandbox::on_ptrace(), [1, 1, 1]);
}

#[test]
fn a_stub_of_systrap_holds_nothing_but_that_and_slots() {
    check_stubs(&Sandbox::on_systrap(), [2, 2, 0]);
}

/// Checks the memory and the number of descriptors of the empty space, a copy of it, and a thread of that.
fn check_stubs(sandbox: &Sandbox, descriptors: [usize; 3]) {
    let is_systrap = sandbox.platform.name() == "systrap";
    let space = sandbox.space();
    let thread = sandbox.spawn(&space, 0);
    let children = children();
    assert_eq!(children.len(), 3, "the empty space, the copy and its thread");
    let first = children[0];
    if is_systrap {
        // When it has trapped, it is on its own.
        thread.resume(&start());
        assert!(matches!(sandbox.next_trap().0, Trap::Exception(_)), "nothing is mapped there");
    }
    for (pid, count) in children.into_iter().zip(descriptors) {
        for (start, end, permissions, name) in mappings(pid) {
            let what = (end - start, permissions.as_str(), name.as_str());
            match what {
                (4096, "r-xp", "/memfd:cloister-stub(deleted)") | (4096, "rw-p", "") => {
                    assert!((space.range().end..TIME_PAGE).contains(&start), "{what:?} at {start:#x}");
                }
                (4096, "r--s", "/memfd:cloister-clock(deleted)") => assert_eq!(start, TIME_PAGE),
                (_, "r--p" | "r-xp", "[vvar]" | "[vvar_vclock]" | "[vdso]") => {
                    assert!(start > TIME_PAGE, "{what:?} at {start:#x}");
                }
                // The table of patched call sites.
                (0x1_0000, "r-xp", "") if is_systrap => assert_eq!(start, 0x6_0000),
                // The page that tells whom to wake; the slot.
                (4096, "r--s", "/memfd:cloister-slots(deleted)") if is_systrap => {}
                (SLOT, "rw-s", "/memfd:cloister-slots(deleted)") if is_systrap => {
                    assert_ne!(pid, first, "the empty space has no thread");
                }
                (_, "--xp", "[vsyscall]") => {}
                other => panic!("{other:?} at {start:#x}"),
            }
        }
        let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
        let targets: Vec<_> = descriptors
            .map(|entry| std::fs::read_link(entry.unwrap().path()).unwrap().display().to_string())
            .collect();
        assert_eq!(targets.len(), count, "{targets:?}");
        let is_known = |target: &String| {
            target.starts_with("socket:") || is_systrap && target == "/memfd:cloister-answers (deleted)"
        };
        assert!(targets.iter().all(is_known), "{targets:?}");
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        for line in ["Name:\tcloister-stub", "NoNewPrivs:\t1", "Seccomp:\t2"] {
            assert!(status.contains(line), "{line}");
        }
    }
    drop(thread);
}

#[test]
fn mapped_files_leave_no_descriptor() {
    let sandbox = Sandbox::on_ptrace();
    let space = sandbox.space();
    let file = file_of(&[1; 4096]);
    for _ in 0..3 {
        let backing = Backing::Private { file: file.as_fd(), offset: 0 };
        space.map(pages(DATA, 1), Protection::READ, backing).unwrap();
    }
    for pid in children() {
        assert_eq!(std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count(), 1);
    }
}

#[test]
fn stub_code_gives_a_guest_nothing() {
    let sandbox = Sandbox::on_ptrace();
    // jmp rdi
    let (space, thread) = sandbox.program(&[0xff, 0xe7]);
    let map = mappings(children()[1]);
    let (page, ..) = map.iter().find(|(.., name)| name.contains("cloister-stub")).unwrap();
    let mut code = vec![0; 4096];
    // Not readable through the platform: it is not the guest's. So read it as the test's process may.
    assert_eq!(space.read(*page, &mut code), 0);
    assert_eq!(space.write(*page + PAGE, &code), 0);
    let mut local = [std::io::IoSliceMut::new(&mut code)];
    let remote = [nix::sys::uio::RemoteIoVec { base: usize::try_from(*page).unwrap(), len: 4096 }];
    let pid = nix::unistd::Pid::from_raw(children()[1]);
    nix::sys::uio::process_vm_readv(pid, &mut local, &remote).unwrap();

    let calls: Vec<_> = (0_u64..).zip(code.windows(2)).filter(|(_, window)| window == b"\x0f\x05").collect();
    assert!(calls.len() >= 4, "{}", calls.len());
    for (offset, _) in calls {
        thread.resume(&Registers { rdi: page + offset, rax: 60, ..start() });
        let (trap, registers) = sandbox.next_trap();
        assert_eq!((trap, registers.syscall_number()), (Trap::Syscall, 60));
        assert_eq!(registers.rip, page + offset + 2);
    }
    // The page can't be written.
    assert!(map.iter().all(|(_, _, permissions, _)| !permissions.starts_with("rwx")));
}

#[test]
fn spoiled_scratch_memory_does_not_mix_up_files() {
    let sandbox = Sandbox::on_ptrace();
    // 1: mov [rdi + 16], rsi; jmp 1b: points the helper's iovec nowhere, again and again
    let (space, thread) = sandbox.program(&[0x48, 0x89, 0x77, 0x10, 0xeb, 0xfa]);
    let map = mappings(children()[1]);
    let (page, ..) = map.iter().find(|(.., name)| name.contains("cloister-stub")).unwrap();
    thread.resume(&Registers { rdi: page + PAGE, rsi: 1, ..start() });
    let other = sandbox.space();
    let (mine, theirs) = (file_of(&[b'm'; 4096]), file_of(&[b't'; 4096]));
    let mut failures = 0;
    // It takes a moment until the guest runs beside the helper.
    for _ in 0..20_000 {
        if failures == 20 {
            break;
        }
        let backing = Backing::Private { file: mine.as_fd(), offset: 0 };
        failures += i32::from(space.map(pages(DATA + PAGE, 1), Protection::READ, backing).is_err());
        let backing = Backing::Private { file: theirs.as_fd(), offset: 0 };
        other.map(pages(DATA, 1), Protection::READ, backing).unwrap();
        let mut byte = [0];
        assert_eq!(other.read(DATA, &mut byte), 1);
        assert_eq!(byte, *b"t", "after {failures} failures");
    }
}

#[test]
fn what_is_dropped_is_killed_and_reaped() {
    let sandbox = Sandbox::on_ptrace();
    let (space, thread) = sandbox.program(&[0xeb, 0xfe]);
    let copy = space.fork().unwrap();
    thread.resume(&start());
    assert_eq!(children().len(), 4);
    thread.exit();
    drop((space, copy));
    for _ in 0..100 {
        assert_eq!(sandbox.trap_within(Duration::from_millis(10)), None);
        if children().len() == 1 {
            break;
        }
    }
    assert_eq!(children().len(), 1, "the platform's own");
    let space = sandbox.space();
    let busy = sandbox.spawn(&space, 1);
    drop(sandbox);
    assert_eq!(children(), []);
    assert_eq!(space.map(pages(DATA, 1), RW, Backing::Anonymous), Err(errno::ESRCH));
    drop((thread, busy));
}

#[test]
fn a_thread_that_the_host_kills_is_gone() {
    let sandbox = Sandbox::on_ptrace();
    let (space, thread) = sandbox.program(&[0xeb, 0xfe]);
    thread.resume(&start());
    let pid = *children().last().unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).unwrap();
    assert_eq!(sandbox.next_trap().0, Trap::Gone { signal: libc::SIGKILL });

    // The helper: its threads go with it.
    let thread = sandbox.spawn(&space, 0);
    thread.resume(&Registers { rip: CODE, ..start() });
    let helper = children()[1];
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(helper), nix::sys::signal::Signal::SIGKILL).unwrap();
    assert_eq!(sandbox.next_trap().0, Trap::Gone { signal: libc::SIGKILL });
    assert_eq!(space.unmap(pages(DATA, 1)), Err(errno::ESRCH));
    assert_eq!(space.fork().map(drop), Err(errno::ESRCH));
}

#[test]
fn signals_from_the_host_do_not_reach_guest_code() {
    let sandbox = Sandbox::on_ptrace();
    let (_space, thread) = sandbox.program(&[0xeb, 0xfe]);
    thread.resume(&start());
    let pid = nix::unistd::Pid::from_raw(*children().last().unwrap());
    use nix::sys::signal::Signal;
    for signal in [Signal::SIGSTOP, Signal::SIGTERM, Signal::SIGSEGV, Signal::SIGTRAP, Signal::SIGCONT] {
        nix::sys::signal::kill(pid, signal).unwrap();
        assert_eq!(sandbox.trap_within(Duration::from_millis(5)), None, "{signal}");
    }
    thread.interrupt();
    assert_eq!(sandbox.next_trap().0, Trap::Interrupted);
}

#[test]
fn other_host_threads_are_refused_what_they_can_not_do() {
    let sandbox = Sandbox::on_ptrace();
    let space = sandbox.space();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            assert_eq!(space.unmap(pages(DATA, 1)), Err(errno::EDEADLK));
            drop(Arc::clone(&space));
        });
    });
    space.unmap(pages(DATA, 1)).unwrap();
}
