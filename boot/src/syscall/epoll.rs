//! `epoll_create(2)`, `epoll_ctl(2)`, `epoll_wait(2)` and their variants.

use std::time::Duration;

use smallvec::SmallVec;
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::{Address, Fd, Int, Size};
use crate::context::Because;
use crate::error::{Fail, Restart, SyscallResult, fail};
use crate::event::{self, Epoll, Events, Report, Setting, TimeUnit};
use crate::fs::{OpenFlags, anon};
use crate::prelude::{SyscallCx, errno, uapi};

/// `struct epoll_event`, which is packed on x86-64.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct EpollEvent {
    events: u32,
    data: [u32; 2],
}

impl EpollEvent {
    fn of(report: &Report) -> Self {
        Self { events: report.events.bits(), data: zerocopy::transmute!(report.data) }
    }
}

/// Handles `epoll_create(size)`.
pub(super) fn sys_epoll_create(cx: &mut SyscallCx<'_>, size: Int) -> SyscallResult {
    if size <= 0 {
        return Err(fail(errno::EINVAL, "`size` is not positive"));
    }
    sys_epoll_create1(cx, 0)
}

/// Handles `epoll_create1(flags)`.
pub(super) fn sys_epoll_create1(cx: &mut SyscallCx<'_>, raw_flags: Int) -> SyscallResult {
    let flags = OpenFlags::from_bits_retain(raw_flags.cast_unsigned());
    if !OpenFlags::CLOSE_ON_EXEC.contains(flags) {
        return Err(fail(errno::EINVAL, "unknown `flags`"));
    }
    anon::install_object(cx, "[eventpoll]", Box::<Epoll>::default(), flags | OpenFlags::READ_WRITE)
}

/// Handles `epoll_ctl(epfd, op, fd, event)`.
pub(super) fn sys_epoll_ctl(
    cx: &mut SyscallCx<'_>,
    epfd: Fd,
    op: Int,
    fd: Fd,
    event: Address,
) -> SyscallResult {
    let op = op.cast_unsigned();
    // As in Linux the structure is read first, except where it is not used.
    let setting = if op == uapi::EPOLL_CTL_DEL {
        None
    } else {
        let raw: EpollEvent = cx.memory().read(event)?;
        let [low, high] = raw.data.map(u64::from);
        Some(Setting::new(raw.events, low | high << 32))
    };
    let instance = cx.file(epfd)?;
    let file = cx.file(fd)?;
    if file.ops().poll_queue().is_none() {
        return Err(fail(errno::EPERM, "`fd` is always ready"));
    }
    if std::sync::Arc::ptr_eq(&instance, &file) {
        return Err(fail(errno::EINVAL, "`fd` is the instance itself"));
    }
    let epoll = Epoll::of(&instance).ok_or(fail(errno::EINVAL, "`epfd` is no epoll instance"))?;
    match (op, setting) {
        (uapi::EPOLL_CTL_ADD, Some(setting)) => epoll
            .add(&cx.kernel().epoll_nesting, &file, fd.0, setting)
            .because("the interest can't be added")?,
        (uapi::EPOLL_CTL_MOD, Some(setting)) => {
            epoll.modify(&file, fd.0, setting).because("the interest can't be changed")?;
        }
        (uapi::EPOLL_CTL_DEL, _) => epoll.remove(&file, fd.0).because("`fd` is not watched")?,
        _ => return Err(fail(errno::EINVAL, "unknown `op`")),
    }
    Ok(().into())
}

/// Handles `epoll_wait(epfd, events, maxevents, timeout)`: `timeout` is in milliseconds, negative for none.
pub(super) fn sys_epoll_wait(
    cx: &mut SyscallCx<'_>,
    epfd: Fd,
    events: Address,
    max_events: Int,
    timeout: Int,
) -> SyscallResult {
    let timeout = u64::try_from(timeout).ok().map(Duration::from_millis);
    wait(cx, epfd, events, max_events, timeout)
}

/// Handles `epoll_pwait(epfd, events, maxevents, timeout, sigmask, sigsetsize)`.
pub(super) fn sys_epoll_pwait(
    cx: &mut SyscallCx<'_>,
    epfd: Fd,
    events: Address,
    max_events: Int,
    timeout: Int,
    mask: Address,
    mask_size: Size,
) -> SyscallResult {
    event::set_signal_mask(cx, mask, mask_size)?;
    sys_epoll_wait(cx, epfd, events, max_events, timeout)
}

/// Handles `epoll_pwait2(epfd, events, maxevents, timeout, sigmask, sigsetsize)`.
pub(super) fn sys_epoll_pwait2(
    cx: &mut SyscallCx<'_>,
    epfd: Fd,
    events: Address,
    max_events: Int,
    timeout: Address,
    mask: Address,
    mask_size: Size,
) -> SyscallResult {
    let timeout = TimeUnit::Nanoseconds.read(cx, timeout)?;
    event::set_signal_mask(cx, mask, mask_size)?;
    wait(cx, epfd, events, max_events, timeout)
}

/// Waits for reports. Unlike other calls it is never restarted after a signal (`signal(7)`).
fn wait(
    cx: &mut SyscallCx<'_>,
    epfd: Fd,
    events: Address,
    max_events: i32,
    timeout: Option<Duration>,
) -> SyscallResult {
    let max = usize::try_from(max_events).ok().filter(|max| (1..=i32::MAX as usize / 12).contains(max));
    let max = max.ok_or(fail(errno::EINVAL, "`maxevents` is out of range"))?;
    let file = cx.file(epfd)?;
    let epoll = Epoll::of(&file).ok_or(fail(errno::EINVAL, "`epfd` is no epoll instance"))?;
    let count = report(cx, epoll, events, max)?;
    if count > 0 || timeout == Some(Duration::ZERO) {
        return Ok(count.into());
    }
    let deadline = cx.deadline(timeout);
    cx.wake_exclusively_on(epoll.waiters(), Events::READABLE);
    let count = report(cx, epoll, events, max)?;
    if count > 0 || deadline.is_some_and(|at| at <= cx.kernel().clock.monotonic()) {
        return Ok(count.into());
    }
    match cx.park(deadline, Restart::Sys) {
        Fail::Restart(_) => Err(fail(errno::EINTR, "a signal arrived")),
        failure => Err(failure),
    }
}

/// Writes what there is to report. Returns how many reports that are.
fn report(cx: &SyscallCx<'_>, epoll: &Epoll, address: Address, max: usize) -> Result<usize, Fail> {
    let reports = epoll.take_reports(max);
    if reports.is_empty() {
        return Ok(0);
    }
    let events: SmallVec<[EpollEvent; 16]> = reports.iter().map(EpollEvent::of).collect();
    cx.memory().write_bytes(address, events.as_bytes()).inspect_err(|_| epoll.put_back(&reports))?;
    Ok(reports.len())
}
