//! What the platform's operations cost: `cargo bench -p cloister-platform`.
//!
//! Prints one line per operation. The numbers depend on whether a wake-up crosses processors more than on anything
//! that this crate does; see `placement` in the ptrace platform.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement ends with what failed, and prints"
)]

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use cloister_abi::Registers;
use cloister_platform::{
    AddressSpace, Backing, Platform, Protection, Supervisor, Thread, Trap, TrapHandler, ptrace,
};
use rustix::event::EventfdFlags;
use rustix::fs::MemfdFlags;

const CODE: u64 = 0x40_0000;
const DATA: u64 = 0x50_0000;
const PAGE: u64 = 4096;
const RW: Protection = Protection::READ.union(Protection::WRITE);

/// Answers system calls until it has seen enough.
struct Answer {
    left: AtomicU32,
    best: Arc<Best>,
    busy: Arc<AtomicU32>,
    thread: OnceLock<Arc<dyn Thread>>,
}

impl TrapHandler for Answer {
    fn on_trap(self: Arc<Self>, trap: Trap, registers: &Registers) {
        assert_eq!(trap, Trap::Syscall);
        self.best.count();
        if self.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.busy.fetch_sub(1, Ordering::Relaxed);
            return;
        }
        self.thread.get().unwrap().resume(&Registers { rax: 1, ..*registers });
    }
}

/// The shortest time that a batch of calls took: what a call costs if nobody else uses the machine.
struct Best {
    calls: AtomicU32,
    batch: AtomicU64,
    best: AtomicU64,
    begin: Instant,
}

impl Best {
    const BATCH: u32 = 100;

    fn new() -> Self {
        Self {
            calls: AtomicU32::new(0),
            batch: AtomicU64::new(0),
            best: AtomicU64::new(u64::MAX),
            begin: Instant::now(),
        }
    }

    fn count(&self) {
        let calls = self.calls.fetch_add(1, Ordering::Relaxed);
        if calls.is_multiple_of(Self::BATCH) {
            let now = u64::try_from(self.begin.elapsed().as_nanos()).unwrap();
            let last = self.batch.swap(now, Ordering::Relaxed);
            if calls > 0 {
                self.best.fetch_min(now - last, Ordering::Relaxed);
            }
        }
    }
}

struct UntilIdle {
    busy: Arc<AtomicU32>,
    event: OwnedFd,
}

impl Supervisor for UntilIdle {
    fn run_pending(&self) -> Option<Duration> {
        None
    }

    fn event_fd(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }

    fn is_finished(&self) -> bool {
        self.busy.load(Ordering::Relaxed) == 0
    }
}

fn pages(start: u64, count: u64) -> std::ops::Range<u64> {
    start..start + count * PAGE
}

fn program(platform: &ptrace::Platform, code: &[u8]) -> Arc<dyn AddressSpace> {
    let space = platform.new_address_space().unwrap();
    space.map(pages(CODE, 1), RW, Backing::Anonymous).unwrap();
    space.write(CODE, code);
    space.protect(pages(CODE, 1), Protection::READ | Protection::EXECUTE).unwrap();
    space.map(pages(DATA, 16), RW, Backing::Anonymous).unwrap();
    space
}

/// Runs `threads` threads of `code` until each has made `calls` system calls.
fn run(platform: &ptrace::Platform, code: &[u8], threads: u32, calls: u32) -> (Duration, Duration) {
    let best = Arc::new(Best::new());
    let busy = Arc::new(AtomicU32::new(threads));
    let space = program(platform, code);
    let until = UntilIdle {
        busy: Arc::clone(&busy),
        event: rustix::event::eventfd(0, EventfdFlags::CLOEXEC).unwrap(),
    };
    let threads: Vec<_> = (0..threads)
        .map(|_| {
            let answer = Arc::new(Answer {
                left: AtomicU32::new(calls),
                best: Arc::clone(&best),
                busy: Arc::clone(&busy),
                thread: OnceLock::new(),
            });
            let thread = Arc::clone(&space).spawn(None, Arc::clone(&answer) as Arc<dyn TrapHandler>).unwrap();
            answer.thread.set(Arc::clone(&thread)).unwrap_or_else(|_| unreachable!("set once"));
            thread
        })
        .collect();
    let begin = Instant::now();
    for thread in &threads {
        thread.resume(&Registers::start_at(CODE, DATA + PAGE));
    }
    platform.run(&until).unwrap();
    let time = begin.elapsed();
    for thread in &threads {
        thread.exit();
    }
    (time, Duration::from_nanos(best.best.load(Ordering::Relaxed)))
}

fn report(what: &str, time: Duration, count: u32) {
    println!("{what:<44} {:>10.2} µs", time.as_secs_f64() * 1e6 / f64::from(count));
}

fn measure(what: &str, count: u32, mut operation: impl FnMut(u32)) {
    let batches = 20;
    let time = |range: std::ops::Range<u32>| {
        let begin = Instant::now();
        range.for_each(&mut operation);
        begin.elapsed()
    };
    let size = count / batches;
    let times: Vec<_> = (0..batches).map(|batch| batch * size..(batch + 1) * size).map(time).collect();
    report(what, times.iter().sum(), count);
    report(&format!("{what}, best"), times.into_iter().min().unwrap(), size);
}

/// What the measurements of memory operations are made in: a trap, as the kernel makes them.
struct InTrap(Arc<AtomicU32>, Box<dyn Fn() + Send + Sync>);

impl TrapHandler for InTrap {
    fn on_trap(self: Arc<Self>, _: Trap, _: &Registers) {
        (self.1)();
        self.0.store(0, Ordering::Relaxed);
    }
}

fn in_trap(platform: &ptrace::Platform, operation: impl Fn() + Send + Sync + 'static) {
    let busy = Arc::new(AtomicU32::new(1));
    let space = program(platform, &[0x0f, 0x05]);
    let handler = Arc::new(InTrap(Arc::clone(&busy), Box::new(operation)));
    let thread = space.spawn(None, handler).unwrap();
    thread.resume(&Registers::start_at(CODE, DATA + PAGE));
    let event = rustix::event::eventfd(0, EventfdFlags::CLOEXEC).unwrap();
    platform.run(&UntilIdle { busy, event }).unwrap();
    thread.exit();
}

fn main() {
    let begin = Instant::now();
    let platform = ptrace::Platform::new().unwrap();
    report("start of the platform", begin.elapsed(), 1);

    // 1: syscall; jmp 1b
    for threads in [1, 2, 4] {
        let (time, best) = run(&platform, &[0x0f, 0x05, 0xeb, 0xfc], threads, 40_000 / threads);
        report(&format!("system call, {threads} thread(s)"), time, 40_000);
        report(&format!("system call, {threads} thread(s), best"), best, Best::BATCH);
    }
    measure_parallel_speed(&platform);
    let space = program(&platform, &[]);
    in_trap(&platform, move || measure_memory(&space));
}

fn measure_parallel_speed(platform: &ptrace::Platform) {
    let rounds = 500_000_000_u32;
    // mov ecx, rounds; 1: dec ecx; jnz 1b; syscall
    let mut burn = vec![0xb9];
    burn.extend(rounds.to_le_bytes());
    burn.extend([0xff, 0xc9, 0x75, 0xfc, 0x0f, 0x05]);
    let native = |threads| {
        let begin = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| (0..rounds).for_each(|round| _ = std::hint::black_box(round)));
            }
        });
        begin.elapsed()
    };
    for _ in 0..3 {
        let speed = native(1).as_secs_f64() * 2.0 / native(2).as_secs_f64();
        println!("{:<44} {speed:>10.2} x", "speed of 2 threads, native");
        let (one, two) = (run(platform, &burn, 1, 1).0, run(platform, &burn, 2, 1).0);
        println!("{:<44} {:>10.2} x", "speed of 2 threads", 2.0 * one.as_secs_f64() / two.as_secs_f64());
    }
}

fn measure_memory(space: &Arc<dyn AddressSpace>) {
    let map = |at| space.map(pages(at, 1), RW, Backing::Anonymous).unwrap();
    measure("map a page", 10_000, |index| map(DATA + 0x10_0000 + u64::from(index % 2) * PAGE * 2));
    measure("protect a page", 10_000, |index| {
        let protection = if index % 2 == 0 { Protection::READ } else { RW };
        space.protect(pages(DATA, 1), protection).unwrap();
    });
    let file = rustix::fs::memfd_create("bench", MemfdFlags::CLOEXEC).unwrap();
    rustix::fs::ftruncate(&file, PAGE).unwrap();
    measure("map a page of a file", 10_000, |_| {
        let backing = Backing::Private { file: file.as_fd(), offset: 0 };
        space.map(pages(DATA + 0x20_0000, 1), RW, backing).unwrap();
    });
    measure("compare and exchange a word", 10_000, |_| _ = space.compare_exchange(DATA, 0, 0).unwrap());
    let mut bytes = [0; 64];
    measure("read 64 bytes", 10_000, |_| assert_eq!(space.read(DATA, &mut bytes), 64));
    measure("write 64 bytes", 10_000, |_| assert_eq!(space.write(DATA, &bytes), 64));
    measure("copy the address space, and drop it", 1_000, |_| drop(space.fork().unwrap()));
    measure("make a thread, and end it", 1_000, |_| {
        let answer = Arc::new(Answer {
            left: AtomicU32::new(1),
            best: Arc::new(Best::new()),
            busy: Arc::default(),
            thread: OnceLock::new(),
        });
        Arc::clone(space).spawn(None, answer).unwrap().exit();
    });
}
