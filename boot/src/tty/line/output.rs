//! The queue of output, and what becomes of the bytes on their way into it.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::super::termios::{OutputModes, Termios};

/// How much output of programs is queued.
const MOST: usize = 8192;

/// How much more the echo may add: a typist whose screen stands still loses the echo, not the typing.
const MOST_ECHO: usize = 4096;

/// How much output Linux has handed to the other end at once, and can't forget any more.
pub(crate) const MASTER_BUFFER: usize = 4095;

/// What one byte can become at most: a tab.
const LONGEST: usize = 8;

/// What a terminal shows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Output {
    queue: VecDeque<u8>,
    /// Echo that waits for stopped output to start.
    held: Vec<u8>,
    column: usize,
    /// The column in which the line that is being typed begins.
    line_start: usize,
}

/// Whether `byte` is a control character.
pub(super) fn is_control(byte: u8) -> bool {
    byte < 0x20 || byte == 0x7f
}

/// Whether `byte` is not the first one of a character of UTF-8.
pub(super) fn is_continuation(termios: &Termios, byte: u8) -> bool {
    termios.input.contains(super::InputModes::IUTF8) && byte & 0xc0 == 0x80
}

impl Output {
    /// Returns how many bytes there are.
    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    /// Returns whether any byte could be written.
    pub(super) fn has_room(&self) -> bool {
        self.queue.len() + LONGEST <= MOST
    }

    /// Takes out up to `max` bytes.
    pub(super) fn take(&mut self, max: usize) -> Vec<u8> {
        let count = max.min(self.queue.len());
        self.queue.drain(..count).collect()
    }

    /// Forgets all but the first `keep` bytes.
    pub(super) fn truncate(&mut self, keep: usize) {
        self.queue.truncate(keep);
        self.held.clear();
    }

    /// Puts a byte before all others.
    pub(super) fn put_first(&mut self, byte: u8) {
        self.queue.push_front(byte);
    }

    /// Writes what there is room for, and returns how much of `bytes` that is.
    pub(super) fn write(&mut self, termios: &Termios, bytes: &[u8]) -> usize {
        let mut done = 0;
        for byte in bytes {
            if !self.has_room() {
                break;
            }
            let shown = self.process(termios, *byte);
            self.queue.extend(shown);
            done += 1;
        }
        done
    }

    /// Shows a byte of the echo; later if output is stopped.
    pub(super) fn echo(&mut self, termios: &Termios, byte: u8, is_stopped: bool) {
        let shown = self.process(termios, byte);
        if is_stopped {
            if self.held.len() < MOST_ECHO {
                self.held.extend(shown);
            }
        } else if self.queue.len() < MOST + MOST_ECHO {
            self.queue.extend(shown);
        }
    }

    /// Shows a control character of the echo as `^X`.
    pub(super) fn echo_control(&mut self, termios: &Termios, byte: u8, is_stopped: bool) {
        self.echo(termios, b'^', is_stopped);
        self.echo(termios, byte ^ 0x40, is_stopped);
    }

    /// Shows the echo that waited.
    pub(super) fn release(&mut self) {
        self.queue.extend(std::mem::take(&mut self.held));
    }

    /// Notes that the line that is being typed begins in this column.
    pub(super) fn begin_line(&mut self) {
        self.line_start = self.column;
    }

    /// Returns how wide a tab is that begins `columns` behind another tab, or behind the start of the line.
    pub(super) fn tab_width(&self, columns: usize, is_behind_tab: bool) -> usize {
        let column = if is_behind_tab { columns } else { columns + self.line_start };
        8 - column % 8
    }

    /// Moves the note of the column back by one, for a byte that took none.
    pub(super) fn step_back(&mut self) {
        self.column = self.column.saturating_sub(1);
    }

    /// Returns what `byte` becomes on the screen, and moves the column.
    fn process(&mut self, termios: &Termios, byte: u8) -> impl Iterator<Item = u8> + use<> {
        let modes = termios.output;
        let mut shown = (1, [byte, 0]);
        if modes.contains(OutputModes::OPOST) {
            match byte {
                b'\n' if modes.contains(OutputModes::ONLCR) => {
                    shown = (1, [b'\r', b'\n']);
                    self.carriage_return();
                }
                b'\n' => {
                    if modes.contains(OutputModes::ONLRET) {
                        self.column = 0;
                    }
                    self.line_start = self.column;
                }
                b'\r' if modes.contains(OutputModes::ONOCR) && self.column == 0 => shown.0 = 0,
                b'\r' if modes.contains(OutputModes::OCRNL) => {
                    shown.1 = [b'\n', 0];
                    if modes.contains(OutputModes::ONLRET) {
                        self.carriage_return();
                    }
                }
                b'\r' => self.carriage_return(),
                b'\t' => {
                    let width = 8 - self.column % 8;
                    self.column = self.column.wrapping_add(width);
                    if modes.contains(OutputModes::XTABS) {
                        shown = (width, [b' ', 0]);
                    }
                }
                8 => self.step_back(),
                _ if is_control(byte) => {}
                _ => {
                    if modes.contains(OutputModes::OLCUC) {
                        shown.1 = [byte.to_ascii_uppercase(), 0];
                    }
                    if !is_continuation(termios, byte) {
                        self.column = self.column.wrapping_add(1);
                    }
                }
            }
        }
        let (count, [first, second]) = shown;
        let second = (second != 0).then_some(second);
        std::iter::repeat_n(first, count).chain(second)
    }

    fn carriage_return(&mut self) {
        self.column = 0;
        self.line_start = 0;
    }
}
