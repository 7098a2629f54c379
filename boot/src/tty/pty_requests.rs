//! The requests of `ioctl(2)` that both ends of a pseudo-terminal answer.

use std::sync::Arc;

use cloister_abi::ioctl;

use super::line::MASTER_BUFFER;
use super::pty::packet;
use super::requests::{self, End};
use super::termios::{Code, InputModes};
use super::{Pty, RawTermios, SettingsRequest, Terminal, Termios, WindowSize, job_control};
use crate::context::SyscallCx;
use crate::error::{Fail, Outcome, SyscallResult, fail};
use crate::event::Events;
use crate::fs::OpenFile;
use crate::prelude::errno;
use crate::signal::Signal;
use crate::syscall::Address;

/// Carries out a request by which programs and the owner of the master do the same to the terminal.
pub(super) fn ioctl(
    cx: &mut SyscallCx<'_>,
    file: &OpenFile,
    (pty, end): (&Arc<Pty>, End),
    request: u32,
    arg: Address,
) -> SyscallResult {
    let terminal: Arc<dyn Terminal> = Arc::clone(pty) as Arc<_>;
    if let Some(result) = requests::common(cx, file, (&terminal, end), request, arg) {
        return result;
    }
    if let Some(request) = SettingsRequest::new(request) {
        return settings(cx, pty, request, arg);
    }
    match request {
        ioctl::TIOCGWINSZ => {
            let size = pty.state().size;
            cx.memory().write(arg, &size)?;
        }
        ioctl::TIOCSWINSZ => {
            let size: WindowSize = cx.memory().read(arg)?;
            let before = std::mem::replace(&mut pty.state().size, size);
            if before != size {
                job_control::send_to_foreground(cx.kernel(), &terminal, &[Signal::WINCH]);
            }
        }
        ioctl::TCFLSH => {
            job_control::check_change(cx, &terminal)?;
            flush(pty, end, arg)?;
        }
        ioctl::TCXONC => {
            job_control::check_change(cx, &terminal)?;
            control_flow(pty, arg)?;
        }
        // What is written is with the master at once: there is nothing to drain, and no wire to break.
        ioctl::TCSBRK | ioctl::TCSBRKP => job_control::check_change(cx, &terminal)?,
        ioctl::TIOCOUTQ => cx.memory().write(arg, &0_i32)?,
        _ => return Err(fail(errno::ENOTTY, "not a request of pseudo-terminals")),
    }
    Ok(Outcome::OK)
}

fn settings(cx: &SyscallCx<'_>, pty: &Arc<Pty>, request: SettingsRequest, arg: Address) -> SyscallResult {
    let form = match request {
        SettingsRequest::Get(form) => {
            let raw = pty.state().line.termios().to_raw();
            raw.write(&cx.memory(), arg, form)?;
            return Ok(Outcome::OK);
        }
        SettingsRequest::Set(form) | SettingsRequest::SetAndFlush(form) => form,
    };
    let terminal: Arc<dyn Terminal> = Arc::clone(pty) as Arc<_>;
    job_control::check_change(cx, &terminal)?;
    let termios = Termios::from_raw(&RawTermios::read(&cx.memory(), arg, form)?, form);
    let mut state = pty.state();
    if matches!(request, SettingsRequest::SetAndFlush(_)) {
        state.line.flush_input();
        state.note(packet::FLUSH_READ, 0);
    }
    let flow = (has_flow_control(state.line.termios()), has_flow_control(&termios));
    if state.line.set_termios(termios) {
        state.note_flow(false);
    }
    match flow {
        (false, true) => state.note(packet::DO_STOP, packet::NO_STOP),
        (true, false) => state.note(packet::NO_STOP, packet::DO_STOP),
        _ => {}
    }
    let (master, slave) = (state.master_events(), state.slave_events());
    drop(state);
    pty.wake(master & (Events::READABLE | Events::PRI), slave);
    Ok(Outcome::OK)
}

/// Returns whether `^S` and `^Q` are what stops and starts output.
fn has_flow_control(termios: &Termios) -> bool {
    termios.input.contains(InputModes::IXON)
        && (termios.code(Code::Stop), termios.code(Code::Start)) == (19, 17)
}

/// Forgets input or output (`tcflush(3)`). The input of the master is the output of the slave.
fn flush(pty: &Pty, end: End, arg: Address) -> Result<(), Fail> {
    let (own_input, own_output) = match arg.0 {
        0 => (true, false),
        1 => (false, true),
        2 => (true, true),
        _ => return Err(fail(errno::EINVAL, "not a queue")),
    };
    let mut state = pty.state();
    match end {
        End::Programs => {
            if own_input {
                state.line.flush_input();
                state.note(packet::FLUSH_READ, 0);
            }
            if own_output {
                state.line.flush_output(MASTER_BUFFER);
                state.note(packet::FLUSH_WRITE, 0);
            }
        }
        // What the master wrote has reached the slave, and is out of its reach.
        End::Master if own_input => state.line.flush_output(0),
        End::Master => {}
    }
    let (master, slave) = (state.master_events(), state.slave_events());
    drop(state);
    pty.wake(master & (Events::WRITABLE | Events::PRI), slave & Events::WRITABLE);
    Ok(())
}

/// Stops and starts the flow of output and input (`tcflow(3)`).
fn control_flow(pty: &Pty, arg: Address) -> Result<(), Fail> {
    let mut state = pty.state();
    match arg.0 {
        0 => {
            if state.line.stop() {
                state.note_flow(true);
            }
        }
        1 => {
            if state.line.start() {
                state.note_flow(false);
            }
        }
        2 | 3 => {
            let code = if arg.0 == 2 { Code::Stop } else { Code::Start };
            let byte = state.line.termios().code(code);
            if byte != 0 {
                state.line.send_now(byte);
            }
        }
        _ => return Err(fail(errno::EINVAL, "not an action")),
    }
    let (master, slave) = (state.master_events(), state.slave_events());
    drop(state);
    pty.wake(master & (Events::READABLE | Events::PRI), slave & Events::WRITABLE);
    Ok(())
}
