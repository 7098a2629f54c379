//! Parser of hostile ELF headers (`elf(5)`), for the program loader.
//!
//! [`Elf::parse`] checks what Linux' `fs/binfmt_elf.c` checks, and turns the program headers into a list of mappings
//! to make. Two things differ. What Linux finds out only when it has already replaced the caller's memory, and
//! punishes by a signal, is an `ENOEXEC` here. `PT_GNU_PROPERTY` and other advice to the processor is ignored.
//!
//! Addresses are those of the file. Where a position-independent program goes is for the loader to say, which adds
//! its choice to all of them.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "the bytes are hostile")]
#![forbid(unsafe_code)]

mod header;
mod segment;

use std::ffi::{CStr, CString};
use std::ops::Range;

use bitflags::bitflags;
use cloister_abi::Errno;
use cloister_abi::errno::{EIO, ENOEXEC};
use zerocopy::{FromZeros, IntoBytes};

use crate::header::{FileHeader, PF_X, PT_GNU_STACK, PT_INTERP, PT_LOAD, ProgramHeader};
pub use crate::segment::{FilePages, Segment};

/// The size of a page.
pub const PAGE: u64 = 4096;
/// The end of a user process' addresses: no segment reaches beyond.
const TASK_SIZE: u64 = 0x7fff_ffff_f000;
/// The largest table of program headers.
const MAX_TABLE_BYTES: usize = 64 << 10;
/// The longest path of an interpreter, with its end.
const PATH_MAX: u64 = 4096;

/// Whether a program can be loaded anywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `ET_EXEC`: only at its own addresses.
    Fixed,
    /// `ET_DYN`: anywhere; also what an interpreter is.
    PositionIndependent,
}

/// Whether a program wants an executable stack (`PT_GNU_STACK`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stack {
    /// No, or it does not say.
    #[default]
    NotExecutable,
    /// Yes.
    Executable,
}

bitflags! {
    /// What a segment allows (`PF_*`), in the values of `PROT_*`.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Access: u8 {
        /// Read.
        const READ = 1;
        /// Write.
        const WRITE = 2;
        /// Execute.
        const EXECUTE = 4;
    }
}

/// What the loader needs to know of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Elf {
    /// Whether it can be loaded anywhere.
    pub kind: Kind,
    /// The address of its first instruction.
    pub entry: u64,
    /// The address of the program headers in memory (`AT_PHDR`), if a segment contains them.
    pub headers: Option<u64>,
    /// The number of program headers (`AT_PHNUM`); each has [`Elf::HEADER_BYTES`].
    pub header_count: u16,
    /// What to load, in the order of the file; never empty.
    pub segments: Vec<Segment>,
    /// The path of the interpreter, if the program wants one.
    pub interpreter: Option<CString>,
    /// Whether the stack is executable.
    pub stack: Stack,
    /// The pages from the first segment's to the last one's; not all need be used.
    pub range: Range<u64>,
    /// The alignment that a load address must have: a power of two, at least a page.
    pub alignment: u64,
}

impl Elf {
    /// The size of a program header (`AT_PHENT`).
    pub const HEADER_BYTES: u16 = 56;

    /// Reads and checks a program's headers by `read_exact_at`, which fills a buffer from an offset of the file or
    /// fails.
    ///
    /// # Errors
    ///
    /// `ENOEXEC` if this is no program for this system; `EIO` if the interpreter's path can't be read.
    pub fn parse(mut read_exact_at: impl FnMut(u64, &mut [u8]) -> Result<(), Errno>) -> Result<Self, Errno> {
        let mut header = FileHeader::new_zeroed();
        read_exact_at(0, header.as_mut_bytes()).map_err(|_| ENOEXEC)?;
        let kind = header.check()?;

        let table_bytes = usize::from(header.phnum).checked_mul(size_of::<ProgramHeader>()).ok_or(ENOEXEC)?;
        if usize::from(header.phentsize) != size_of::<ProgramHeader>()
            || table_bytes == 0
            || table_bytes > MAX_TABLE_BYTES
        {
            return Err(ENOEXEC);
        }
        let mut table = vec![ProgramHeader::new_zeroed(); usize::from(header.phnum)];
        read_exact_at(header.phoff, table.as_mut_bytes()).map_err(|_| ENOEXEC)?;

        let loaded = || table.iter().filter(|header| header.kind == PT_LOAD);
        let segments = loaded().map(Segment::new).collect::<Result<Vec<_>, _>>()?;
        let start = segments.iter().map(|segment| segment.pages().start).min().ok_or(ENOEXEC)?;
        let end = segments.iter().map(|segment| segment.pages().end).max().ok_or(ENOEXEC)?;
        let interpreter = match table.iter().find(|header| header.kind == PT_INTERP) {
            Some(header) => Some(read_path(header, &mut read_exact_at)?),
            None => None,
        };
        let stack = match table.iter().rfind(|header| header.kind == PT_GNU_STACK) {
            Some(header) if header.flags & PF_X != 0 => Stack::Executable,
            _ => Stack::NotExecutable,
        };
        let alignments = loaded().map(|header| header.align).filter(|align| align.is_power_of_two());
        Ok(Self {
            kind,
            entry: header.entry,
            headers: segments.iter().rev().find_map(|segment| segment.address_of(header.phoff)),
            header_count: header.phnum,
            segments,
            interpreter,
            stack,
            range: start..end,
            alignment: alignments.fold(PAGE, u64::max),
        })
    }
}

/// Reads the path of the interpreter.
fn read_path(
    header: &ProgramHeader,
    read_exact_at: &mut impl FnMut(u64, &mut [u8]) -> Result<(), Errno>,
) -> Result<CString, Errno> {
    if !(2..=PATH_MAX).contains(&header.filesz) {
        return Err(ENOEXEC);
    }
    let mut path = vec![0; usize::try_from(header.filesz).map_err(|_| ENOEXEC)?];
    read_exact_at(header.offset, &mut path).map_err(|_| EIO)?;
    if path.last() != Some(&0) {
        return Err(ENOEXEC);
    }
    CStr::from_bytes_until_nul(&path).map(CStr::to_owned).map_err(|_| ENOEXEC)
}
