//! The first stub process of a sandbox.

#![expect(unsafe_code, reason = "fork, and what the child does until it executes the stub image")]

use std::ffi::CStr;
use std::io::{self, Read};
use std::ops::Range;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};

use cloister_abi::Errno;
use rustix::fs::MemfdFlags;
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::process::Pid;

use super::host_vdso::HostVdso;
use super::image::{Layout, PAGE};
use super::space::Space;
use super::sys;

/// The end of the addresses of a user process.
const USER_END: u64 = 0x7fff_ffff_f000;

/// The first stub process, at its entry point, not traced yet.
#[derive(Debug)]
pub(super) struct Started {
    /// The process.
    pub(super) pid: Pid,
    /// Boot's end of the socket by which helpers get descriptors.
    pub(super) sender: OwnedFd,
    /// The helpers' end, which is their descriptor 0.
    pub(super) receiver: OwnedFd,
}

/// Starts a process that runs `image`, holds no memory of this process, and no descriptor but its end of a socket, and
/// `answers` as descriptor 2.
///
/// # Errors
///
/// The host's, from making the process or from what it does until it runs the image.
pub(super) fn start(image: &[u8], answers: Option<BorrowedFd<'_>>) -> io::Result<Started> {
    let file = image_file(image)?;
    let (sender, receiver) =
        rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    // Closed without a word by a successful execution.
    let (failure, child_failure) = io::pipe()?;

    // SAFETY: the child calls only functions that are safe after a fork of one thread among several, and never
    // returns.
    let pid = match unsafe { libc::fork() } {
        -1 => return Err(io::Error::last_os_error()),
        0 => {
            let answers = answers.map(|answers| answers.as_raw_fd());
            run_child(file.as_raw_fd(), receiver.as_raw_fd(), answers, child_failure.as_raw_fd())
        }
        pid => pid,
    };
    drop(child_failure);
    let mut errno = [0; 4];
    let mut failure = failure;
    let length = failure.read(&mut errno)?;
    let pid = Pid::from_raw(pid).ok_or_else(|| io::Error::other("fork returned no process"))?;
    if length != 0 {
        rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty())?;
        return Err(io::Error::from_raw_os_error(i32::from_ne_bytes(errno)));
    }
    Ok(Started { pid, sender, receiver })
}

/// Returns a file in memory that holds `image` and can be executed.
fn image_file(image: &[u8]) -> io::Result<OwnedFd> {
    let create = |flags| rustix::fs::memfd_create("cloister-stub", MemfdFlags::CLOEXEC | flags);
    // Hosts before Linux 6.3 do not know the flag, and always allow execution.
    let file = create(MemfdFlags::EXEC).or_else(|_| create(MemfdFlags::empty()))?;
    if rustix::io::write(&file, image)? != image.len() {
        return Err(io::ErrorKind::WriteZero.into());
    }
    Ok(file)
}

/// What the child does. Plain system calls only: another thread may have held any lock at the time of the fork.
fn run_child(file: RawFd, receiver: RawFd, answers: Option<RawFd>, failure: RawFd) -> ! {
    // SAFETY: only system calls, on descriptors of this process' own.
    unsafe {
        execute_image(file, receiver, answers);
        let errno = io::Error::last_os_error().raw_os_error().unwrap_or(0).to_ne_bytes();
        libc::write(failure, errno.as_ptr().cast(), errno.len());
        libc::_exit(1)
    }
}

/// Returns only on failure, with `errno` set.
///
/// # Safety
///
/// Only in a child that has nothing else to do: changes all descriptors.
unsafe fn execute_image(file: RawFd, receiver: RawFd, answers: Option<RawFd>) {
    const EMPTY: &CStr = c"";
    let end = [std::ptr::null::<libc::c_char>()];
    // SAFETY: system calls on integers, and on pointers to locals that outlive them.
    unsafe {
        // Out of the way of descriptors 0 and 2.
        let file = libc::fcntl(file, libc::F_DUPFD_CLOEXEC, 3);
        let answers = answers.map(|answers| libc::fcntl(answers, libc::F_DUPFD_CLOEXEC, 3));
        if file == -1 || answers == Some(-1) || libc::dup2(receiver, 0) == -1 {
            return;
        }
        if receiver == 0 && libc::fcntl(0, libc::F_SETFD, 0) == -1 {
            return;
        }
        if libc::close_range(1, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC.cast_signed()) == -1 {
            return;
        }
        // In place of standard error, which this process has no use for.
        if answers.is_some_and(|answers| libc::dup2(answers, 2) == -1) {
            return;
        }
        // Out of the reach of a terminal's signals.
        libc::setsid();
        // The host's own mappings go where the layout expects them: right below the end of the addresses.
        let stack = libc::rlimit { rlim_cur: 8 << 20, rlim_max: 8 << 20 };
        let core = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        libc::setrlimit(libc::RLIMIT_STACK, &raw const stack);
        libc::setrlimit(libc::RLIMIT_CORE, &raw const core);
        if libc::personality(libc::ADDR_NO_RANDOMIZE as libc::c_ulong) == -1 {
            return;
        }
        libc::syscall(
            libc::SYS_execveat,
            file,
            EMPTY.as_ptr(),
            end.as_ptr(),
            end.as_ptr(),
            libc::AT_EMPTY_PATH,
        );
    }
}

/// Sends `file` as the one message on the socket.
pub(super) fn send_descriptor(sender: BorrowedFd<'_>, file: BorrowedFd<'_>) -> io::Result<()> {
    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let descriptors = [file];
    control.push(SendAncillaryMessage::ScmRights(&descriptors));
    rustix::net::sendmsg(sender, &[io::IoSlice::new(&[0])], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Removes all that the host mapped into the first stub process but the image and the host's vDSO, which is returned,
/// and locks the process in when `then` has done what the filter forbids.
pub(super) fn prepare(
    space: &Space,
    layout: &Layout,
    then: impl FnOnce(&Space) -> Result<(), Errno>,
) -> Result<Option<HostVdso>, Errno> {
    let stack = sys::registers(space.helper())?.rsp;
    let image_end = layout.scratch + PAGE;
    // Above the image there are only the vDSO and, above that, the stack. Where a host has put it elsewhere, do without.
    let vdso = HostVdso::find(space.helper(), stack).filter(|vdso| vdso.range.start >= image_end);
    let kept_end = vdso.as_ref().map_or(image_end, |vdso| vdso.range.end);
    let name = [u64::from(libc::PR_SET_NAME.cast_unsigned()), layout.name, 0, 0, 0, 0];
    space.call(libc::SYS_prctl, name)?;
    let unmap = |range: Range<u64>| {
        space.call(libc::SYS_munmap, [range.start, range.end - range.start, 0, 0, 0, 0]).map(drop)
    };
    unmap(0..layout.code)?;
    unmap(kept_end..USER_END)?;
    then(space)?;
    let no_new_privileges = [u64::from(libc::PR_SET_NO_NEW_PRIVS.cast_unsigned()), 1, 0, 0, 0, 0];
    space.call(libc::SYS_prctl, no_new_privileges)?;
    let filter = [u64::from(libc::SECCOMP_SET_MODE_FILTER), 0, layout.filter, 0, 0, 0];
    space.call(libc::SYS_seccomp, filter)?;
    Ok(vdso)
}
