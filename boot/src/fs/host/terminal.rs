//! A terminal of the host: settings go to the host's, job control is the guest's.

use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use cloister_abi::ioctl;
use rustix::termios::{
    Action, ControlModes, InputModes, LocalModes, OptionalActions, OutputModes, QueueSelector,
    SpecialCodeIndex, Termios, Winsize,
};

use super::descriptor::to_errno;
use super::{HostDescriptor, HostStream};
use crate::context::SyscallCx;
use crate::error::{Fail, Outcome, SyscallResult, fail};
use crate::fs::{FileOps, OpenFile, OpenFlags};
use crate::kernel::Kernel;
use crate::prelude::errno;
use crate::syscall::Address;
use crate::tty::{self, End, Form, RawTermios, SettingsRequest, WindowSize, job_control, requests};

/// A terminal of the host.
///
/// Its settings, its size and its line discipline are the host's. Whom it controls, and who is in the foreground, is the
/// guest's matter: the host knows one process group for the whole sandbox.
#[derive(Debug)]
pub(crate) struct Terminal {
    kernel: Weak<Kernel>,
    descriptor: Arc<HostDescriptor>,
    /// Its number in the devpts of the container that it was given to.
    index: OnceLock<u32>,
}

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
    pub(super) fn new(kernel: &Arc<Kernel>, descriptor: Arc<HostDescriptor>) -> Arc<Self> {
        let kernel = Arc::downgrade(kernel);
        let this = Arc::new(Self { kernel, descriptor, index: OnceLock::new() });
        this.descriptor.set_terminal(Arc::downgrade(&this));
        this
    }

    /// Hangs up the session that it controls: the host says that nobody sits at it any more.
    pub(super) fn on_hang_up(self: Arc<Self>) {
        if let Some(kernel) = self.kernel.upgrade() {
            let terminal: Arc<dyn tty::Terminal> = self;
            job_control::hang_up(&kernel, &terminal);
        }
    }

    /// Returns the number by which the container was given it.
    pub(crate) fn given_as(&self) -> Option<u32> {
        self.descriptor.given_as()
    }

    /// Returns its number in devpts, if it has a name there.
    pub(crate) fn index(&self) -> Option<u32> {
        self.index.get().copied()
    }

    /// Notes its number in devpts.
    pub(crate) fn set_index(&self, index: u32) {
        // It has one name for good.
        let _ = self.index.set(index);
    }

    /// Returns how long a read waits for the first byte before it returns nothing (`termios(3)`: not canonical, `VMIN` is
    /// 0); `None` if it waits for ever.
    pub(super) fn read_limit(&self) -> Option<Duration> {
        let termios = rustix::termios::tcgetattr(self.descriptor.fd()).ok()?;
        let is_canonical = termios.local_modes.contains(LocalModes::ICANON);
        let tenths = termios.special_codes[SpecialCodeIndex::VTIME];
        let has_limit = !is_canonical && termios.special_codes[SpecialCodeIndex::VMIN] == 0;
        has_limit.then(|| Duration::from_millis(100) * u32::from(tenths))
    }

    /// Carries out a request (`ioctl_tty(2)`). Those that are not in the list are refused, not passed on.
    pub(super) fn ioctl(
        self: &Arc<Self>,
        cx: &mut SyscallCx<'_>,
        file: &OpenFile,
        request: u32,
        arg: Address,
    ) -> SyscallResult {
        let terminal: Arc<dyn tty::Terminal> = Arc::clone(self) as Arc<_>;
        if let Some(result) = requests::common(cx, file, (&terminal, End::Programs), request, arg) {
            return result;
        }
        match SettingsRequest::new(request) {
            Some(SettingsRequest::Get(form)) => return self.get_settings(cx, arg, form),
            Some(SettingsRequest::Set(form)) => return self.set_settings(cx, arg, form, None),
            Some(SettingsRequest::SetAndFlush(form)) => {
                return self.set_settings(cx, arg, form, Some(QueueSelector::IFlush));
            }
            None => {}
        }
        match request {
            ioctl::TCFLSH => self.flush(cx, arg),
            ioctl::TCXONC => self.flow(cx, arg),
            // Waiting for the output to drain could hold the kernel up; the host goes on with it by itself.
            ioctl::TCSBRK => Ok(Outcome::OK),
            ioctl::TIOCGWINSZ => self.get_size(cx, arg),
            ioctl::TIOCSWINSZ => self.set_size(cx, arg),
            _ => Err(fail(errno::ENOTTY, "not a request that terminals of the host have")),
        }
    }

    /// Interrupts a call of a background process that would change the terminal.
    fn check_change(self: &Arc<Self>, cx: &SyscallCx<'_>) -> Result<(), Fail> {
        let terminal: Arc<dyn tty::Terminal> = Arc::clone(self) as Arc<_>;
        job_control::check_change(cx, &terminal)
    }

    fn get_settings(&self, cx: &SyscallCx<'_>, arg: Address, form: Form) -> SyscallResult {
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
        raw.write(&cx.memory(), arg, form)?;
        Ok(Outcome::OK)
    }

    /// Sets the settings at once: to wait until the output has drained could hold the kernel up.
    fn set_settings(
        self: &Arc<Self>,
        cx: &SyscallCx<'_>,
        arg: Address,
        form: Form,
        flush: Option<QueueSelector>,
    ) -> SyscallResult {
        self.check_change(cx)?;
        let fd = self.descriptor.fd();
        let mut termios = rustix::termios::tcgetattr(fd).map_err(to_errno)?;
        apply(&mut termios, &RawTermios::read(&cx.memory(), arg, form)?, form);
        if let Some(queue) = flush {
            rustix::termios::tcflush(fd, queue).map_err(to_errno)?;
        }
        rustix::termios::tcsetattr(fd, OptionalActions::Now, &termios).map_err(to_errno)?;
        Ok(Outcome::OK)
    }

    fn flush(self: &Arc<Self>, cx: &SyscallCx<'_>, arg: Address) -> SyscallResult {
        self.check_change(cx)?;
        let queue = match arg.0 {
            0 => QueueSelector::IFlush,
            1 => QueueSelector::OFlush,
            2 => QueueSelector::IOFlush,
            _ => return Err(fail(errno::EINVAL, "not a queue")),
        };
        rustix::termios::tcflush(self.descriptor.fd(), queue).map_err(to_errno)?;
        Ok(Outcome::OK)
    }

    fn flow(self: &Arc<Self>, cx: &SyscallCx<'_>, arg: Address) -> SyscallResult {
        self.check_change(cx)?;
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
        let raw = WindowSize([size.ws_row, size.ws_col, size.ws_xpixel, size.ws_ypixel]);
        cx.memory().write(arg, &raw)?;
        Ok(Outcome::OK)
    }

    fn set_size(&self, cx: &SyscallCx<'_>, arg: Address) -> SyscallResult {
        let WindowSize([ws_row, ws_col, ws_xpixel, ws_ypixel]) = cx.memory().read(arg)?;
        let size = Winsize { ws_row, ws_col, ws_xpixel, ws_ypixel };
        rustix::termios::tcsetwinsize(self.descriptor.fd(), size).map_err(to_errno)?;
        Ok(Outcome::OK)
    }
}

impl tty::Terminal for Terminal {
    fn device(&self) -> Option<(u32, u32)> {
        self.index().map(tty::device)
    }

    fn stops_background_writers(&self) -> bool {
        rustix::termios::tcgetattr(self.descriptor.fd())
            .is_ok_and(|termios| termios.local_modes.contains(LocalModes::TOSTOP))
    }

    fn open(self: Arc<Self>, _flags: OpenFlags) -> Result<Box<dyn FileOps>, Fail> {
        Ok(Box::new(HostStream::new(Arc::clone(&self.descriptor), Some(self))))
    }
}

/// Takes over the settings that the guest gave.
fn apply(termios: &mut Termios, raw: &RawTermios, form: Form) {
    termios.input_modes = InputModes::from_bits_retain(raw.input);
    termios.output_modes = OutputModes::from_bits_retain(raw.output);
    termios.control_modes = ControlModes::from_bits_retain(raw.control);
    termios.local_modes = LocalModes::from_bits_retain(raw.local);
    for (code, index) in raw.codes.into_iter().zip(CODES) {
        termios.special_codes[index] = code;
    }
    if form == Form::WithSpeeds {
        // A speed that the host does not know stays as it was.
        let _ = termios.set_input_speed(raw.input_speed);
        let _ = termios.set_output_speed(raw.output_speed);
    }
}
