//! Arguments and environment of a program, and how long they may be (`execve(2)`, "Limits on size of arguments and
//! environment").

use crate::error::Fail;
use crate::mm::UserMemory;
use crate::prelude::{errno, fail};
use crate::syscall::Address;

/// The longest string, with its NUL (`MAX_ARG_STRLEN`).
const MAX_STRING_BYTES: usize = 32 * 4096;
/// What a program can always have, whatever its stack's limit.
const MIN_TOTAL_BYTES: u64 = 128 << 10;
/// What a program can have at most.
const MAX_TOTAL_BYTES: u64 = 6 << 20;

/// Arguments and environment of a program, without the NULs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Arguments {
    /// The arguments, the program's own name first.
    pub(crate) arguments: Vec<Vec<u8>>,
    /// The environment.
    pub(crate) environment: Vec<Vec<u8>>,
}

impl Arguments {
    /// Copies them from a caller's memory. As in Linux a null pointer is an empty list.
    ///
    /// # Errors
    ///
    /// `EFAULT`, or `E2BIG` if they are too long for a stack of at most `stack_limit` bytes.
    pub(crate) fn read(
        memory: &UserMemory,
        arguments: Address,
        environment: Address,
        stack_limit: u64,
    ) -> Result<Self, Fail> {
        let mut room = Room::new(stack_limit);
        let arguments = read_list(memory, arguments, &mut room)?;
        let environment = read_list(memory, environment, &mut room)?;
        Ok(Self { arguments, environment })
    }

    /// Checks that they are not too long for a stack of at most `stack_limit` bytes.
    ///
    /// # Errors
    ///
    /// `E2BIG` if they are.
    pub(super) fn check(&self, stack_limit: u64) -> Result<(), Fail> {
        let mut room = Room::new(stack_limit);
        for string in self.arguments.iter().chain(&self.environment) {
            room.take(size_of::<u64>())?;
            room.take_string(string)?;
        }
        Ok(())
    }
}

/// How many bytes there is room for.
struct Room(u64);

impl Room {
    fn new(stack_limit: u64) -> Self {
        Self((stack_limit / 4).clamp(MIN_TOTAL_BYTES, MAX_TOTAL_BYTES))
    }

    fn take(&mut self, len: usize) -> Result<(), Fail> {
        self.0 = self.0.checked_sub(len as u64).ok_or(fail(errno::E2BIG, "too many arguments"))?;
        Ok(())
    }

    fn take_string(&mut self, string: &[u8]) -> Result<(), Fail> {
        if string.len() >= MAX_STRING_BYTES {
            return Err(fail(errno::E2BIG, "an argument is too long"));
        }
        self.take(string.len() + 1)
    }
}

/// Reads the strings that a list of pointers, which ends with a null pointer, names.
fn read_list(memory: &UserMemory, list: Address, room: &mut Room) -> Result<Vec<Vec<u8>>, Fail> {
    let mut strings = Vec::new();
    if list.is_null() {
        return Ok(strings);
    }
    let mut at = list.0;
    loop {
        // A chunk ends at a page's border at the latest, so that nothing behind the list's end must be readable.
        let count = ((4096 - at % 4096) / 8).clamp(1, 64);
        let pointers = memory.read_array::<u64>(Address(at), usize::try_from(count).unwrap_or(1))?;
        for pointer in pointers {
            if pointer == 0 {
                return Ok(strings);
            }
            room.take(size_of::<u64>())?;
            let string = memory.read_string(pointer, MAX_STRING_BYTES).map_err(|failure| {
                if failure.is(errno::ENAMETOOLONG) {
                    fail(errno::E2BIG, "an argument is too long")
                } else {
                    failure
                }
            })?;
            room.take_string(&string)?;
            strings.push(string);
            at = at.wrapping_add(8);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_of_the_lengths() {
        let with = |len: usize, count: usize| Arguments {
            arguments: vec![vec![b'a'; len]; count],
            environment: vec![],
        };
        with(MAX_STRING_BYTES - 1, 1).check(8 << 20).unwrap();
        assert!(with(MAX_STRING_BYTES, 1).check(8 << 20).is_err_and(|f| f.is(errno::E2BIG)));
        // Strings, their NULs and their pointers count: 2 MiB for a stack of 8 MiB.
        with(1015, 2048).check(8 << 20).unwrap();
        assert!(with(1016, 2048).check(8 << 20).is_err_and(|f| f.is(errno::E2BIG)));
        with(100_000, 1).check(0).unwrap();
        assert!(with(131_000, 60).check(u64::MAX).is_err_and(|f| f.is(errno::E2BIG)));
    }
}
