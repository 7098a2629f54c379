//! What is known of the program in an address space.

use std::ops::Range;
use std::sync::Arc;

use crate::fs::OpenFile;

/// What is known of the program in an address space: what `/proc/PID` shows.
#[derive(Clone, Debug, Default)]
pub(crate) struct ProgramInfo {
    /// The program (`/proc/PID/exe`).
    pub(crate) file: Option<Arc<OpenFile>>,
    /// The program's code.
    pub(crate) code: Range<u64>,
    /// The program's initialised data.
    pub(crate) data: Range<u64>,
    /// Where the stack pointer was at the start.
    pub(crate) stack_start: u64,
    /// The arguments, each with its NUL (`/proc/PID/cmdline`).
    pub(crate) arguments: Range<u64>,
    /// The environment, each string with its NUL (`/proc/PID/environ`).
    pub(crate) environment: Range<u64>,
    /// The auxiliary vector (`/proc/PID/auxv`).
    pub(crate) auxiliary_vector: Vec<u8>,
}
