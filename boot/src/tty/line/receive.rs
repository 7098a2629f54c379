//! What is done with each byte that comes from the keyboard.

use super::input::End;
use super::output::{MASTER_BUFFER, is_control};
use super::{Effects, Flow, Line};
use crate::signal::Signal;
use crate::tty::termios::{Code, InputModes, LocalModes};

impl Line {
    /// Receives what there is room for, and returns how much of `bytes` that is, and what is to be done about it.
    pub(crate) fn receive(&mut self, bytes: &[u8]) -> (usize, Effects) {
        let mut effects = Effects::default();
        let mut done = 0;
        for byte in bytes {
            if !self.has_room() {
                break;
            }
            self.receive_byte(*byte, &mut effects);
            done += 1;
        }
        (done, effects)
    }

    fn receive_byte(&mut self, byte: u8, effects: &mut Effects) {
        let byte = self.translate(byte);
        let is_literal = std::mem::take(&mut self.is_literal_next);
        if !is_literal && (self.control_flow(byte, effects) || self.send_signal(byte, effects)) {
            return;
        }
        if self.termios.input.contains(InputModes::IXON | InputModes::IXANY) {
            self.start_for(effects);
        }
        if is_literal {
            if self.termios.local.contains(LocalModes::ECHO) {
                self.echo_typed(byte);
            }
            self.push(byte);
        } else {
            self.take(byte);
        }
    }

    fn translate(&self, byte: u8) -> u8 {
        let (modes, local) = (self.termios.input, self.termios.local);
        let byte = if modes.contains(InputModes::ISTRIP) { byte & 0x7f } else { byte };
        let is_lowered = modes.contains(InputModes::IUCLC) && local.contains(LocalModes::IEXTEN);
        if is_lowered { byte.to_ascii_lowercase() } else { byte }
    }

    /// Stops or starts output, if `byte` is for that.
    fn control_flow(&mut self, byte: u8, effects: &mut Effects) -> bool {
        if !self.termios.input.contains(InputModes::IXON) {
            return false;
        }
        if self.termios.is(byte, Code::Start) {
            self.start_for(effects);
            return true;
        }
        let is_stop = self.termios.is(byte, Code::Stop);
        if is_stop && self.flow == Flow::Runs {
            self.flow = Flow::StoppedByCharacter;
            effects.flow = Some(true);
        }
        is_stop
    }

    fn start_for(&mut self, effects: &mut Effects) {
        if self.start_after_character() {
            effects.flow = Some(false);
        }
    }

    /// Sends a signal, if `byte` is for that.
    fn send_signal(&mut self, byte: u8, effects: &mut Effects) -> bool {
        let local = self.termios.local;
        let signal = match byte {
            _ if !local.contains(LocalModes::ISIG) => return false,
            byte if self.termios.is(byte, Code::Intr) => Signal::INT,
            byte if self.termios.is(byte, Code::Quit) => Signal::QUIT,
            byte if self.termios.is(byte, Code::Susp) => Signal::TSTP,
            _ => return false,
        };
        effects.signals.push(signal);
        if !local.contains(LocalModes::NOFLSH) {
            self.flush_input();
            self.flush_output(MASTER_BUFFER);
            effects.has_flushed = true;
        }
        if self.termios.input.contains(InputModes::IXON) {
            self.start_for(effects);
        }
        if local.contains(LocalModes::ECHO) {
            self.echo(byte);
        }
        true
    }

    /// Takes a byte that is no order to the terminal itself: edits the line, ends it, or adds to it.
    fn take(&mut self, byte: u8) {
        let modes = self.termios.input;
        let byte = match byte {
            b'\r' if modes.contains(InputModes::IGNCR) => return,
            b'\r' if modes.contains(InputModes::ICRNL) => b'\n',
            b'\n' if modes.contains(InputModes::INLCR) => b'\r',
            byte => byte,
        };
        if self.termios.is_canonical() && (self.edit(byte) || self.end_line(byte)) {
            return;
        }
        if self.termios.local.contains(LocalModes::ECHO) {
            if byte == b'\n' {
                self.finish_erasing();
                self.echo_raw(byte);
            } else {
                self.echo_typed(byte);
            }
        }
        self.push(byte);
    }

    /// Adds a byte to the line; one that is all ones twice, if such a byte alone would be a mark.
    fn push(&mut self, byte: u8) {
        if byte == 0xff && self.termios.input.contains(InputModes::PARMRK) {
            self.input.push(byte);
        }
        self.input.push(byte);
    }

    /// Ends the line, if `byte` is for that.
    fn end_line(&mut self, byte: u8) -> bool {
        let local = self.termios.local;
        let end = match byte {
            b'\n' => {
                if local.intersects(LocalModes::ECHO | LocalModes::ECHONL) {
                    self.finish_erasing();
                    self.echo_raw(b'\n');
                }
                End::Line
            }
            byte if self.termios.is(byte, Code::Eof) => End::File,
            byte if self.is_other_end(byte) => {
                if local.contains(LocalModes::ECHO) {
                    self.echo_typed(byte);
                }
                End::Line
            }
            _ => return false,
        };
        self.input.push_end(byte, end);
        true
    }

    fn is_other_end(&self, byte: u8) -> bool {
        let is_extended = self.termios.local.contains(LocalModes::IEXTEN);
        self.termios.is(byte, Code::Eol) || (is_extended && self.termios.is(byte, Code::Eol2))
    }

    /// Echoes a byte of the line.
    fn echo_typed(&mut self, byte: u8) {
        self.finish_erasing();
        if self.input.is_line_empty() {
            self.output.begin_line();
        }
        self.echo(byte);
    }

    /// Echoes a byte; a control character as `^X` if the settings say so.
    pub(super) fn echo(&mut self, byte: u8) {
        let is_stopped = self.is_stopped();
        if self.termios.local.contains(LocalModes::ECHOCTL) && is_control(byte) && byte != b'\t' {
            self.output.echo_control(&self.termios, byte, is_stopped);
        } else {
            self.output.echo(&self.termios, byte, is_stopped);
        }
    }

    /// Echoes a byte as it is.
    pub(super) fn echo_raw(&mut self, byte: u8) {
        let is_stopped = self.is_stopped();
        self.output.echo(&self.termios, byte, is_stopped);
    }

    /// Ends the print of erased characters.
    pub(super) fn finish_erasing(&mut self) {
        if std::mem::take(&mut self.is_erasing) {
            self.echo_raw(b'/');
        }
    }
}
