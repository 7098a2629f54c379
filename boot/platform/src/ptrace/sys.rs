//! The host's system calls that this platform lives on, made safe.

#![expect(
    unsafe_code,
    reason = "ptrace, wait4 and process_vm_* have no safe wrapper that covers what is used here"
)]

use std::time::Duration;

use cloister_abi::{Errno, Registers, errno};
use rustix::process::Pid;
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

use crate::CpuTime;

/// `NT_X86_XSTATE`: the register set that `PTRACE_GETREGSET` calls so.
const NT_X86_XSTATE: usize = 0x202;

/// What a child did, as `wait4(2)` tells.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Status {
    /// It is gone, and reaped.
    Dead {
        /// What ended it (`SIGKILL` stands for an exit that nobody asked for).
        signal: i32,
    },
    /// It is in a ptrace stop.
    Stopped {
        /// The signal, with bit 7 set for a stop by `PTRACE_SYSEMU`.
        signal: i32,
        /// The `PTRACE_EVENT_*`, or 0.
        event: i32,
    },
}

/// `siginfo_t` of a signal that the processor's exceptions or a filter cause (`sigaction(2)`).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub(crate) struct SignalInfo {
    pub(crate) signal: i32,
    errno: i32,
    pub(crate) code: i32,
    padding: i32,
    /// `si_addr` or `si_call_addr`.
    pub(crate) address: u64,
    /// `si_syscall`.
    pub(crate) syscall: i32,
    architecture: u32,
    rest: [u64; 12],
}

fn last_error() -> Errno {
    std::io::Error::last_os_error().into()
}

/// Makes a ptrace request whose `address` and `data` are no pointers.
fn plain(request: libc::c_uint, pid: Pid, data: usize) -> Result<(), Errno> {
    // SAFETY: no request that comes here has the kernel write to this process' memory.
    let result = unsafe { libc::ptrace(request, pid.as_raw_pid(), 0_usize, data) };
    if result == -1 { Err(last_error()) } else { Ok(()) }
}

/// Makes a ptrace request whose `data` points to `value`, which the kernel reads or writes as a whole.
fn with_value<T: FromBytes + IntoBytes>(
    request: libc::c_uint,
    pid: Pid,
    address: usize,
    value: &mut T,
) -> Result<(), Errno> {
    let data = std::ptr::from_mut(value);
    // SAFETY: each caller pairs the request with a type of the size that it transfers, and any bytes are a value
    // of that type.
    let result = unsafe { libc::ptrace(request, pid.as_raw_pid(), address, data) };
    if result == -1 { Err(last_error()) } else { Ok(()) }
}

/// Begins to trace `pid` without stopping it.
pub(crate) fn seize(pid: Pid) -> Result<(), Errno> {
    let options = libc::PTRACE_O_EXITKILL | libc::PTRACE_O_TRACESYSGOOD;
    plain(libc::PTRACE_SEIZE, pid, usize::try_from(options).map_err(|_| errno::EINVAL)?)
}

/// Asks a tracee to stop with `PTRACE_EVENT_STOP`.
pub(crate) fn interrupt(pid: Pid) -> Result<(), Errno> {
    plain(libc::PTRACE_INTERRUPT, pid, 0)
}

/// Lets a stopped tracee run on natively. Only for code of ours.
pub(crate) fn continue_natively(pid: Pid) -> Result<(), Errno> {
    plain(libc::PTRACE_CONT, pid, 0)
}

/// Lets a stopped tracee run on until it would enter the host's kernel with a system call.
pub(crate) fn continue_emulated(pid: Pid) -> Result<(), Errno> {
    plain(libc::PTRACE_SYSEMU, pid, 0)
}

/// Stops tracing a stopped tracee, and lets it run. Only for code of ours.
pub(crate) fn detach(pid: Pid) -> Result<(), Errno> {
    plain(libc::PTRACE_DETACH, pid, 0)
}

/// Writes a word to the memory of a stopped tracee, even where its mapping is private and read-only.
pub(crate) fn poke(pid: Pid, address: u64, word: u64) -> Result<(), Errno> {
    let address = usize::try_from(address).map_err(|_| errno::EFAULT)?;
    let word = usize::try_from(word).map_err(|_| errno::EINVAL)?;
    // SAFETY: the request takes a word, and writes to no memory of this process.
    let result = unsafe { libc::ptrace(libc::PTRACE_POKEDATA, pid.as_raw_pid(), address, word) };
    if result == -1 { Err(last_error()) } else { Ok(()) }
}

/// Returns the registers of a stopped tracee.
pub(crate) fn registers(pid: Pid) -> Result<Registers, Errno> {
    let mut registers = Registers::default();
    with_value(libc::PTRACE_GETREGS, pid, 0, &mut registers)?;
    Ok(registers)
}

/// Sets the registers of a stopped tracee.
pub(crate) fn set_registers(pid: Pid, registers: &Registers) -> Result<(), Errno> {
    let mut registers = *registers;
    with_value(libc::PTRACE_SETREGS, pid, 0, &mut registers)
}

/// Returns the signal that a tracee stopped for.
pub(crate) fn signal_info(pid: Pid) -> Result<SignalInfo, Errno> {
    let mut info = SignalInfo::new_zeroed();
    with_value(libc::PTRACE_GETSIGINFO, pid, 0, &mut info)?;
    Ok(info)
}

/// Returns whether the system call at whose entry a tracee is stopped came by the 64-bit entry.
pub(crate) fn is_64_bit_call(pid: Pid) -> Result<bool, Errno> {
    const AUDIT_ARCH_X86_64: u32 = 0xc000_003e;
    // struct ptrace_syscall_info: u8 op, 3 bytes of padding, u32 arch, …; as many bytes as asked for are written.
    let mut info = [0_u32; 2];
    with_value(libc::PTRACE_GET_SYSCALL_INFO, pid, size_of_val(&info), &mut info)?;
    Ok(info[1] == AUDIT_ARCH_X86_64)
}

/// Copies the vector registers of a stopped tracee; returns how many bytes there are.
pub(crate) fn vector_registers(pid: Pid, into: &mut [u8]) -> Result<usize, Errno> {
    let mut vector = libc::iovec { iov_base: into.as_mut_ptr().cast(), iov_len: into.len() };
    let data = std::ptr::from_mut(&mut vector);
    // SAFETY: the kernel writes at most `iov_len` bytes to `into`, and sets `iov_len`.
    let result = unsafe { libc::ptrace(libc::PTRACE_GETREGSET, pid.as_raw_pid(), NT_X86_XSTATE, data) };
    if result == -1 { Err(last_error()) } else { Ok(vector.iov_len) }
}

/// Sets the vector registers of a stopped tracee.
pub(crate) fn set_vector_registers(pid: Pid, from: &[u8]) -> Result<(), Errno> {
    let mut vector = libc::iovec { iov_base: from.as_ptr().cast_mut().cast(), iov_len: from.len() };
    let data = std::ptr::from_mut(&mut vector);
    // SAFETY: the kernel only reads from the buffer.
    let result = unsafe { libc::ptrace(libc::PTRACE_SETREGSET, pid.as_raw_pid(), NT_X86_XSTATE, data) };
    if result == -1 { Err(last_error()) } else { Ok(()) }
}

/// Whether a wait may sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// Until there is something to report.
    Block,
    /// Not at all.
    Poll,
}

/// Takes the next report about a child or tracee of this host thread: about `pid`, or about any.
///
/// `__WNOTHREAD` keeps two platforms on two threads of one process (tests) from taking each other's.
pub(crate) fn wait(pid: Option<Pid>, wait: Wait) -> Result<Option<(Pid, Status)>, Errno> {
    let mut status = 0;
    let target = pid.map_or(-1, Pid::as_raw_pid);
    let flags = libc::__WALL | libc::__WNOTHREAD | if wait == Wait::Poll { libc::WNOHANG } else { 0 };
    let result = loop {
        // SAFETY: `status` is written; no usage is asked for.
        let result = unsafe { libc::wait4(target, &raw mut status, flags, std::ptr::null_mut()) };
        if result != -1 || last_error() != errno::EINTR {
            break result;
        }
    };
    if result == -1 {
        return Err(last_error());
    }
    let Some(pid) = Pid::from_raw(result) else { return Ok(None) };
    Ok(Some((pid, decode(status))))
}

fn decode(status: i32) -> Status {
    if libc::WIFSTOPPED(status) {
        Status::Stopped { signal: libc::WSTOPSIG(status), event: status >> 16 }
    } else if libc::WIFSIGNALED(status) {
        Status::Dead { signal: libc::WTERMSIG(status) }
    } else {
        Status::Dead { signal: libc::SIGKILL }
    }
}

/// Copies from the memory of the process `pid`. Returns how many bytes could be read.
pub(crate) fn read_memory(pid: Pid, address: u64, into: &mut [u8]) -> usize {
    let Ok(remote) = usize::try_from(address) else { return 0 };
    let local = libc::iovec { iov_base: into.as_mut_ptr().cast(), iov_len: into.len() };
    let remote = libc::iovec { iov_base: std::ptr::without_provenance_mut(remote), iov_len: into.len() };
    // SAFETY: the kernel writes at most `into.len()` bytes to `into`; `remote` is of another process.
    let result =
        unsafe { libc::process_vm_readv(pid.as_raw_pid(), &raw const local, 1, &raw const remote, 1, 0) };
    usize::try_from(result).unwrap_or(0)
}

/// Copies to the memory of the process `pid`. Returns how many bytes could be written.
pub(crate) fn write_memory(pid: Pid, address: u64, from: &[u8]) -> usize {
    let Ok(remote) = usize::try_from(address) else { return 0 };
    let local = libc::iovec { iov_base: from.as_ptr().cast_mut().cast(), iov_len: from.len() };
    let remote = libc::iovec { iov_base: std::ptr::without_provenance_mut(remote), iov_len: from.len() };
    // SAFETY: the kernel only reads from `from`; `remote` is of another process.
    let result =
        unsafe { libc::process_vm_writev(pid.as_raw_pid(), &raw const local, 1, &raw const remote, 1, 0) };
    usize::try_from(result).unwrap_or(0)
}

/// Returns the processor time that the living process `pid` has used.
///
/// The scheduler's clock is exact but does not tell user from system time; the two others do, and may be counted in
/// ticks. So the exact sum is divided as they say.
pub(crate) fn cpu_time(pid: Pid) -> Option<CpuTime> {
    // The encoding of `clock_getcpuclockid(3)`; the low bits choose the clock.
    const PROFILE: i32 = 0;
    const VIRTUAL: i32 = 1;
    const SCHEDULER: i32 = 2;
    let read = |which: i32| {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: `time` is written.
        let result = unsafe { libc::clock_gettime((!pid.as_raw_pid() << 3) | which, &raw mut time) };
        let seconds = u64::try_from(time.tv_sec).ok()?;
        let nanos = u32::try_from(time.tv_nsec).ok()?;
        (result == 0).then(|| Duration::new(seconds, nanos))
    };
    let (total, ticks, user_ticks) = (read(SCHEDULER)?, read(PROFILE)?, read(VIRTUAL)?);
    let share = if ticks.is_zero() { 1.0 } else { user_ticks.as_secs_f64() / ticks.as_secs_f64() };
    let user = total.mul_f64(share.clamp(0.0, 1.0)).min(total);
    Some(CpuTime { user, system: total.saturating_sub(user) })
}
