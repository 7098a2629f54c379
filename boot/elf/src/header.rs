//! The structures of the file (`elf(5)`).

use cloister_abi::Errno;
use cloister_abi::errno::ENOEXEC;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::Kind;

pub(crate) const PT_LOAD: u32 = 1;
pub(crate) const PT_INTERP: u32 = 3;
pub(crate) const PT_GNU_STACK: u32 = 0x6474_e551;

pub(crate) const PF_X: u32 = 1;
pub(crate) const PF_W: u32 = 2;
pub(crate) const PF_R: u32 = 4;

const ET_EXEC: u16 = 2;
const ET_DYN: u16 = 3;
const EM_X86_64: u16 = 62;

/// `Elf64_Ehdr`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub(crate) struct FileHeader {
    ident: [u8; 16],
    kind: u16,
    machine: u16,
    version: u32,
    pub(crate) entry: u64,
    pub(crate) phoff: u64,
    shoff: u64,
    flags: u32,
    ehsize: u16,
    pub(crate) phentsize: u16,
    pub(crate) phnum: u16,
    shentsize: u16,
    shnum: u16,
    shstrndx: u16,
}

impl FileHeader {
    /// Checks that this is a program for x86-64. As in Linux the class, the byte order and the versions are not
    /// looked at: the machine says it all.
    pub(crate) fn check(&self) -> Result<Kind, Errno> {
        if !self.ident.starts_with(b"\x7fELF") || self.machine != EM_X86_64 {
            return Err(ENOEXEC);
        }
        match self.kind {
            ET_EXEC => Ok(Kind::Fixed),
            ET_DYN => Ok(Kind::PositionIndependent),
            _ => Err(ENOEXEC),
        }
    }
}

/// `Elf64_Phdr`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub(crate) struct ProgramHeader {
    pub(crate) kind: u32,
    pub(crate) flags: u32,
    pub(crate) offset: u64,
    pub(crate) vaddr: u64,
    pub(crate) paddr: u64,
    pub(crate) filesz: u64,
    pub(crate) memsz: u64,
    pub(crate) align: u64,
}
