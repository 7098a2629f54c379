//! Call sites that are patched, so that a system call there is a jump instead of a signal.
//!
//! Compilers and C libraries make nearly all system calls by `mov imm32, %eax; syscall` or by `syscall; cmp imm32, %rax`,
//! and `rt_sigreturn(2)` by `mov imm32, %rax; syscall`: seven bytes and more, in place of which goes a jump of seven bytes,
//! through a pointer in the *call table*. That is a range of low addresses, which a jump can name in 32 bits from
//! everywhere; in it each patched site has an entry:
//!
//! ```text
//! site:   jmp *entry           entry:  .quad code, after, resume
//! after:  ...                  code:   mov $number, %eax      # where the site had that
//!                                      mov $entry, %r11d
//!                                      jmp *table             # `cloister_stub_call_site`
//!                              resume: cmp $number, %rax      # where the site had that; else `resume` is `after`
//!                                      jmp *behind_site
//! ```
//!
//! # What can go wrong, and does not
//!
//! * Code that jumps to a `syscall` that is the second instruction (a call that is restarted, a thread that was between the
//!   two) finds the upper half of the entry's address there, whose first byte, 6, is no instruction. The `SIGILL` is taken
//!   for the call that it stands for.
//! * A thread that is to go on at a comparison that was the second instruction (most that waited when the site was patched)
//!   is sent to the entry's instead. Sites where an instruction near by jumps to the comparison are left alone.
//! * Text is changed only while no thread of the address space runs guest code, so none can be within the seven bytes.
//! * Only private, read-only mappings of files are changed: the host gives the address space its own copy of the page.
//!   Code that was made at run time is left alone. Programs that read their own text see the jump.
//! * Nothing is pushed, so the red zone is kept; `rcx` and `r11` are what `syscall` changes too.
//! * A `syscall` after a `mov` of seven bytes stays, for who jumps there. Unwinders know the frame of a signal handler by
//!   these two instructions where it has no unwinding information, which the C library's has.
//! * A thread that is interrupted on the way is taken for one that is still at the site, or made the call already.
//! * The table is the address space's own memory, which guest code can read and execute. It is no secret, and could be
//!   anything: guest code that jumps there makes a system call.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use cloister_abi::{Errno, Registers, errno};

use crate::TrapHandler;
use crate::ptrace::image::PAGE;
use crate::ptrace::space::Space;
use crate::ptrace::sys;

/// The call table. The third byte of an address in it is no instruction.
pub(crate) const TABLE: Range<u64> = 0x6_0000..0x7_0000;
/// The size of an entry. The first one holds where all others jump to.
const ENTRY_BYTES: u64 = 64;
/// How many entries there can be.
const MAX_ENTRIES: usize = 1024;
const _: () = assert!(MAX_ENTRIES as u64 * ENTRY_BYTES == TABLE.end - TABLE.start);
/// Where code begins in an entry, and where the part is that comes after the call.
const CODE: u64 = 24;
const RESUME: u64 = 44;
/// The size of a page.
const PAGE_BYTES: usize = 4096;
/// How far around a site jumps to its second instruction are looked for.
const NEAR_BYTES: u64 = 2048;
/// The instructions of a site.
type Site = [u8; 7];
/// Their size.
const SITE_BYTES: u64 = size_of::<Site>() as u64;
/// How often a site is trapped at before it is patched: what patching costs.
const TRAPS: u32 = 8;
/// How many sites are watched. More are left as they are: a program that has so many makes them at run time.
const MAX_WATCHED: usize = 4096;
/// The calls that their thread does not return from, and has to come by a signal for to be another one's: `execve`, `exit`,
/// `exit_group`, `execveat`.
const UNPATCHED: [u32; 4] = [59, 60, 231, 322];

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
    /// Those whose text is patched, by where calls go on: the number of the entry.
    sites: HashMap<u64, usize>,
    /// From the second entry on.
    entries: Vec<Call>,
}

/// A site that has an entry in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Call {
    /// Where the site begins.
    start: u64,
    shape: Shape,
}

/// The instructions of a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// `mov $number, %eax; syscall`.
    Number(u32),
    /// `mov $number, %rax; syscall`, of which the first is replaced.
    LongNumber(u32),
    /// `syscall; cmp $number, %rax`.
    Compare(u32),
}

/// Where a thread is that was stopped in the table.
pub(super) enum At {
    /// At a site that begins there.
    Site(u64),
    /// At this address of its program.
    Program(u64),
    /// At a call that goes on there; with the number, if it is not in `rax` yet.
    Call(u64, Option<u32>),
}

impl Call {
    /// Reads the site of a call that goes on at `after`, from the bytes around that.
    fn of_site(before: [u8; 9], behind: [u8; 6], after: u64) -> Option<Self> {
        if let [0x48, 0xc7, 0xc0, a, b, c, d, 0x0f, 0x05] = before {
            let number = u32::from_le_bytes([a, b, c, d]);
            return Some(Self { start: after - SITE_BYTES - 2, shape: Shape::LongNumber(number) });
        }
        if let [_, previous, 0xb8, a, b, c, d, 0x0f, 0x05] = before
            // With a prefix the instruction would be for another register.
            && !matches!(previous, 0x40..=0x4f | 0x66)
        {
            let number = u32::from_le_bytes([a, b, c, d]);
            return Some(Self { start: after - SITE_BYTES, shape: Shape::Number(number) });
        }
        let ([.., 0x0f, 0x05], [0x48, 0x3d, a, b, c, d]) = (before, behind) else { return None };
        Some(Self { start: after - 2, shape: Shape::Compare(u32::from_le_bytes([a, b, c, d])) })
    }

    /// Returns where calls go on.
    fn after(self) -> u64 {
        match self.shape {
            Shape::Number(_) => self.start + SITE_BYTES,
            Shape::LongNumber(_) => self.start + SITE_BYTES + 2,
            Shape::Compare(_) => self.start + 2,
        }
    }

    /// Returns the first seven bytes of the site as the program has them.
    fn site(self) -> Site {
        match self.shape {
            Shape::Number(number) => {
                let [a, b, c, d] = number.to_le_bytes();
                [0xb8, a, b, c, d, 0x0f, 0x05]
            }
            Shape::LongNumber(number) => {
                let [a, b, c, d] = number.to_le_bytes();
                [0x48, 0xc7, 0xc0, a, b, c, d]
            }
            Shape::Compare(number) => {
                let [a, b, c, _] = number.to_le_bytes();
                [0x0f, 0x05, 0x48, 0x3d, a, b, c]
            }
        }
    }

    /// Returns the table's entry at `entry`, as words.
    fn entry(self, entry: u64) -> [u64; 8] {
        let mut bytes = [0; 64];
        let mut put = |offset: u64, parts: &[&[u8]]| {
            let to = bytes.iter_mut().skip(usize::try_from(offset).unwrap_or(usize::MAX));
            to.zip(parts.iter().copied().flatten()).for_each(|(to, from)| *to = *from);
        };
        // `jmp *target(%rip)`, an instruction of six bytes at `at`.
        let jump = |at: u64, target: u64| {
            let [a, b, c, d, ..] = target.wrapping_sub(entry + at + 6).to_le_bytes();
            [0xff, 0x25, a, b, c, d]
        };
        let [a, b, c, d, ..] = entry.to_le_bytes();
        let load_entry = [0x41, 0xbb, a, b, c, d];
        put(0, &[&(entry + CODE).to_le_bytes(), &self.after().to_le_bytes()]);
        match self.shape {
            // The number is positive, as the short instruction leaves it too.
            Shape::Number(number) | Shape::LongNumber(number) => {
                put(16, &[&self.after().to_le_bytes()]);
                put(CODE, &[&[0xb8], &number.to_le_bytes(), &load_entry, &jump(CODE + 11, TABLE.start)]);
            }
            Shape::Compare(number) => {
                put(16, &[&(entry + RESUME).to_le_bytes()]);
                put(CODE, &[&load_entry, &jump(CODE + 6, TABLE.start)]);
                put(RESUME, &[&[0x48, 0x3d], &number.to_le_bytes(), &jump(RESUME + 6, entry + 56)]);
                put(56, &[&(self.start + 8).to_le_bytes()]);
            }
        }
        zerocopy::transmute!(bytes)
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

    /// Returns the site of the entry at an address of the table, and how far into it that is.
    fn call_at(&self, address: u64) -> Option<(Call, u64)> {
        let offset = address.checked_sub(TABLE.start)?;
        let index = usize::try_from((offset / ENTRY_BYTES).checked_sub(1)?).ok()?;
        Some((*self.patched.entries.get(index)?, offset % ENTRY_BYTES))
    }

    /// Returns where calls of an entry go on.
    pub(super) fn after(&self, entry: u64) -> Option<u64> {
        self.call_at(entry).map(|(call, _)| call.after())
    }

    /// Returns where in its program a thread is that was stopped at an address of the table.
    pub(super) fn place_of(&self, address: u64) -> Option<At> {
        let (call, offset) = self.call_at(address)?;
        Some(match (call.shape, offset) {
            (_, CODE) => At::Site(call.start),
            (Shape::Compare(_), RESUME) => At::Program(call.after()),
            (Shape::Compare(_), RESUME..) => At::Program(call.start + 8),
            (Shape::Compare(_), _) => At::Call(call.after(), None),
            (Shape::Number(number) | Shape::LongNumber(number), _) => At::Call(call.after(), Some(number)),
        })
    }

    /// Returns the patched site whose calls go on at `after`, and its entry.
    fn site(&self, after: u64) -> Option<(Call, u64)> {
        let index = *self.patched.sites.get(&after)?;
        Some((*self.patched.entries.get(index)?, entry_address(index)))
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
    let (mut before, mut behind) = ([0; 9], [0; 6]);
    let read = |address: u64, into: &mut [u8]| sys::read_memory(space.helper(), address, into) == into.len();
    let [first, rest @ ..] = &mut before;
    if !read(after.wrapping_sub(8), rest) {
        return Err(errno::EFAULT);
    }
    // There may be nothing before that, or behind.
    let _ = read(after.wrapping_sub(9), std::slice::from_mut(first));
    let _ = read(after, &mut behind);
    let call = Call::of_site(before, behind, after).ok_or(errno::ENOEXEC)?;
    let is_it = match call.shape {
        // What the instruction sets must be what the thread came with: then it is the instruction that it looks like.
        Shape::Number(number) => u64::from(number) == registers.orig_rax,
        Shape::LongNumber(number) => u64::from(number) == registers.orig_rax && number.cast_signed() >= 0,
        Shape::Compare(_) => !is_jumped_to(space, after),
    };
    let is_wanted = !UNPATCHED.iter().any(|number| u64::from(*number) == registers.orig_rax);
    if !is_it || !is_wanted || !handler.is_fixed_text(call.start - 1..call.start + 8) {
        return Err(errno::ENOEXEC);
    }
    let index = space.call_sites().take(call).ok_or(errno::ENOSPC)?;
    let entry = entry_address(index);
    for (number, word) in (0..).zip(call.entry(entry)) {
        space.poke(entry + number * 8, word)?;
    }
    write_site(space, call.start, jump(entry))?;
    Arc::make_mut(&mut space.call_sites().patched).sites.insert(after, index);
    Ok(())
}

/// Returns whether there may be a jump to `target` near by, wherever instructions begin.
fn is_jumped_to(space: &Space, target: u64) -> bool {
    let start = target.saturating_sub(NEAR_BYTES) / PAGE * PAGE;
    let mut bytes = vec![0; usize::try_from(2 * NEAR_BYTES + PAGE).unwrap_or_default()];
    for (address, page) in (start..).step_by(PAGE_BYTES).zip(bytes.chunks_mut(PAGE_BYTES)) {
        // There may be nothing before or behind the text.
        let _ = sys::read_memory(space.helper(), address, page);
    }
    let distance = |end: u64| i64::try_from(i128::from(target) - i128::from(end)).ok();
    (start..).zip(bytes.windows(6)).any(|(at, window)| match *window {
        [0x70..=0x7f | 0xe0..=0xe3 | 0xeb, to, ..] => distance(at + 2) == Some(to.cast_signed().into()),
        [0xe8 | 0xe9, a, b, c, d, _] => distance(at + 5) == Some(i32::from_le_bytes([a, b, c, d]).into()),
        [0x0f, 0x80..=0x8f, a, b, c, d] => distance(at + 6) == Some(i32::from_le_bytes([a, b, c, d]).into()),
        _ => false,
    })
}

/// Puts instructions in the place of a site.
fn write_site(space: &Space, start: u64, site: Site) -> Result<(), Errno> {
    let mut word = [0; 8];
    if sys::read_memory(space.helper(), start, &mut word) != word.len() {
        return Err(errno::EFAULT);
    }
    for (to, from) in word.iter_mut().zip(site) {
        *to = from;
    }
    space.poke(start, u64::from_le_bytes(word))
}

/// Returns whether the jump is at a site now, whose text the program may have replaced.
fn is_there(space: &Space, start: u64, entry: u64) -> bool {
    let mut bytes = Site::default();
    sys::read_memory(space.helper(), start, &mut bytes) == bytes.len() && bytes == jump(entry)
}

/// Returns where a thread goes on whose `SIGILL` at `rip` stands for a system call: it came to the second half of a
/// patched site.
pub(super) fn second_half(space: &Space, rip: u64) -> Option<u64> {
    let after = rip.checked_add(2)?;
    let (call, entry) = space.call_sites().site(after)?;
    (matches!(call.shape, Shape::Number(_)) && is_there(space, call.start, entry)).then_some(after)
}

/// Returns where a thread that is to go on at `rip` must do so.
pub(super) fn resume_at(space: &Space, rip: u64) -> u64 {
    let site = space.call_sites().site(rip);
    match site {
        Some((call, entry))
            if matches!(call.shape, Shape::Compare(_)) && is_there(space, call.start, entry) =>
        {
            entry + RESUME
        }
        _ => rip,
    }
}

/// Restores the text in `range`, which is about to be moved to where its calls would not go on.
pub(crate) fn restore(space: &Space, range: &Range<u64>) {
    let sites: Vec<_> = {
        let sites = space.call_sites();
        let sites = sites.patched.sites.keys().filter_map(|after| sites.site(*after));
        sites.filter(|(call, _)| range.contains(&call.start) || range.contains(&(call.start + 8))).collect()
    };
    for (call, entry) in sites {
        if is_there(space, call.start, entry) {
            let _ = write_site(space, call.start, call.site());
        }
        let mut sites = space.call_sites();
        Arc::make_mut(&mut sites.patched).sites.remove(&call.after());
        sites.traps.remove(&call.after());
    }
}
