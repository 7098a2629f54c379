//! The system calls that neither the standard library nor `rustix` offers, and the fork itself.
#![expect(unsafe_code, reason = "system calls without a safe wrapper, and code between fork and exec")]

use std::convert::Infallible;
use std::ffi::{c_int, c_long};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::io::Errno;
use rustix::process::Pid;

use super::child;
use super::plan::{Image, Plan};
use super::process::Process;

/// The flag of `clone3(2)` that makes the child in a control group of version 2.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// Forks a child that follows `plan`; it waits for a word on `sync` on its way.
///
/// The child is a direct child of this process, in new namespaces. It reports a failure on `sync`, and closes it by
/// executing its program.
pub(super) fn spawn(plan: &Plan, sync: BorrowedFd<'_>) -> io::Result<Process> {
    let mut pidfd: RawFd = -1;
    let group = plan.limits.group.as_ref().and_then(|group| group.folder.as_ref());
    let into_group = if group.is_some() { CLONE_INTO_CGROUP } else { 0 };
    let mut arguments = libc::clone_args {
        flags: plan.namespaces | flag(libc::CLONE_PIDFD) | into_group,
        pidfd: (&raw mut pidfd).addr() as u64,
        child_tid: 0,
        parent_tid: 0,
        exit_signal: flag(libc::SIGCHLD),
        stack: 0,
        stack_size: 0,
        tls: 0,
        set_tid: 0,
        set_tid_size: 0,
        cgroup: group.and_then(|folder| u64::try_from(folder.as_raw_fd()).ok()).unwrap_or(0),
    };
    // SAFETY: 1. Without `CLONE_VM` and a stack this is a fork: the child has a copy of all memory. 2. `arguments` is
    // valid for its size, and `pidfd`, whose address it holds, outlives the call. 3. The child runs `child::run` alone,
    // which makes system calls and neither allocates nor takes locks, and never returns from here.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw mut arguments, size_of::<libc::clone_args>()) };
    if pid == 0 {
        let failure = match child::run(plan, sync) {
            Err(failure) => failure,
            Ok(never) => match never {},
        };
        // Best effort: if the parent is gone, nobody is left to be told.
        let _ = rustix::io::write(sync, &failure.to_bytes());
        // SAFETY: ends the process without running anything of the parent's.
        unsafe { libc::_exit(1) }
    }
    let pid = i32::try_from(check(pid)?).ok().and_then(Pid::from_raw).expect("the kernel gives positive ids");
    // SAFETY: the kernel has just made this descriptor for us.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    Ok(Process::new(pid, pidfd))
}

/// Executes the program; returns only on failure.
pub(super) fn execute(image: &Image) -> Result<Infallible, Errno> {
    // SAFETY: the path is a C string, and both arrays are ended by null pointers and hold C strings that live as long
    // as `image`.
    let result = unsafe {
        libc::syscall(
            libc::SYS_execveat,
            image.program.as_raw_fd(),
            c"".as_ptr(),
            image.argv(),
            image.envp(),
            libc::AT_EMPTY_PATH,
        )
    };
    check_errno(result).and(Err(Errno::NOEXEC))
}

/// Makes `descriptor` descriptor number `number` too, not closed on exec.
pub(super) fn place(descriptor: &OwnedFd, number: usize) -> Result<(), Errno> {
    let number = c_int::try_from(number).map_err(|_| Errno::BADF)?;
    // SAFETY: overwrites a descriptor of the child, which has nothing to lose: its program gets only placed ones.
    let result = unsafe { libc::dup2(descriptor.as_raw_fd(), number) };
    check_errno(result.into()).map(drop)
}

/// Has all descriptors from `first` on closed on exec.
pub(crate) fn close_on_exec_from(first: usize) -> Result<(), Errno> {
    // SAFETY: takes no pointers, and closes nothing now.
    let result =
        unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    check_errno(result).map(drop)
}

/// `mount_setattr(2)` on the mount behind `mount`, and with `recursive` on all below it.
pub(super) fn set_mount_attributes(
    mount: BorrowedFd<'_>,
    recursive: bool,
    set: u64,
    propagation: u64,
) -> Result<(), Errno> {
    let attributes = libc::mount_attr { attr_set: set, attr_clr: 0, propagation, userns_fd: 0 };
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path is a C string, and `attributes` is valid for its size.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    check_errno(result).map(drop)
}

/// Widens a positive flag.
fn flag(flag: c_int) -> u64 {
    u64::try_from(flag).unwrap_or_default()
}

fn check(result: c_long) -> io::Result<c_long> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn check_errno(result: c_long) -> Result<c_long, Errno> {
    check(result).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::INVAL))
}
