//! The host's vDSO in the stub processes (`vdso(7)`).

use std::ops::Range;

use rustix::process::Pid;

use super::image::PAGE;
use super::sys;

/// `AT_SYSINFO_EHDR` (`getauxval(3)`).
const AT_SYSINFO_EHDR: u64 = 33;

/// The host's vDSO.
#[derive(Clone, Debug)]
pub(super) struct HostVdso {
    /// Where it is mapped.
    pub(super) range: Range<u64>,
}

impl HostVdso {
    /// Looks for it in a process that is at its entry point with the stack pointer `stack`.
    pub(super) fn find(pid: Pid, stack: u64) -> Option<Self> {
        let start = find_in_stack(&read(pid, stack, 4096))?;
        let header = read(pid, start, 4096);
        let length = loaded_length(&header)?;
        Some(Self { range: start..start.checked_add(length.checked_next_multiple_of(PAGE)?)? })
    }
}

fn read(pid: Pid, address: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    let length = sys::read_memory(pid, address, &mut bytes);
    bytes.truncate(length);
    bytes
}

/// Finds the address in the auxiliary vector, which follows arguments and environment.
fn find_in_stack(stack: &[u8]) -> Option<u64> {
    let mut words = stack.chunks_exact(8).filter_map(|word| word.try_into().ok()).map(u64::from_le_bytes);
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

/// Returns the length of the one loaded segment.
fn loaded_length(header: &[u8]) -> Option<u64> {
    const PT_LOAD: u64 = 1;
    let word = |at: usize, length: usize| {
        let mut word = [0; 8];
        word.get_mut(..length)?.copy_from_slice(header.get(at..at.checked_add(length)?)?);
        Some(u64::from_le_bytes(word))
    };
    let table = usize::try_from(word(32, 8)?).ok()?;
    let count = usize::try_from(word(56, 2)?).ok()?;
    (0..count)
        .map(|index| table + index * 56)
        .find(|at| word(*at, 4) == Some(PT_LOAD))
        .and_then(|at| word(at + 40, 8))
}
