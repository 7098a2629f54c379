//! The host's vDSO in the stub processes (`vdso(7)`): it stays mapped, beside the platform's pages, because the
//! guest's vDSO calls its functions.

use std::ops::Range;

use rustix::process::Pid;

use super::image::PAGE;
use super::sys;

/// `AT_SYSINFO_EHDR` (`getauxval(3)`).
const AT_SYSINFO_EHDR: u64 = 33;
/// More than any host's vDSO has.
const MAX_BYTES: u64 = 64 << 10;
const MAX_SYMBOLS: usize = 256;

/// The host's vDSO.
#[derive(Debug)]
pub(super) struct HostVdso {
    /// Where it is mapped.
    pub(super) range: Range<u64>,
    bytes: Vec<u8>,
}

impl HostVdso {
    /// Looks for it in a process that is at its entry point with the stack pointer `stack`.
    pub(super) fn find(pid: Pid, stack: u64) -> Option<Self> {
        let start = find_in_stack(&read(pid, stack, PAGE))?;
        let header = read(pid, start, PAGE);
        let length = segment(&header, PT_LOAD)?.length.checked_next_multiple_of(PAGE)?;
        let range = start..start.checked_add(length.min(MAX_BYTES))?;
        let bytes = read(pid, start, range.end - range.start);
        Some(Self { range, bytes })
    }

    /// Returns the address of a function.
    pub(super) fn function(&self, name: &str) -> Option<u64> {
        let dynamic = segment(&self.bytes, PT_DYNAMIC)?;
        let entry = |tag: u64| {
            (0..32)
                .map(|index| dynamic.offset + index * 16)
                .find(|at| word(&self.bytes, *at, 8) == Some(tag))
                .and_then(|at| word(&self.bytes, at + 8, 8))
                .and_then(|value| usize::try_from(value).ok())
        };
        let (symbols, strings) = (entry(DT_SYMTAB)?, entry(DT_STRTAB)?);
        // Nothing says how many there are, short of walking the hash table; what follows them does not match.
        let symbol = (1..MAX_SYMBOLS).map(|index| symbols + index * 24).find(|at| {
            let found = word(&self.bytes, *at, 4).and_then(|offset| usize::try_from(offset).ok());
            let found = found.and_then(|offset| self.bytes.get(strings.checked_add(offset)?..));
            let is_defined = word(&self.bytes, *at + 6, 2) != Some(0);
            let ours = found.and_then(|found| found.strip_prefix(name.as_bytes()));
            is_defined && ours.is_some_and(|rest| rest.first() == Some(&0))
        })?;
        let value = word(&self.bytes, symbol + 8, 8)?;
        let length = self.range.end - self.range.start;
        (value < length).then(|| self.range.start + value)
    }
}

const PT_LOAD: u64 = 1;
const PT_DYNAMIC: u64 = 2;
const DT_STRTAB: u64 = 5;
const DT_SYMTAB: u64 = 6;

struct Segment {
    offset: usize,
    length: u64,
}

/// Returns the first program header of a kind.
fn segment(image: &[u8], kind: u64) -> Option<Segment> {
    let table = usize::try_from(word(image, 32, 8)?).ok()?;
    let count = usize::try_from(word(image, 56, 2)?).ok()?;
    let header = (0..count)
        .filter_map(|index| table.checked_add(index * 56))
        .find(|at| word(image, *at, 4) == Some(kind))?;
    Some(Segment {
        offset: usize::try_from(word(image, header + 8, 8)?).ok()?,
        length: word(image, header + 40, 8)?,
    })
}

/// Returns the little-endian word of `length` bytes at `at`.
fn word(bytes: &[u8], at: usize, length: usize) -> Option<u64> {
    let mut word = [0; 8];
    word.get_mut(..length)?.copy_from_slice(bytes.get(at..at.checked_add(length)?)?);
    Some(u64::from_le_bytes(word))
}

fn read(pid: Pid, address: u64, length: u64) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
    let length = sys::read_memory(pid, address, &mut bytes);
    bytes.truncate(length);
    bytes
}

/// Finds the address in the auxiliary vector, which follows arguments and environment.
fn find_in_stack(stack: &[u8]) -> Option<u64> {
    let mut words = stack.chunks_exact(8).filter_map(|bytes| word(bytes, 0, 8));
    let _count = words.next();
    let _arguments = words.by_ref().find(|word| *word == 0)?;
    let _environment = words.by_ref().find(|word| *word == 0)?;
    while let (Some(key), Some(value)) = (words.next(), words.next()) {
        match key {
            0 => return None,
            AT_SYSINFO_EHDR => return Some(value),
            _ => {}
        }
    }
    None
}
