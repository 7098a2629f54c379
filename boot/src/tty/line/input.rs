//! The queue of input.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::super::termios::{InputModes, Termios};

/// The most bytes in the queue: one more ends a line that fills it.
const MOST: usize = 4095;

/// What a program can read, and the line that is being typed behind it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Input {
    cells: VecDeque<Cell>,
    /// So many of the oldest cells are of complete lines: editing leaves them alone, reads in canonical mode take them.
    complete: usize,
}

/// A byte of input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Cell {
    byte: u8,
    end: End,
}

/// Whether a line ends with a byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum End {
    /// It goes on.
    No,
    /// It ends.
    Line,
    /// It ends, and the byte is no part of it (EOF).
    File,
}

impl Input {
    /// Returns how many bytes there are, marks of an end of file included.
    pub(super) fn len(&self) -> usize {
        self.cells.len()
    }

    /// Returns whether canonical reads find something.
    pub(super) fn has_complete(&self) -> bool {
        self.complete > 0
    }

    /// Returns how many bytes canonical reads find.
    pub(super) fn complete_bytes(&self) -> usize {
        self.cells.iter().take(self.complete).filter(|cell| cell.end != End::File).count()
    }

    /// Returns how many bytes can be received. A line that fills the queue goes on to take bytes, which replace its last:
    /// it can still be ended.
    pub(super) fn room(&self, termios: &Termios) -> usize {
        // A byte that is marked takes the room of three.
        let share = if termios.input.contains(InputModes::PARMRK) { 3 } else { 1 };
        let room = (MOST - self.cells.len().min(MOST)) / share;
        if room == 0 && termios.is_canonical() && self.complete == 0 { 1 } else { room }
    }

    /// Adds a byte to the line that is being typed.
    pub(super) fn push(&mut self, byte: u8) {
        self.push_cell(Cell { byte, end: End::No });
    }

    /// Adds a byte that ends the line.
    pub(super) fn push_end(&mut self, byte: u8, end: End) {
        self.push_cell(Cell { byte, end });
        self.complete = self.cells.len();
    }

    fn push_cell(&mut self, cell: Cell) {
        if self.cells.len() > MOST {
            self.cells.pop_back();
        }
        self.cells.push_back(cell);
    }

    /// Returns the bytes of the line that is being typed.
    pub(super) fn typed(&self) -> impl DoubleEndedIterator<Item = u8> {
        self.cells.range(self.complete.min(self.cells.len())..).map(|cell| cell.byte)
    }

    /// Returns whether nothing of a line was typed.
    pub(super) fn is_line_empty(&self) -> bool {
        self.cells.len() <= self.complete
    }

    /// Takes the last `count` typed bytes back.
    pub(super) fn erase(&mut self, count: usize) {
        self.cells.truncate(self.cells.len().saturating_sub(count).max(self.complete));
    }

    /// Makes all that was typed readable, as if a line ended behind it.
    pub(super) fn complete_all(&mut self) {
        self.complete = self.cells.len();
    }

    /// Takes out up to `max` bytes, no further than the end of a line; nothing for an end of file. `None` if no line is
    /// complete.
    pub(super) fn read_line(&mut self, max: usize) -> Option<Vec<u8>> {
        if self.complete == 0 {
            return None;
        }
        let mut bytes = Vec::with_capacity(max.min(self.complete));
        while bytes.len() < max && self.complete > 0 {
            let cell = self.pop()?;
            if cell.end != End::File {
                bytes.push(cell.byte);
            }
            if cell.end != End::No {
                return Some(bytes);
            }
        }
        // An end of file just behind what was asked for was seen with it.
        if self.complete > 0 && self.cells.front().is_some_and(|cell| cell.end == End::File) {
            self.pop();
        }
        Some(bytes)
    }

    /// Takes out up to `max` bytes. `None` if there is none.
    pub(super) fn read_bytes(&mut self, max: usize) -> Option<Vec<u8>> {
        let count = max.min(self.cells.len());
        self.complete = self.complete.saturating_sub(count);
        (count > 0).then(|| self.cells.drain(..count).map(|cell| cell.byte).collect())
    }

    fn pop(&mut self) -> Option<Cell> {
        self.complete = self.complete.saturating_sub(1);
        self.cells.pop_front()
    }
}
