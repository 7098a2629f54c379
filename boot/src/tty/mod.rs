//! Terminals (`tty(4)`, `pts(4)`): who they control, and pseudo-terminals.
//!
//! | type | is |
//! |---|---|
//! | [`Terminal`] | what can be the controlling terminal of a session: a pseudo-terminal, or a terminal of the host |
//! | [`Sessions`] | which terminal controls which session: a part of the process tree |
//! | [`Line`](line::Line) | the line discipline |
//! | [`Pty`] | a pseudo-terminal, whose ends are open as [`Master`] and [`Slave`] |
//!
//! # Locking
//!
//! Which session a terminal controls, and who is in its foreground, is under the lock of the process tree: it changes
//! together with sessions, groups and their ends, and signals are sent under that lock. What a pseudo-terminal holds is under a
//! lock of its own ([`class::STREAM`](cloister_sync::class::STREAM)), which is let go of before signals are sent.
//!
//! The last close of a master can happen under other locks. What it means for the session is left to a timer, which expires at
//! once and without locks.

pub(crate) mod job_control;
mod line;
mod master;
mod pty;
mod pty_requests;
pub(crate) mod requests;
mod sessions;
mod slave;
mod terminal;
mod termios;
#[cfg(test)]
mod tests;

pub(crate) use master::Master;
pub(crate) use pty::{Pty, PtyImage, device};
pub(crate) use requests::End;
pub(crate) use sessions::{Sessions, SessionsImage};
pub(crate) use slave::Slave;
pub(crate) use terminal::Terminal;
pub(crate) use termios::{Form, RawTermios, SettingsRequest, Termios, WindowSize};
