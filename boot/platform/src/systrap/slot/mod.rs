//! The memory that a guest thread shares with the kernel: its *slot*.
//!
//! A slot holds a few control words and, above them, the thread's alternate signal stack. A trap is a host signal: the
//! host pushes a frame with all registers on that stack (`rt_sigframe`), the stub's handler says where it is, and the
//! kernel reads and changes it in place.
//!
//! Every word here can be changed by the threads of the address space at any time. The kernel reads each word once,
//! checks it, and keeps what it must rely on in memory of its own.
//!
//! | module | subject |
//! |---|---|
//! | `layout` | where things are, and the states that a slot can be in |
//! | `slots` | the slots of a sandbox, and the page by which guest threads wake the kernel |
//! | `state` | what a thread does, by the word that it and the kernel change in turns |
//! | `registers` | what a trapped thread reports, and its general registers |
//! | `vectors` | its floating-point and vector registers |

mod layout;
mod registers;
mod slots;
mod state;
mod vectors;

pub(crate) use self::layout::*;
pub(super) use self::registers::{Frame, Given, Report};
pub(super) use self::slots::Slots;
pub(super) use self::vectors::FpuPlace;
