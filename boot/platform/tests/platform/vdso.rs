//! The guest's vDSO: its file, its functions in this process, and its functions in a guest.

#![expect(unsafe_code, reason = "calls the functions")]

use std::collections::HashMap;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use cloister_abi::Registers;
use cloister_platform::vdso::{self, ClockOffsets, TIME_PAGE, TimePage};
use cloister_platform::{AddressSpace, Backing, Protection, Trap};
use zerocopy::IntoBytes;

use crate::common::{CODE, DATA, PAGE, RW, Sandbox, pages, start};

/// Returns the functions by name, as a dynamic loader finds them.
fn symbols() -> HashMap<String, u64> {
    let image = vdso::image();
    let word = |at: u64, length: usize| {
        let at = usize::try_from(at).unwrap();
        let mut word = [0; 8];
        word[..length].copy_from_slice(&image[at..at + length]);
        u64::from_le_bytes(word)
    };
    let headers = (0..word(56, 2)).map(|index| word(32, 8) + index * 56);
    let dynamic = headers.clone().find(|at| word(*at, 4) == 2).unwrap();
    let entries: HashMap<_, _> = (0..word(dynamic + 40, 8) / 16)
        .map(|index| word(dynamic + 16, 8) + index * 16)
        .map(|at| (word(at, 8), word(at + 8, 8)))
        .collect();
    let (hash, strings, table) = (entries[&4], entries[&5], entries[&6]);
    let count = word(hash + 4, 4);
    let mut index = word(hash + 8, 4);
    let mut symbols = HashMap::new();
    while index != 0 {
        let symbol = table + index * 24;
        let name = usize::try_from(strings + word(symbol, 4)).unwrap();
        let name = image[name..].split(|byte| *byte == 0).next().unwrap();
        symbols.insert(String::from_utf8(name.to_vec()).unwrap(), word(symbol + 8, 8));
        index = word(hash + 12 + index * 4, 4);
    }
    assert_eq!(symbols.len() + 1, usize::try_from(count).unwrap());
    symbols
}

const NAMES: [&str; 5] = ["clock_gettime", "gettimeofday", "time", "clock_getres", "getcpu"];

#[test]
fn functions_have_two_names() {
    let symbols = symbols();
    assert_eq!(symbols.len(), 2 * NAMES.len());
    for name in NAMES {
        assert_eq!(symbols[name], symbols[&format!("__vdso_{name}")]);
    }
}

#[test]
fn readelf_understands_the_image() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("vdso.so");
    std::fs::write(&file, vdso::image()).unwrap();
    let Ok(output) = Command::new("readelf").args(["-W", "-D", "-l", "-d", "-s", "-V"]).arg(file).output()
    else {
        return;
    };
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    for name in NAMES {
        assert!(text.contains(&format!("__vdso_{name}@@LINUX_2.6")), "{text}");
    }
    assert!(text.contains("Library soname: [linux-vdso.so.1]"), "{text}");
}

type ClockFn = unsafe extern "C" fn(i32, *mut libc::timespec) -> i64;

/// The image and a time page in this process.
struct Native {
    image: *mut libc::c_void,
    page: *mut TimePage,
}

impl Native {
    fn new() -> Self {
        let map = |address: u64, flags, protection| {
            let address = std::ptr::without_provenance_mut(usize::try_from(address).unwrap());
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | flags;
            // SAFETY: takes no memory that is in use.
            let mapped = unsafe { libc::mmap(address, 4096, protection, flags, -1, 0) };
            assert_ne!(mapped, libc::MAP_FAILED);
            mapped
        };
        let rw = libc::PROT_READ | libc::PROT_WRITE;
        let page = map(TIME_PAGE, libc::MAP_FIXED_NOREPLACE, rw);
        let image = map(0, 0, rw);
        // SAFETY: both are a page long.
        unsafe { std::ptr::copy_nonoverlapping(vdso::image().as_ptr().cast(), image, 4096) };
        // SAFETY: the page was just mapped.
        assert_eq!(unsafe { libc::mprotect(image, 4096, libc::PROT_READ | libc::PROT_EXEC) }, 0);
        Self { image, page: page.cast() }
    }

    fn set(&self, page: TimePage) {
        // SAFETY: the page was mapped, and only this thread uses it.
        unsafe { self.page.write(page) };
    }

    fn function(&self, name: &str) -> *const libc::c_void {
        self.image.wrapping_byte_add(usize::try_from(symbols()[name]).unwrap())
    }

    fn clock(&self, id: i32) -> Result<Duration, i64> {
        // SAFETY: the function has this signature.
        let function: ClockFn = unsafe { std::mem::transmute(self.function("__vdso_clock_gettime")) };
        let mut time = libc::timespec { tv_sec: -1, tv_nsec: -1 };
        // SAFETY: `time` is written.
        let result = unsafe { function(id, &raw mut time) };
        if result != 0 {
            return Err(result);
        }
        Ok(Duration::new(time.tv_sec.try_into().unwrap(), time.tv_nsec.try_into().unwrap()))
    }
}

fn host_clock(id: i32) -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is written.
    unsafe { libc::clock_gettime(id, &raw mut time) };
    Duration::new(time.tv_sec.try_into().unwrap(), time.tv_nsec.try_into().unwrap())
}

/// Stands for the host's function.
unsafe extern "C" fn fixed_clock(id: i32, time: *mut libc::timespec) -> i64 {
    if id == 99 {
        return -22;
    }
    // SAFETY: the caller's pointer.
    unsafe { time.write(libc::timespec { tv_sec: 100, tv_nsec: 600_000_000 }) };
    0
}

#[test]
fn functions_work_in_a_process() {
    let native = Native::new();
    // Without functions of the host: system calls.
    for id in
        [libc::CLOCK_REALTIME, libc::CLOCK_MONOTONIC, libc::CLOCK_BOOTTIME, libc::CLOCK_PROCESS_CPUTIME_ID]
    {
        let (before, time, after) = (host_clock(id), native.clock(id).unwrap(), host_clock(id));
        assert!(before <= time && time <= after, "{id}: {before:?} {time:?} {after:?}");
    }
    assert_eq!(native.clock(12345), Err(-22));
    let time: unsafe extern "C" fn(*mut i64) -> i64 =
        // SAFETY: the function has this signature.
        unsafe { std::mem::transmute(native.function("__vdso_time")) };
    // SAFETY: a null pointer is allowed.
    let now = unsafe { time(std::ptr::null_mut()) };
    assert!(u64::try_from(now).unwrap().abs_diff(host_clock(libc::CLOCK_REALTIME).as_secs()) <= 1);
    let getcpu: unsafe extern "C" fn(*mut u32, *mut u32, usize) -> i64 =
        // SAFETY: the function has this signature.
        unsafe { std::mem::transmute(native.function("__vdso_getcpu")) };
    let mut cpu = u32::MAX;
    // SAFETY: `cpu` is written, the others may be null.
    assert_eq!(unsafe { getcpu(&raw mut cpu, std::ptr::null_mut(), 0) }, 0);
    assert!(cpu < 4096);

    // With the host's function: its result, and the offsets of the clocks that have one.
    let clock: ClockFn = fixed_clock;
    let mut page = TimePage { clock_gettime: clock as usize as u64, ..TimePage::default() };
    page.set_offsets(ClockOffsets { monotonic_ns: 1_500_000_000, boottime_ns: -600_000_001 });
    native.set(page);
    let given = Duration::new(100, 600_000_000);
    for id in
        [libc::CLOCK_REALTIME, libc::CLOCK_REALTIME_COARSE, libc::CLOCK_TAI, libc::CLOCK_THREAD_CPUTIME_ID]
    {
        assert_eq!(native.clock(id), Ok(given));
    }
    for id in [libc::CLOCK_MONOTONIC, libc::CLOCK_MONOTONIC_RAW, libc::CLOCK_MONOTONIC_COARSE] {
        assert_eq!(native.clock(id), Ok(Duration::new(102, 100_000_000)));
    }
    assert_eq!(native.clock(libc::CLOCK_BOOTTIME), Ok(Duration::new(99, 999_999_999)));
    assert_eq!(native.clock(99), Err(-22));
    assert_eq!(page.as_bytes().len(), 72);
}

/// Calls a function of the vDSO in a guest. Returns the registers at the first system call, and the first words of
/// the data page.
fn call(
    space: &Arc<dyn AddressSpace>,
    sandbox: &Sandbox,
    name: &str,
    rdi: u64,
    rsi: u64,
) -> (Registers, [u64; 2]) {
    const VDSO: u64 = 0x60_0000;
    space.map(pages(VDSO, 1), RW, Backing::Anonymous).unwrap();
    assert_eq!(space.write(VDSO, vdso::image()), 4096);
    space.protect(pages(VDSO, 1), Protection::READ | Protection::EXECUTE).unwrap();
    let thread = sandbox.spawn(space, 0);
    let stack = DATA + PAGE - 8;
    space.write(stack, &CODE.to_le_bytes());
    thread.resume(&Registers { rip: VDSO + symbols()[name], rsp: stack, rdi, rsi, ..start() });
    let (trap, registers) = sandbox.next_trap();
    assert_eq!(trap, Trap::Syscall, "{name}");
    thread.exit();
    let mut words = [0_u64; 2];
    space.read(DATA, words.as_mut_bytes());
    (registers, words)
}

#[test]
fn clocks_of_a_guest_do_not_trap() {
    let is_without_traps = read_clocks(&Sandbox::on_ptrace());
    assert_eq!(read_clocks(&Sandbox::on_systrap()), is_without_traps, "the platforms differ");
}

/// Reads the guest's clocks. Returns whether there are any: not on a host without a clock for its own vDSO.
fn read_clocks(sandbox: &Sandbox) -> bool {
    // The function returns to this system call.
    let (space, _thread) = sandbox.program(&[0x0f, 0x05]);
    let clock = |id: i32| {
        let (registers, [seconds, nanos]) =
            call(&space, sandbox, "__vdso_clock_gettime", id.try_into().unwrap(), DATA);
        (registers.rip == CODE + 2).then(|| Duration::new(seconds, nanos.try_into().unwrap()))
    };
    let Some(time) = clock(libc::CLOCK_MONOTONIC) else { return false };
    let now = host_clock(libc::CLOCK_MONOTONIC);
    assert!(now >= time && now - time < Duration::from_secs(1), "{time:?} {now:?}");

    let hour = 3600 * 1_000_000_000;
    sandbox.platform.set_clock_offsets(ClockOffsets { monotonic_ns: hour, boottime_ns: 2 * hour }).unwrap();
    let time = clock(libc::CLOCK_MONOTONIC).unwrap() - host_clock(libc::CLOCK_MONOTONIC);
    assert_eq!(time.as_secs().div_ceil(60), 60);
    let time = clock(libc::CLOCK_BOOTTIME).unwrap() - host_clock(libc::CLOCK_BOOTTIME);
    assert_eq!(time.as_secs().div_ceil(60), 120);
    assert!(clock(libc::CLOCK_REALTIME).is_some());
    for name in ["__vdso_gettimeofday", "__vdso_time"] {
        let (registers, [seconds, _]) = call(&space, sandbox, name, DATA, 0);
        assert_eq!(registers.rip, CODE + 2, "{name}");
        assert!(seconds.abs_diff(host_clock(libc::CLOCK_REALTIME).as_secs()) <= 1);
    }

    // A clock that the host's vDSO does not know: the kernel's.
    let id = u64::try_from(libc::CLOCK_THREAD_CPUTIME_ID).unwrap();
    let (registers, _) = call(&space, sandbox, "__vdso_clock_gettime", id, DATA);
    assert_eq!((registers.syscall_number(), registers.rdi, registers.rsi), (228, id, DATA));
    true
}
