//! Loading programs (`execve(2)`, `elf(5)`).
//!
//! ```text
//! prepare: path ──> file ──> #! interpreter, up to five times ──> ELF headers, program interpreter, limits
//! load:    an empty address space ──> segments, vDSO, heap, stack ──> registers
//! ```
//!
//! All that can fail because of the caller fails in [`prepare()`], which changes nothing; so a shell that tries the
//! directories of `PATH` makes no address space in vain. [`Prepared::load`] fails only for want of memory.
//!
//! | module | subject |
//! |---|---|
//! | [`arguments`] | arguments and environment, and how long they may be |
//! | `executable` | the file: permission, reading it |
//! | `script` | `#!` lines |
//! | `privileges` | what the new program may do |
//! | `segments` | an ELF file's segments in memory |
//! | `stack` | what is on the new stack |
//! | `prepare`, `load` | the two steps |

mod arguments;
mod executable;
mod load;
mod prepare;
mod privileges;
mod script;
mod segments;
mod stack;
mod vdso;

pub(crate) use arguments::Arguments;
pub(crate) use load::Loaded;
pub(crate) use prepare::{Place, Prepared, Program, prepare};
pub(crate) use vdso::VdsoObject;
