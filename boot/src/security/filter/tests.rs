//! Each case runs in a process of its own, which is this test program again: a filter can't be taken back.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cloister_abi::Registers;
use cloister_platform::{Backing, Platform, Protection, Supervisor, Trap, TrapHandler, ptrace};

use super::*;

/// The environment variable that names the case to a child.
const CASE: &str = "CLOISTER_FILTER_TEST_CASE";

fn run(case: &str) -> ExitStatus {
    let child = "security::filter::tests::child";
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", child, "--test-threads=1"])
        .env(CASE, case)
        .output()
        .unwrap()
        .status
}

#[test]
fn child() {
    let Ok(case) = std::env::var(CASE) else { return };
    match case.as_str() {
        "threads" => {
            install().unwrap();
            let sum: u64 =
                (0..4).map(|n| std::thread::spawn(move || vec![n; 1 << 20][7]).join().unwrap()).sum();
            assert_eq!(sum, 6);
        }
        "platform" => run_guest(),
        "open" => {
            install().unwrap();
            let _ = std::fs::File::open("/dev/null");
        }
        "process" => {
            install().unwrap();
            let _ = Command::new("/bin/true").status();
        }
        "executable" => {
            install().unwrap();
            map_executable();
        }
        "attach" => {
            install().unwrap();
            let _ =
                nix::sys::ptrace::seize(nix::unistd::Pid::from_raw(1), nix::sys::ptrace::Options::empty());
        }
        "signal" => {
            install().unwrap();
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::TERM);
        }
        other => panic!("unknown case {other}"),
    }
}

#[expect(unsafe_code, reason = "makes a mapping that nothing uses")]
fn map_executable() {
    use rustix::mm::{MapFlags, ProtFlags};
    // SAFETY: takes no memory that is in use.
    let _ = unsafe {
        rustix::mm::mmap_anonymous(
            std::ptr::null_mut(),
            4096,
            ProtFlags::READ | ProtFlags::EXEC,
            MapFlags::PRIVATE,
        )
    };
}

#[test]
fn what_the_kernel_needs_is_allowed() {
    for case in ["threads", "platform"] {
        let status = run(case);
        assert!(status.success(), "{case}: {status}");
    }
}

#[test]
fn what_it_does_not_need_kills() {
    for case in ["open", "process", "executable", "attach", "signal"] {
        let status = run(case);
        assert_eq!(status.signal(), Some(libc::SIGSYS), "{case}: {status}");
    }
}

#[test]
fn list_names_each_call_once_with_a_reason() {
    let mut numbers: Vec<_> = RULES.iter().map(|rule| rule.number).collect();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), RULES.len());
    let mut text = Vec::new();
    print(&mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    assert_eq!(text.lines().count(), RULES.len() + 2);
    for forbidden in ["execve", "openat", "fork", "socket", "connect", "mount", "setns", "bpf", "userfaultfd"]
    {
        assert!(!text.lines().any(|line| line.split(' ').next() == Some(forbidden)), "{forbidden}");
    }
}

struct Done(AtomicBool);

impl TrapHandler for Done {
    fn on_trap(self: Arc<Self>, trap: Trap, registers: &Registers) {
        assert_eq!((trap, registers.syscall_number()), (Trap::Syscall, 39));
        self.0.store(true, Ordering::Relaxed);
    }
}

struct UntilDone(Arc<Done>, OwnedFd);

impl Supervisor for UntilDone {
    fn run_pending(&self) -> Option<Duration> {
        None
    }

    fn event_fd(&self) -> BorrowedFd<'_> {
        self.1.as_fd()
    }

    fn is_finished(&self) -> bool {
        self.0.0.load(Ordering::Relaxed)
    }
}

/// Does all that the platform can be asked for.
fn run_guest() {
    let platform = ptrace::Platform::new().unwrap();
    install().unwrap();
    let space = platform.new_address_space().unwrap();
    let page = 0x40_0000..0x40_1000;
    let rw = Protection::READ | Protection::WRITE;
    space.map(page.clone(), rw, Backing::Anonymous).unwrap();
    assert_eq!(space.write(page.start, &[0x0f, 0x05]), 2);
    assert_eq!(space.read(page.start, &mut [0; 2]), 2);
    assert_eq!(space.compare_exchange(page.start + 8, 0, 1), Ok(0));
    space.protect(page.clone(), Protection::READ | Protection::EXECUTE).unwrap();
    let file = rustix::fs::memfd_create("test", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
    rustix::fs::ftruncate(&file, 4096).unwrap();
    let other = 0x50_0000..0x50_1000;
    space.map(other.clone(), rw, Backing::Shared { file: file.as_fd(), offset: 0 }).unwrap();
    space.remap(other.clone(), 0x60_0000..0x60_1000).unwrap();
    space.advise(0x60_0000..0x60_1000, libc::MADV_DONTNEED).unwrap();
    space.unmap(0x60_0000..0x60_1000).unwrap();
    platform.set_clock_offsets(cloister_platform::vdso::ClockOffsets::default()).unwrap();

    let copy = space.fork().unwrap();
    let done = Arc::new(Done(AtomicBool::new(false)));
    let thread = copy.spawn(None, Arc::clone(&done) as Arc<dyn TrapHandler>).unwrap();
    thread.set_fpu(&thread.fpu().unwrap()).unwrap();
    thread.resume(&Registers { rax: 39, ..Registers::start_at(page.start, 0) });
    let event = rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC).unwrap();
    platform.run(&UntilDone(done, event)).unwrap();
    let _ = thread.cpu_time();
    thread.exit();
    drop(space);
    drop(platform);
}
