//! Call sites that are patched, so that a system call there is a jump instead of a signal.
//!
//! Compilers and C libraries make nearly all system calls by `mov imm32, %eax; syscall`: seven bytes, in place of which
//! goes a jump of seven bytes, through a pointer in the *call table*. That is a range of low addresses, which a jump can
//! name in 32 bits from everywhere; in it each patched site has the pointer and a few instructions of its own:
//!
//! ```text
//! site:   jmp *entry           entry:  .quad entry + 8
//! after:  ...                          mov $number, %eax
//!                                      mov $after, %r11
//!                                      jmp *table            # `cloister_stub_call_site`
//! ```
//!
//! # What can go wrong, and does not
//!
//! * Code that jumps to the `syscall` instruction itself (a call that is restarted, a thread that was between the two
//!   instructions) finds the upper half of the entry's address there, whose first byte, 6, is no instruction. The
//!   `SIGILL` is taken for the call that it stands for.
//! * Text is changed only while no thread of the address space runs guest code, so none can be within the seven bytes.
//! * Only private, read-only mappings of files are changed: the host gives the address space its own copy of the page.
//!   Code that was made at run time is left alone. Programs that read their own text see the jump.
//! * Nothing is pushed, so the red zone is kept; `rcx` and `r11` are what `syscall` changes too.
//! * A thread that is interrupted on the way is taken for one that made the call already.
//! * The table is the address space's own memory, which guest code can read and execute. It is no secret, and could be
//!   anything: guest code that jumps there makes a system call.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use cloister_abi::{Errno, Registers, errno};

use crate::TrapHandler;
use crate::ptrace::space::Space;
use crate::ptrace::sys;

/// The call table. The third byte of an address in it is no instruction.
pub(crate) const TABLE: Range<u64> = 0x6_0000..0x7_0000;
/// The size of an entry. The first one holds where all others jump to.
const ENTRY_BYTES: u64 = 32;
/// How many entries there can be.
const MAX_ENTRIES: usize = 2048;
const _: () = assert!(MAX_ENTRIES as u64 * ENTRY_BYTES == TABLE.end - TABLE.start);
/// The instructions of a site.
type Site = [u8; 7];
/// Their size.
const SITE_BYTES: u64 = size_of::<Site>() as u64;
/// How often a site is trapped at before it is patched: what patching costs.
const TRAPS: u32 = 8;
/// How many sites are watched. More are left as they are: a program that has so many makes them at run time.
const MAX_WATCHED: usize = 4096;
/// The calls for which the kernel needs all registers of their thread, or that it does not return from: `rt_sigreturn`,
/// `clone`, `fork`, `vfork`, `execve`, `exit`, `kill`, `rt_sigqueueinfo`, `tkill`, `exit_group`, `tgkill`,
/// `rt_tgsigqueueinfo`, `execveat`, `clone3`.
const UNPATCHED: [u32; 14] = [15, 56, 57, 58, 59, 60, 62, 129, 200, 231, 234, 297, 322, 435];

/// The call sites of an address space.
#[derive(Debug, Default)]
pub(crate) struct CallSites {
    /// How often calls came by a signal, by where they go on.
    traps: HashMap<u64, u32>,
    /// Shared with copies of the address space until either patches more.
    patched: Arc<Patched>,
}

#[derive(Clone, Debug, Default)]
struct Patched {
    /// Those whose text is patched, by where their calls go on: the number of the entry.
    sites: HashMap<u64, usize>,
    /// From the second entry on.
    entries: Vec<Call>,
}

/// What an entry of the table is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Call {
    /// Where the thread goes on.
    pub(super) after: u64,
    /// The number of the system call.
    pub(super) number: u32,
}

impl Call {
    /// Returns the table's entry, as words.
    fn entry(self, address: u64) -> [u64; 4] {
        /// `jmp *offset(%rip)`, from where this instruction ends.
        const JUMP: [u8; 2] = [0xff, 0x25];
        let end = address + 29;
        let offset = u32::try_from(TABLE.start.wrapping_sub(end) & u64::from(u32::MAX)).unwrap_or_default();
        let mut code = [0; 32];
        let parts: [&[u8]; 7] = [
            &(address + 8).to_le_bytes(),
            &[0xb8],
            &self.number.to_le_bytes(),
            &[0x49, 0xbb],
            &self.after.to_le_bytes(),
            &JUMP,
            &offset.to_le_bytes(),
        ];
        let bytes = parts.into_iter().flatten();
        for (to, from) in code.iter_mut().zip(bytes) {
            *to = *from;
        }
        zerocopy::transmute!(code)
    }

    /// Returns the instructions of the site as the program has them.
    fn site(self) -> Site {
        let [a, b, c, d] = self.number.to_le_bytes();
        [0xb8, a, b, c, d, 0x0f, 0x05]
    }

    /// Reads a site, and the byte before it.
    fn of_site(bytes: [u8; 8], after: u64) -> Option<Self> {
        let [before, 0xb8, a, b, c, d, 0x0f, 0x05] = bytes else { return None };
        // With a prefix the instruction would be for another register.
        let is_prefix = matches!(before, 0x40..=0x4f | 0x66);
        (!is_prefix).then_some(Self { after, number: u32::from_le_bytes([a, b, c, d]) })
    }
}

/// Returns the jump that takes the place of a site.
fn jump(entry: u64) -> Site {
    // An address in the table has no more than four bytes.
    let [a, b, c, d, ..] = entry.to_le_bytes();
    [0xff, 0x24, 0x25, a, b, c, d]
}

fn entry_address(index: usize) -> u64 {
    TABLE.start + (index as u64 + 1) * ENTRY_BYTES
}

impl CallSites {
    /// Returns what a copy of the address space begins with.
    pub(crate) fn copy(&self) -> Self {
        Self { traps: HashMap::new(), patched: Arc::clone(&self.patched) }
    }

    /// Takes note of a call that came by a signal and goes on at `after`. Returns whether to patch the site.
    fn note_trap(&mut self, after: u64) -> bool {
        if self.traps.len() >= MAX_WATCHED && !self.traps.contains_key(&after) {
            return false;
        }
        let traps = self.traps.entry(after).or_default();
        *traps = traps.saturating_add(1);
        *traps == TRAPS
    }

    /// Has the next call that comes from there by a signal be looked at again.
    fn put_off(&mut self, after: u64) {
        self.traps.entry(after).and_modify(|traps| *traps = TRAPS - 1);
    }

    /// Returns the call of the entry at an address of the table.
    pub(super) fn call_at(&self, address: u64) -> Option<Call> {
        let index = (address.checked_sub(TABLE.start)? / ENTRY_BYTES).checked_sub(1)?;
        self.patched.entries.get(usize::try_from(index).ok()?).copied()
    }

    /// Returns the entry of the site whose calls go on at `after`, if it is patched.
    fn entry_of(&self, after: u64) -> Option<u64> {
        self.patched.sites.get(&after).map(|index| entry_address(*index))
    }

    /// Takes an entry for a site: the one that it had before, if it had one.
    fn take(&mut self, call: Call) -> Option<usize> {
        let patched = Arc::make_mut(&mut self.patched);
        if let Some(index) = patched.entries.iter().position(|entry| *entry == call) {
            return Some(index);
        }
        (patched.entries.len() + 1 < MAX_ENTRIES).then(|| {
            patched.entries.push(call);
            patched.entries.len() - 1
        })
    }
}

/// Makes the table of an address space that is to be copied.
pub(super) fn make_table(space: &Space, call_site: u64) -> Result<(), Errno> {
    let flags = libc::MAP_FIXED | libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    let protection = (libc::PROT_READ | libc::PROT_EXEC).cast_unsigned();
    let size = TABLE.end - TABLE.start;
    let arguments = [TABLE.start, size, protection.into(), flags.cast_unsigned().into(), u64::MAX, 0];
    space.call(libc::SYS_mmap, arguments)?;
    space.poke(TABLE.start, call_site)
}

/// Takes note of a call that came by a signal, and patches its site if it is worth it and `is_quiet`: no other thread
/// of the address space runs.
pub(super) fn consider(
    space: &Space,
    registers: &Registers,
    handler: &dyn TrapHandler,
    is_quiet: impl FnOnce() -> bool,
) {
    let after = registers.rip;
    if !space.call_sites().note_trap(after) {
        return;
    }
    if !is_quiet() {
        space.call_sites().put_off(after);
        return;
    }
    // A site that can't be patched stays as it is.
    let _ = patch(space, registers, handler);
}

fn patch(space: &Space, registers: &Registers, handler: &dyn TrapHandler) -> Result<(), Errno> {
    let after = registers.rip;
    let start = after.checked_sub(SITE_BYTES).ok_or(errno::EFAULT)?;
    let mut bytes = [0; 8];
    if sys::read_memory(space.helper(), start - 1, &mut bytes) != bytes.len() {
        return Err(errno::EFAULT);
    }
    let call = Call::of_site(bytes, after).ok_or(errno::ENOEXEC)?;
    // What the instruction sets must be what the thread came with: then it is the instruction that it looks like.
    let is_it = u64::from(call.number) == registers.orig_rax && !UNPATCHED.contains(&call.number);
    if !is_it || !handler.is_fixed_text(start - 1..after) {
        return Err(errno::ENOEXEC);
    }
    let index = space.call_sites().take(call).ok_or(errno::ENOSPC)?;
    let entry = entry_address(index);
    for (number, word) in (0..).zip(call.entry(entry)) {
        space.poke(entry + number * 8, word)?;
    }
    write_site(space, bytes[0], start, jump(entry))?;
    Arc::make_mut(&mut space.call_sites().patched).sites.insert(after, index);
    Ok(())
}

/// Puts instructions in the place of a site.
fn write_site(space: &Space, before: u8, start: u64, site: Site) -> Result<(), Errno> {
    let [a, b, c, d, e, f, g] = site;
    space.poke(start - 1, u64::from_le_bytes([before, a, b, c, d, e, f, g]))
}

/// Returns where a thread goes on whose `SIGILL` at `rip` stands for a system call: it came to the second half of a
/// patched site.
pub(super) fn second_half(space: &Space, rip: u64) -> Option<u64> {
    let after = rip.checked_add(2)?;
    let entry = space.call_sites().entry_of(after)?;
    let mut bytes = Site::default();
    let length = sys::read_memory(space.helper(), after.checked_sub(SITE_BYTES)?, &mut bytes);
    (length == bytes.len() && bytes == jump(entry)).then_some(after)
}

/// Restores the text in `range`, which is about to be moved to where its calls would not go on.
pub(crate) fn restore(space: &Space, range: &Range<u64>) {
    let sites: Vec<_> = {
        let sites = space.call_sites();
        let is_in = |after: &u64| range.contains(after) || range.contains(&after.saturating_sub(SITE_BYTES));
        sites
            .patched
            .sites
            .iter()
            .filter(|(after, _)| is_in(after))
            .map(|(after, index)| (*after, *index))
            .collect()
    };
    for (after, index) in sites {
        let start = after - SITE_BYTES;
        let call = space.call_sites().patched.entries.get(index).copied();
        let mut bytes = [0; 8];
        let length = sys::read_memory(space.helper(), start - 1, &mut bytes);
        let [before, present @ ..] = bytes;
        if let Some(call) = call
            && length == bytes.len()
            && present == jump(entry_address(index))
        {
            let _ = write_site(space, before, start, call.site());
        }
        let mut sites = space.call_sites();
        Arc::make_mut(&mut sites.patched).sites.remove(&after);
        sites.traps.remove(&after);
    }
}
