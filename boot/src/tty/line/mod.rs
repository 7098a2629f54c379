//! The line discipline (`N_TTY` of Linux, `termios(3)`): what becomes of the bytes between the two ends of a terminal.
//!
//! ```text
//!   keyboard ──receive──> editing, signals, flow control ──> Input ──read──> program
//!                              │ echo
//!   screen  <────take──── Output <──── tabs, CR and NL <──────────write───── program
//! ```
//!
//! It is plain data without locks or waiting: a terminal owns one, tells it what comes, and acts on what it says.
//!
//! # Snapshot
//!
//! A [`Line`] is its own image: settings and queues are saved as they are.

mod edit;
mod input;
mod output;
mod receive;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use input::Input;
pub(crate) use output::MASTER_BUFFER;
use output::Output;

use super::termios::{Code, InputModes, Termios};
use crate::signal::Signal;

/// A terminal's line discipline.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Line {
    termios: Termios,
    input: Input,
    output: Output,
    flow: Flow,
    /// The next character is taken as it is (LNEXT).
    is_literal_next: bool,
    /// A `\` was printed, and erased characters behind it (`ECHOPRT`).
    is_erasing: bool,
}

/// Whether output is held up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
enum Flow {
    /// It is not.
    #[default]
    Runs,
    /// By the STOP character.
    StoppedByCharacter,
    /// By a request (`TCXONC`), which only another one ends.
    StoppedByRequest,
}

/// What is to be done about input that was received.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Effects {
    /// Signals for the foreground process group, in their order.
    pub(crate) signals: SmallVec<[Signal; 2]>,
    /// Input and output were forgotten because of a signal.
    pub(crate) has_flushed: bool,
    /// Output was stopped (`true`) or started.
    pub(crate) flow: Option<bool>,
}

/// How much a read in non-canonical mode waits for (`termios(3)`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Minimum {
    /// `VMIN`: so many bytes.
    pub(crate) bytes: usize,
    /// `VTIME`: in tenths of a second; 0 for no limit.
    pub(crate) tenths: u8,
}

impl Line {
    /// Returns the settings.
    pub(crate) fn termios(&self) -> &Termios {
        &self.termios
    }

    /// Changes the settings. Input that was not a complete line can be read at once when lines begin or end to count. Returns
    /// whether that started output that was stopped.
    pub(crate) fn set_termios(&mut self, termios: Termios) -> bool {
        let before = std::mem::replace(&mut self.termios, termios);
        if before.is_canonical() != termios.is_canonical() {
            self.input.complete_all();
            self.is_erasing = false;
            self.is_literal_next = false;
        }
        let has_lost_flow_control =
            before.input.contains(InputModes::IXON) && !termios.input.contains(InputModes::IXON);
        has_lost_flow_control && self.start_after_character()
    }

    /// Returns how much a read waits for; `None` in canonical mode, where it waits for a line.
    pub(crate) fn minimum(&self) -> Option<Minimum> {
        (!self.termios.is_canonical()).then(|| Minimum {
            bytes: usize::from(self.termios.code(Code::Min)),
            tenths: self.termios.code(Code::Time),
        })
    }

    /// Returns how many bytes a read would find (`FIONREAD`); in canonical mode those of complete lines.
    pub(crate) fn readable_bytes(&self) -> usize {
        if self.termios.is_canonical() { self.input.complete_bytes() } else { self.input.len() }
    }

    /// Returns whether a read would not have to wait for more bytes, as `poll(2)` sees it.
    pub(crate) fn is_readable(&self) -> bool {
        match self.minimum() {
            None => self.input.has_complete(),
            Some(Minimum { bytes, tenths: 0 }) => self.input.len() >= bytes.max(1),
            Some(_) => self.input.len() > 0,
        }
    }

    /// Takes out up to `max` bytes: in canonical mode of one line, and nothing for an end of file. `None` if there is nothing
    /// to take.
    pub(crate) fn read(&mut self, max: usize) -> Option<Vec<u8>> {
        if self.termios.is_canonical() { self.input.read_line(max) } else { self.input.read_bytes(max) }
    }

    /// Returns whether there is room for more input.
    pub(crate) fn has_room(&self) -> bool {
        self.input.room(&self.termios) > 0
    }

    /// Writes what there is room for, and returns how much of `bytes` that is: nothing while output is stopped.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> usize {
        if self.is_stopped() { 0 } else { self.output.write(&self.termios, bytes) }
    }

    /// Returns whether a write would be taken.
    pub(crate) fn is_writable(&self) -> bool {
        !self.is_stopped() && self.output.has_room()
    }

    /// Takes out up to `max` bytes of the output.
    pub(crate) fn take_output(&mut self, max: usize) -> Vec<u8> {
        self.output.take(max)
    }

    /// Returns how many bytes of output there are.
    pub(crate) fn output_len(&self) -> usize {
        self.output.len()
    }

    /// Forgets the input (`TCIFLUSH`).
    pub(crate) fn flush_input(&mut self) {
        self.input = Input::default();
        self.is_erasing = false;
        self.is_literal_next = false;
    }

    /// Forgets the output beyond its first `keep` bytes.
    pub(crate) fn flush_output(&mut self, keep: usize) {
        self.output.truncate(keep);
    }

    /// Puts a byte before the output that is not for the screen: START or STOP for the other side (`TCIOFF`, `TCION`).
    pub(crate) fn send_now(&mut self, byte: u8) {
        self.output.put_first(byte);
    }

    /// Returns whether output is stopped.
    pub(crate) fn is_stopped(&self) -> bool {
        self.flow != Flow::Runs
    }

    /// Stops output (`TCOOFF`). Returns whether it was not.
    pub(crate) fn stop(&mut self) -> bool {
        std::mem::replace(&mut self.flow, Flow::StoppedByRequest) == Flow::Runs
    }

    /// Starts output (`TCOON`). Returns whether it was stopped by a request.
    pub(crate) fn start(&mut self) -> bool {
        let was_stopped = self.flow == Flow::StoppedByRequest;
        if was_stopped {
            self.flow = Flow::Runs;
            self.output.release();
        }
        was_stopped
    }

    /// Starts output that was stopped by STOP. Returns whether it was.
    fn start_after_character(&mut self) -> bool {
        let was_stopped = self.flow == Flow::StoppedByCharacter;
        if was_stopped {
            self.flow = Flow::Runs;
            self.output.release();
        }
        was_stopped
    }
}
