//! The second step: the program in memory.

use std::sync::Arc;

use cloister_abi::{Registers, auxvec};
use cloister_elf::{Elf, Kind, Stack};
use cloister_platform::Protection;

use super::prepare::Prepared;
use super::segments::{self, Placed};
use super::stack::{StackContents, StackImage};
use crate::context::SyscallCx;
use crate::error::{Fail, fail};
use crate::mm::{self, Layout, Mm, PAGE_BYTES, ProgramInfo, Vma, VmaBacking, VmaFlags, VmaName};
use crate::prelude::errno;
use crate::rand;
use crate::task::Credentials;
use crate::time::TICKS_PER_SECOND;

/// How much stack a program has without a page fault.
const FREE_STACK_BYTES: u64 = 128 << 10;

/// What a task becomes that executes a program.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// Where it starts.
    pub(crate) registers: Registers,
    /// Who it is.
    pub(crate) credentials: Credentials,
    /// What it is called.
    pub(crate) name: Vec<u8>,
    /// Whether it may do more than its caller could.
    pub(crate) is_secure: bool,
}

impl Prepared {
    /// Loads the program into an address space that holds nothing.
    ///
    /// # Errors
    ///
    /// `ENOMEM` if it does not fit, `ENOEXEC` if its file can't be mapped, or the host's.
    pub(crate) fn load(self, cx: &SyscallCx<'_>, mm: &Mm) -> Result<Loaded, Fail> {
        let layout = mm.layout();
        let base = match self.elf.kind {
            Kind::Fixed => Placed { bias: 0 },
            Kind::PositionIndependent => segments::place_at(&self.elf, layout.program_base)?,
        };
        segments::plan(mm, &self.elf, base, &self.executable.object(cx.task)?)?;
        let interpreter = match &self.interpreter {
            None => None,
            Some((file, elf)) => {
                let gap = mm.find_gap(elf.range.end - elf.range.start + elf.alignment)?;
                let placed = segments::place_at(elf, gap)?;
                segments::plan(mm, elf, placed, &file.object(cx.task)?)?;
                Some((placed, elf))
            }
        };
        let vdso = plan_vdso(cx, mm)?;
        let heap = base.address(self.elf.range.end).checked_add(layout.break_shift);
        mm.set_heap_start(heap.ok_or(fail(errno::ENOMEM, "no room for the heap"))?);

        let entry = match interpreter {
            Some((placed, elf)) => placed.address(elf.entry),
            None => base.address(self.elf.entry),
        };
        let auxiliary = self.auxiliary_vector(base, interpreter.map_or(0, |(placed, _)| placed.bias), vdso);
        let image = self.plan_stack(mm, &layout, &auxiliary)?;

        mm.map_planned()?;
        segments::clear_ends(mm, &self.elf, base)?;
        if let Some((placed, elf)) = interpreter {
            segments::clear_ends(mm, elf, placed)?;
        }
        if mm.write(image.pointer, &image.bytes) < image.bytes.len() {
            return Err(fail(errno::ENOMEM, "the stack can't be filled"));
        }

        let (code, data) = segments::code_and_data(&self.elf, base);
        let name = self.path.rsplit(|byte| *byte == b'/').next().unwrap_or_default().to_vec();
        let registers = Registers::start_at(entry, image.pointer);
        mm.set_program(ProgramInfo {
            file: Some(Arc::clone(&self.executable.file)),
            code,
            data,
            stack_start: image.pointer,
            arguments: image.arguments,
            environment: image.environment,
            auxiliary_vector: image.auxiliary_vector,
        });
        Ok(Loaded {
            registers,
            credentials: self.privileges.credentials,
            name,
            is_secure: self.privileges.is_secure,
        })
    }

    /// Returns the auxiliary vector, without what is only known when the stack is built.
    fn auxiliary_vector(&self, base: Placed, interpreter: u64, vdso: u64) -> Vec<(u64, u64)> {
        let credentials = &self.privileges.credentials;
        let (hwcap, hwcap2) = rustix::param::linux_hwcap();
        [
            (auxvec::AT_SYSINFO_EHDR, vdso),
            (auxvec::AT_HWCAP, hwcap as u64),
            (auxvec::AT_PAGESZ, PAGE_BYTES),
            (auxvec::AT_CLKTCK, TICKS_PER_SECOND),
            (auxvec::AT_PHDR, self.elf.headers.map_or(0, |at| base.address(at))),
            (auxvec::AT_PHENT, u64::from(Elf::HEADER_BYTES)),
            (auxvec::AT_PHNUM, u64::from(self.elf.header_count)),
            (auxvec::AT_BASE, interpreter),
            (auxvec::AT_FLAGS, 0),
            (auxvec::AT_ENTRY, base.address(self.elf.entry)),
            (auxvec::AT_UID, u64::from(credentials.uid)),
            (auxvec::AT_EUID, u64::from(credentials.euid)),
            (auxvec::AT_GID, u64::from(credentials.gid)),
            (auxvec::AT_EGID, u64::from(credentials.egid)),
            (auxvec::AT_SECURE, u64::from(self.privileges.is_secure)),
            (auxvec::AT_HWCAP2, hwcap2 as u64),
        ]
        .map(|(kind, value)| (u64::from(kind), value))
        .to_vec()
    }

    /// Plans the stack, and returns what its top is to hold.
    fn plan_stack(&self, mm: &Mm, layout: &Layout, auxiliary: &[(u64, u64)]) -> Result<StackImage, Fail> {
        let mut random = [0; 16];
        rand::fill(&mut random);
        let contents = StackContents { arguments: &self.arguments, path: &self.path, random, auxiliary };
        let image = contents.build(layout.stack_top);
        let no_room = || fail(errno::ENOMEM, "no room for the stack");
        let size = mm::page_up(image.bytes.len() as u64 + FREE_STACK_BYTES).ok_or_else(no_room)?;
        let start = layout.stack_top.checked_sub(size).ok_or_else(no_room)?;
        let mut protection = Protection::READ | Protection::WRITE;
        protection.set(Protection::EXECUTE, self.elf.stack == Stack::Executable);
        mm.plan(start..layout.stack_top, Vma::anonymous(protection, VmaFlags::GROWS_DOWN))?;
        Ok(image)
    }
}

/// Plans the vDSO, and returns where.
fn plan_vdso(cx: &SyscallCx<'_>, mm: &Mm) -> Result<u64, Fail> {
    let (object, len) = cx.kernel().vdso.get()?;
    let start = mm.find_gap(len)?;
    let mut vma = Vma::anonymous(Protection::READ | Protection::EXECUTE, VmaFlags::empty());
    vma.backing = VmaBacking::Object { object, offset: 0 };
    vma.name = VmaName::Vdso;
    mm.plan(start..start + len, vma)?;
    Ok(start)
}
