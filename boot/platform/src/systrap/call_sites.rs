//! Call sites that are patched, so that a system call there is a jump instead of a signal.
//!
//! Compilers and C libraries make nearly all system calls by `mov imm32, %eax; syscall` or by `syscall; cmp imm32, %rax`,
//! or have an instruction of seven bytes before the `syscall` that can be elsewhere: `mov imm32, %rax`, `lea`. In place of
//! these seven bytes goes a jump, through a pointer in the *call table*. That is a range of low addresses, which a jump
//! can name in 32 bits from everywhere; in it each patched site has an entry:
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
//! * A `syscall` after an instruction of seven bytes stays, for who jumps there. Unwinders know the frame of a signal handler
//!   by `mov $15, %rax; syscall` where it has no unwinding information, which the C library's has.
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
/// How often a site is trapped at before it is patched: what patching costs, which programs that end soon do without.
const TRAPS: u32 = 24;
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
    /// This instruction, which is replaced, and `syscall`.
    Behind(Site),
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
        if let [_, previous, 0xb8, a, b, c, d, 0x0f, 0x05] = before
            // With a prefix the instruction would be for another register.
            && !matches!(previous, 0x40..=0x4f | 0x66)
        {
            let number = u32::from_le_bytes([a, b, c, d]);
            return Some(Self { start: after - SITE_BYTES, shape: Shape::Number(number) });
        }
        if let [instruction @ .., 0x0f, 0x05] = before
            && Movable::of(instruction).is_some()
        {
            return Some(Self { start: after - SITE_BYTES - 2, shape: Shape::Behind(instruction) });
        }
        let ([.., 0x0f, 0x05], [0x48, 0x3d, a, b, c, d]) = (before, behind) else { return None };
        Some(Self { start: after - 2, shape: Shape::Compare(u32::from_le_bytes([a, b, c, d])) })
    }

    /// Returns where calls go on.
    fn after(self) -> u64 {
        match self.shape {
            Shape::Number(_) => self.start + SITE_BYTES,
            Shape::Behind(_) => self.start + SITE_BYTES + 2,
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
            Shape::Behind(instruction) => instruction,
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
            Shape::Behind(instruction) => {
                put(16, &[&self.after().to_le_bytes()]);
                let moved = Movable::of(instruction)
                    .map(|instruction| instruction.moved(self.start))
                    .unwrap_or_default();
                let length = moved.len() as u64;
                put(CODE, &[&moved, &load_entry, &jump(CODE + length + 6, TABLE.start)]);
            }
            Shape::Number(number) => {
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

/// An instruction of seven bytes that sets a register, and does the same elsewhere.
#[derive(Clone, Copy, Debug)]
struct Movable {
    bytes: Site,
    /// The number of the register that it sets.
    register: u8,
    value: Value,
}

/// What a [`Movable`] sets its register to: the number in it, and more.
#[derive(Clone, Copy, Debug)]
enum Value {
    /// Nothing more: `mov $number, %register`.
    Alone(u64),
    /// The address behind the instruction: `lea number(%rip), %register`.
    FromHere(u64),
    /// What is in the register with this number: `lea number(%other), %register`.
    From(u8, u64),
}

impl Movable {
    fn of(bytes: Site) -> Option<Self> {
        /// The registers that the `syscall` changes.
        const CHANGED: [u8; 2] = [1, 11];
        let [rex @ (0x48 | 0x49 | 0x4c | 0x4d), opcode, operands, a, b, c, d] = bytes else { return None };
        let number = i64::from(i32::from_le_bytes([a, b, c, d])).cast_unsigned();
        let (first, second) = (operands >> 3 & 7 | rex << 1 & 8, operands & 7 | rex << 3 & 8);
        let (register, value) = match (opcode, operands >> 6, operands & 7) {
            (0xc7, 3, _) if first == 0 => (second, Value::Alone(number)),
            (0x8d, 0, 5) => (first, Value::FromHere(number)),
            // 4 is not a register here.
            (0x8d, 2, 0..=3 | 5..=7) if second != first && !CHANGED.contains(&second) => {
                (first, Value::From(second, number))
            }
            _ => return None,
        };
        (!CHANGED.contains(&register)).then_some(Self { bytes, register, value })
    }

    /// Returns whether a thread that is behind the call may have executed this at `start`: its register says so.
    fn was_executed(self, start: u64, registers: &Registers) -> bool {
        let value = match self.value {
            Value::Alone(number) => number,
            Value::FromHere(number) => number.wrapping_add(start + SITE_BYTES),
            Value::From(other, number) => number.wrapping_add(register(registers, other)),
        };
        register(registers, self.register) == value
    }

    /// Returns instructions that do elsewhere what this one does at `start`.
    fn moved(self, start: u64) -> Vec<u8> {
        let Value::FromHere(number) = self.value else { return self.bytes.to_vec() };
        // `mov $address, %register`, with all 64 bits.
        let mut bytes = vec![0x48 | self.register >> 3, 0xb8 | self.register & 7];
        bytes.extend(number.wrapping_add(start + SITE_BYTES).to_le_bytes());
        bytes
    }
}

/// Returns the register with a number that instructions know it by, as a call found it.
fn register(r: &Registers, number: u8) -> u64 {
    let all = [
        r.orig_rax, r.rcx, r.rdx, r.rbx, r.rsp, r.rbp, r.rsi, r.rdi, r.r8, r.r9, r.r10, r.r11, r.r12, r.r13,
        r.r14, r.r15,
    ];
    all.get(usize::from(number)).copied().unwrap_or_default()
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
            (Shape::Compare(_) | Shape::Behind(_), _) => At::Call(call.after(), None),
            (Shape::Number(number), _) => At::Call(call.after(), Some(number)),
        })
    }

    /// Puts the program's instructions where the jumps of patched sites are in `bytes`, which were read at `address`: whole
    /// pages, since a site may be on two.
    pub(crate) fn undo(&self, address: u64, bytes: &mut [u8]) {
        for (call, entry) in self.patched.sites.keys().filter_map(|after| self.site(*after)) {
            let at = |index: u64| {
                let offset = (call.start + index).checked_sub(address)?;
                usize::try_from(offset).ok().filter(|offset| *offset < bytes.len())
            };
            let places: Vec<_> = (0..SITE_BYTES).map(at).collect();
            let is_jump = |(place, byte): (&Option<usize>, u8)| {
                place.is_none_or(|place| bytes.get(place) == Some(&byte))
            };
            // The program may have replaced its text since.
            if !places.iter().zip(jump(entry)).all(is_jump) {
                continue;
            }
            for (place, byte) in places.into_iter().zip(call.site()) {
                if let Some(to) = place.and_then(|place| bytes.get_mut(place)) {
                    *to = byte;
                }
            }
        }
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
        Shape::Behind(instruction) => Movable::of(instruction)
            .is_some_and(|instruction| instruction.was_executed(call.start, registers)),
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
