//! Editing the line that is being typed.

use super::Line;
use super::output::{is_continuation, is_control};
use crate::tty::termios::{Code, LocalModes};

/// How much is erased.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extent {
    Character,
    Word,
    Line,
}

impl Line {
    /// Edits the line, if `byte` is for that.
    pub(super) fn edit(&mut self, byte: u8) -> bool {
        let is_extended = self.termios.local.contains(LocalModes::IEXTEN);
        let echoes = self.termios.local.contains(LocalModes::ECHO);
        match byte {
            byte if self.termios.is(byte, Code::Erase) => self.erase(Extent::Character),
            byte if self.termios.is(byte, Code::Kill) => self.kill(),
            byte if is_extended && self.termios.is(byte, Code::WordErase) => self.erase(Extent::Word),
            byte if is_extended && self.termios.is(byte, Code::LiteralNext) => self.begin_literal(),
            byte if is_extended && echoes && self.termios.is(byte, Code::Reprint) => self.reprint(byte),
            _ => return false,
        }
        true
    }

    /// Has the next byte taken as it is.
    fn begin_literal(&mut self) {
        self.is_literal_next = true;
        if self.termios.local.contains(LocalModes::ECHO) {
            self.finish_erasing();
            if self.termios.local.contains(LocalModes::ECHOCTL) {
                self.echo_raw(b'^');
                self.echo_raw(8);
            }
        }
    }

    /// Shows the line again below.
    fn reprint(&mut self, byte: u8) {
        self.finish_erasing();
        self.echo(byte);
        self.echo_raw(b'\n');
        let typed: Vec<u8> = self.input.typed().collect();
        for byte in typed {
            self.echo(byte);
        }
    }

    /// Takes the whole line back.
    fn kill(&mut self) {
        let local = self.termios.local;
        let wipes = LocalModes::ECHO | LocalModes::ECHOK | LocalModes::ECHOKE | LocalModes::ECHOE;
        if self.input.is_line_empty() {
            return;
        }
        if local.contains(wipes) {
            self.erase(Extent::Line);
            return;
        }
        self.input.erase(usize::MAX);
        if local.contains(LocalModes::ECHO) {
            self.finish_erasing();
            self.echo(self.termios.code(Code::Kill));
            if local.contains(LocalModes::ECHOK) {
                self.echo_raw(b'\n');
            }
        }
    }

    fn erase(&mut self, extent: Extent) {
        if self.input.is_line_empty() {
            return;
        }
        let mut has_seen_word = false;
        loop {
            let character = self.last_character();
            let Some(first) = character.first().copied() else { break };
            // Half a character is left alone.
            if is_continuation(&self.termios, first) {
                break;
            }
            // Letters of Latin-1 are letters, and so are the first bytes of those of UTF-8.
            let is_of_word = first.is_ascii_alphanumeric() || first == b'_' || first >= 0xc0;
            if extent == Extent::Word && !is_of_word && has_seen_word {
                break;
            }
            has_seen_word |= is_of_word;
            self.input.erase(character.len());
            if self.termios.local.contains(LocalModes::ECHO) {
                self.show_erased(&character, extent);
            }
            if extent == Extent::Character {
                break;
            }
        }
        if self.input.is_line_empty() && self.termios.local.contains(LocalModes::ECHO) {
            self.finish_erasing();
        }
    }

    /// Returns the bytes of the last typed character.
    fn last_character(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for byte in self.input.typed().rev() {
            bytes.push(byte);
            if !is_continuation(&self.termios, byte) {
                break;
            }
        }
        bytes.reverse();
        bytes
    }

    /// Shows that a character was erased.
    fn show_erased(&mut self, character: &[u8], extent: Extent) {
        let local = self.termios.local;
        let Some((first, rest)) = character.split_first() else { return };
        if local.contains(LocalModes::ECHOPRT) {
            if !std::mem::replace(&mut self.is_erasing, true) {
                self.echo_raw(b'\\');
            }
            self.echo(*first);
            for byte in rest {
                self.echo_raw(*byte);
                self.output.step_back();
            }
        } else if extent == Extent::Character && !local.contains(LocalModes::ECHOE) {
            self.echo(self.termios.code(Code::Erase));
        } else if *first == b'\t' {
            for _ in 0..self.width_of_erased_tab() {
                self.echo_raw(8);
            }
        } else {
            let columns = match (is_control(*first), local.contains(LocalModes::ECHOCTL)) {
                (true, true) => 2,
                (true, false) => 0,
                (false, _) => 1,
            };
            for _ in 0..columns {
                [8, b' ', 8].into_iter().for_each(|byte| self.echo_raw(byte));
            }
        }
    }

    /// Returns how many columns a tab took that stood behind what is typed now.
    fn width_of_erased_tab(&self) -> usize {
        let shows_controls = self.termios.local.contains(LocalModes::ECHOCTL);
        let mut columns = 0;
        for byte in self.input.typed().rev() {
            if byte == b'\t' {
                return self.output.tab_width(columns, true);
            }
            if is_control(byte) {
                columns += if shows_controls { 2 } else { 0 };
            } else if !is_continuation(&self.termios, byte) {
                columns += 1;
            }
        }
        self.output.tab_width(columns, false)
    }
}
