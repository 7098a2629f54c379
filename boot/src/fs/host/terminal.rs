//! A terminal of the host: settings go to the host's, job control is the guest's.

use std::sync::Arc;

use cloister_abi::ioctl;
use cloister_sync::{Lock, class};
use rustix::termios::{
    Action, ControlModes, InputModes, LocalModes, OptionalActions, OutputModes, QueueSelector,
    SpecialCodeIndex, Termios, Winsize,
};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes};

use super::HostDescriptor;
use super::descriptor::to_errno;
use crate::context::SyscallCx;
use crate::error::{Errno, Fail, Outcome, SyscallResult, fail};
use crate::prelude::{Task, errno};
use crate::signal::{self, Signal, SignalInfo, SignalSet};
use crate::syscall::Address;
use crate::task::Pid;

/// A terminal of the host.
///
/// Its settings, its size and its line discipline are the host's. Who is in the foreground is the guest's matter: the
/// host knows one process group for the whole sandbox.
#[derive(Debug)]
pub(crate) struct Terminal {
    descriptor: Arc<HostDescriptor>,
    owner: Lock<Option<Owner>, { class::STREAM }>,
}

/// The session that a terminal controls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Owner {
    session: Pid,
    foreground: Pid,
}

/// `struct termios2` of the kernel; `struct termios` is what is before the speeds.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct RawTermios {
    input: u32,
    output: u32,
    control: u32,
    local: u32,
    line: u8,
    codes: [u8; 19],
    input_speed: u32,
    output_speed: u32,
}

/// The size of `struct termios`.
const TERMIOS_BYTES: usize = 36;

/// `struct winsize`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct RawWinsize([u16; 4]);

/// The special codes in the order of `c_cc`.
const CODES: [SpecialCodeIndex; 17] = [
    SpecialCodeIndex::VINTR,
    SpecialCodeIndex::VQUIT,
    SpecialCodeIndex::VERASE,
    SpecialCodeIndex::VKILL,
    SpecialCodeIndex::VEOF,
    SpecialCodeIndex::VTIME,
    SpecialCodeIndex::VMIN,
    SpecialCodeIndex::VSWTC,
    SpecialCodeIndex::VSTART,
    SpecialCodeIndex::VSTOP,
    SpecialCodeIndex::VSUSP,
    SpecialCodeIndex::VEOL,
    SpecialCodeIndex::VREPRINT,
    SpecialCodeIndex::VDISCARD,
    SpecialCodeIndex::VWERASE,
    SpecialCodeIndex::VLNEXT,
    SpecialCodeIndex::VEOL2,
];

impl Terminal {
    /// Makes the terminal that `descriptor` is, which controls no session yet.
    pub(super) fn new(descriptor: Arc<HostDescriptor>) -> Self {
        Self { descriptor, owner: Lock::new(None) }
    }

    /// Makes it the controlling terminal of `session`, with `foreground` in the foreground.
    pub(crate) fn control(&self, session: Pid, foreground: Pid) {
        *self.owner.lock() = Some(Owner { session, foreground });
    }

    /// Returns the foreground process group of `session`, if it controls that.
    pub(crate) fn foreground(&self, session: Pid) -> Option<Pid> {
        self.owner.lock().filter(|owner| owner.session == session).map(|owner| owner.foreground)
    }

    /// Checks that `task` may read: is in the foreground, or of another session. Otherwise its process group gets
    /// `SIGTTIN`, and it is to wait until that stops it.
    pub(super) fn check_read(&self, task: &Arc<Task>) -> Result<(), Errno> {
        self.check_foreground(task, Signal::TTIN)
    }

    /// Checks that `task` may write, as [`Terminal::check_read`], with `SIGTTOU`: only if the terminal is set so
    /// (`TOSTOP`). A task that holds the signal back may write.
    pub(super) fn check_write(&self, task: &Arc<Task>) -> Result<(), Errno> {
        let Some(owner) = *self.owner.lock() else { return Ok(()) };
        let (_, process_group) = place_of(task);
        if process_group == owner.foreground {
            return Ok(());
        }
        let has_tostop = rustix::termios::tcgetattr(self.descriptor.fd())
            .is_ok_and(|termios| termios.local_modes.contains(LocalModes::TOSTOP));
        if has_tostop { self.check_change(task) } else { Ok(()) }
    }

    /// Checks that `task` may change settings, as [`Terminal::check_write`] does for a write.
    fn check_change(&self, task: &Arc<Task>) -> Result<(), Errno> {
        if holds_back(task, Signal::TTOU) { Ok(()) } else { self.check_foreground(task, Signal::TTOU) }
    }

    /// Returns whether a read that finds nothing returns 0 (`termios(3)`: not canonical, `VMIN` is 0). The time that
    /// `VTIME` gives is not waited for.
    pub(super) fn reads_without_waiting(&self) -> bool {
        rustix::termios::tcgetattr(self.descriptor.fd()).is_ok_and(|termios| {
            let is_canonical = termios.local_modes.contains(LocalModes::ICANON);
            !is_canonical && termios.special_codes[SpecialCodeIndex::VMIN] == 0
        })
    }

    fn check_foreground(&self, task: &Arc<Task>, signal: Signal) -> Result<(), Errno> {
        let Some(owner) = *self.owner.lock() else { return Ok(()) };
        let (session, process_group) = place_of(task);
        if session != owner.session || process_group == owner.foreground {
            return Ok(());
        }
        let is_orphaned = signal::is_orphaned(&task.kernel().processes.lock(), process_group);
        if holds_back(task, signal) || is_orphaned {
            return Err(errno::EIO);
        }
        signal::send_to_process_group(task.kernel(), process_group, SignalInfo::kernel(signal));
        Err(errno::EAGAIN)
    }

    /// Carries out a request (`ioctl_tty(2)`). Those that are not in the list are refused, not passed on.
    pub(super) fn ioctl(&self, cx: &mut SyscallCx<'_>, request: u32, arg: Address) -> SyscallResult {
        match request {
            ioctl::TCGETS => self.get_settings(cx, arg, TERMIOS_BYTES),
            ioctl::TCGETS2 => self.get_settings(cx, arg, size_of::<RawTermios>()),
            ioctl::TCSETS | ioctl::TCSETSW => self.set_settings(cx, arg, TERMIOS_BYTES, false),
            ioctl::TCSETSF => self.set_settings(cx, arg, TERMIOS_BYTES, true),
            ioctl::TCSETS2 | ioctl::TCSETSW2 => self.set_settings(cx, arg, size_of::<RawTermios>(), false),
            ioctl::TCSETSF2 => self.set_settings(cx, arg, size_of::<RawTermios>(), true),
            ioctl::TCFLSH => self.flush(cx, arg),
            ioctl::TCXONC => self.flow(cx, arg),
            // Waiting for the output to drain could hold the kernel up; the host goes on with it by itself.
            ioctl::TCSBRK => Ok(Outcome::OK),
            ioctl::TIOCGWINSZ => self.get_size(cx, arg),
            ioctl::TIOCSWINSZ => self.set_size(cx, arg),
            ioctl::TIOCGPGRP => self.get_foreground(cx, arg),
            ioctl::TIOCSPGRP => self.set_foreground(cx, arg),
            ioctl::TIOCGSID => self.get_session(cx, arg),
            ioctl::TIOCSCTTY => self.become_controlling(cx),
            ioctl::TIOCNOTTY => self.give_up(cx),
            _ => Err(fail(errno::ENOTTY, "not a request that terminals of the host have")),
        }
    }

    fn get_settings(&self, cx: &SyscallCx<'_>, arg: Address, len: usize) -> SyscallResult {
        let termios = rustix::termios::tcgetattr(self.descriptor.fd()).map_err(to_errno)?;
        let mut codes = [0; 19];
        for (code, index) in codes.iter_mut().zip(CODES) {
            *code = termios.special_codes[index];
        }
        let raw = RawTermios {
            input: termios.input_modes.bits(),
            output: termios.output_modes.bits(),
            control: termios.control_modes.bits(),
            local: termios.local_modes.bits(),
            line: termios.line_discipline,
            codes,
            input_speed: termios.input_speed(),
            output_speed: termios.output_speed(),
        };
        cx.memory().write_bytes(arg, raw.as_bytes().get(..len).unwrap_or_default())?;
        Ok(Outcome::OK)
    }

    /// Sets the settings at once: to wait until the output has drained could hold the kernel up.
    fn set_settings(&self, cx: &SyscallCx<'_>, arg: Address, len: usize, flushes: bool) -> SyscallResult {
        self.wait_for_foreground(cx)?;
        let fd = self.descriptor.fd();
        let mut termios = rustix::termios::tcgetattr(fd).map_err(to_errno)?;
        let mut raw = RawTermios::new_zeroed();
        cx.memory().read_bytes(arg, raw.as_mut_bytes().get_mut(..len).unwrap_or_default())?;
        apply(&mut termios, &raw, len);
        if flushes {
            rustix::termios::tcflush(fd, QueueSelector::IFlush).map_err(to_errno)?;
        }
        rustix::termios::tcsetattr(fd, OptionalActions::Now, &termios).map_err(to_errno)?;
        Ok(Outcome::OK)
    }

    fn flush(&self, cx: &SyscallCx<'_>, arg: Address) -> SyscallResult {
        self.wait_for_foreground(cx)?;
        let queue = match arg.0 {
            0 => QueueSelector::IFlush,
            1 => QueueSelector::OFlush,
            2 => QueueSelector::IOFlush,
            _ => return Err(fail(errno::EINVAL, "not a queue")),
        };
        rustix::termios::tcflush(self.descriptor.fd(), queue).map_err(to_errno)?;
        Ok(Outcome::OK)
    }

    fn flow(&self, cx: &SyscallCx<'_>, arg: Address) -> SyscallResult {
        self.wait_for_foreground(cx)?;
        let action = match arg.0 {
            0 => Action::OOff,
            1 => Action::OOn,
            2 => Action::IOff,
            3 => Action::IOn,
            _ => return Err(fail(errno::EINVAL, "not an action")),
        };
        rustix::termios::tcflow(self.descriptor.fd(), action).map_err(to_errno)?;
        Ok(Outcome::OK)
    }

    fn get_size(&self, cx: &SyscallCx<'_>, arg: Address) -> SyscallResult {
        let size = rustix::termios::tcgetwinsize(self.descriptor.fd()).map_err(to_errno)?;
        let raw = RawWinsize([size.ws_row, size.ws_col, size.ws_xpixel, size.ws_ypixel]);
        cx.memory().write(arg, &raw)?;
        Ok(Outcome::OK)
    }

    fn set_size(&self, cx: &SyscallCx<'_>, arg: Address) -> SyscallResult {
        let RawWinsize([ws_row, ws_col, ws_xpixel, ws_ypixel]) = cx.memory().read(arg)?;
        let size = Winsize { ws_row, ws_col, ws_xpixel, ws_ypixel };
        rustix::termios::tcsetwinsize(self.descriptor.fd(), size).map_err(to_errno)?;
        Ok(Outcome::OK)
    }

    fn get_foreground(&self, cx: &SyscallCx<'_>, arg: Address) -> SyscallResult {
        let (session, _) = place_of(cx.task);
        let foreground = self.foreground(session).ok_or(NOT_CONTROLLING)?;
        cx.memory().write(arg, &foreground)?;
        Ok(Outcome::OK)
    }

    fn set_foreground(&self, cx: &SyscallCx<'_>, arg: Address) -> SyscallResult {
        let (session, _) = place_of(cx.task);
        self.foreground(session).ok_or(NOT_CONTROLLING)?;
        self.wait_for_foreground(cx)?;
        let wanted: Pid = cx.memory().read(arg)?;
        if wanted < 0 {
            return Err(fail(errno::EINVAL, "not a process group"));
        }
        let members: Vec<_> = {
            let tree = cx.kernel().processes.lock();
            tree.processes().filter(|p| p.process_group == wanted).map(|p| p.session).collect()
        };
        let first = members.first().ok_or(fail(errno::ESRCH, "no such process group"))?;
        if *first != session {
            return Err(fail(errno::EPERM, "the process group is of another session"));
        }
        self.control(session, wanted);
        // Those who were in the background may read now.
        self.descriptor.wake();
        Ok(Outcome::OK)
    }

    fn get_session(&self, cx: &SyscallCx<'_>, arg: Address) -> SyscallResult {
        let (session, _) = place_of(cx.task);
        self.foreground(session).ok_or(NOT_CONTROLLING)?;
        cx.memory().write(arg, &session)?;
        Ok(Outcome::OK)
    }

    /// Makes it the caller's controlling terminal. Taking it from another session is refused.
    fn become_controlling(&self, cx: &SyscallCx<'_>) -> SyscallResult {
        let (session, process_group) = place_of(cx.task);
        let mut owner = self.owner.lock();
        match *owner {
            Some(owner) if owner.session == session => Ok(Outcome::OK),
            _ if session != cx.group().tgid() => Err(fail(errno::EPERM, "not the leader of a session")),
            Some(_) => Err(fail(errno::EPERM, "it controls another session")),
            None => {
                *owner = Some(Owner { session, foreground: process_group });
                Ok(Outcome::OK)
            }
        }
    }

    /// Gives up the controlling terminal; for the leader of the session also for all others in it, and the foreground
    /// process group gets `SIGHUP` and `SIGCONT`. For another process it has no effect beyond itself, and so none.
    fn give_up(&self, cx: &SyscallCx<'_>) -> SyscallResult {
        let (session, _) = place_of(cx.task);
        let foreground = self.foreground(session).ok_or(NOT_CONTROLLING)?;
        if session == cx.group().tgid() {
            *self.owner.lock() = None;
            for signal in [Signal::HUP, Signal::CONT] {
                signal::send_to_process_group(cx.kernel(), foreground, SignalInfo::kernel(signal));
            }
        }
        Ok(Outcome::OK)
    }

    /// Interrupts a call of a background process that would change the terminal: it is begun anew when `SIGTTOU` has
    /// stopped the process and something lets it go on.
    fn wait_for_foreground(&self, cx: &SyscallCx<'_>) -> Result<(), Fail> {
        match self.check_change(cx.task) {
            Err(errno::EAGAIN) => Err(cx.park(None, crate::error::Restart::Sys)),
            result => Ok(result?),
        }
    }
}

/// The failure of requests that are for the controlling terminal of the caller's session.
const NOT_CONTROLLING: Fail = fail(errno::ENOTTY, "not the controlling terminal");

/// Returns the session and the process group of a task.
fn place_of(task: &Task) -> (Pid, Pid) {
    let tree = task.kernel().processes.lock();
    tree.process(task.group().tgid()).map_or((0, 0), |process| (process.session, process.process_group))
}

/// Returns whether `task` blocks or ignores `signal`.
fn holds_back(task: &Task, signal: Signal) -> bool {
    let blocked = task.signals.lock().blocked;
    !blocked.and(SignalSet::of(signal)).is_empty() || task.actions().get(signal).ignores(signal)
}

/// Takes over the settings that the guest gave.
fn apply(termios: &mut Termios, raw: &RawTermios, len: usize) {
    termios.input_modes = InputModes::from_bits_retain(raw.input);
    termios.output_modes = OutputModes::from_bits_retain(raw.output);
    termios.control_modes = ControlModes::from_bits_retain(raw.control);
    termios.local_modes = LocalModes::from_bits_retain(raw.local);
    for (code, index) in raw.codes.into_iter().zip(CODES) {
        termios.special_codes[index] = code;
    }
    if len == size_of::<RawTermios>() {
        // A speed that the host does not know stays as it was.
        let _ = termios.set_input_speed(raw.input_speed);
        let _ = termios.set_output_speed(raw.output_speed);
    }
}
