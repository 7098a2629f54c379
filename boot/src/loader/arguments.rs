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
        let mut strings = Strings { memory, start: 0, bytes: Vec::new() };
        let arguments = read_list(&mut strings, arguments, &mut room)?;
        let environment = read_list(&mut strings, environment, &mut room)?;
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

/// Strings of a caller's memory. They mostly follow each other, so all that a page has from one on is copied with it.
struct Strings<'a> {
    memory: &'a UserMemory,
    /// What was copied last, and from where.
    start: u64,
    bytes: Vec<u8>,
}

impl Strings<'_> {
    /// Reads a string.
    ///
    /// # Errors
    ///
    /// `EFAULT`, or `E2BIG` if it is too long.
    fn read(&mut self, at: u64) -> Result<Vec<u8>, Fail> {
        let offset = at.checked_sub(self.start).and_then(|offset| usize::try_from(offset).ok());
        if let Some(string) = offset.and_then(|offset| until_nul(self.bytes.get(offset..)?)) {
            return Ok(string);
        }
        let rest_of_page = usize::try_from(4096 - at % 4096).unwrap_or(0);
        (self.start, self.bytes) = (at, self.memory.read_most(Address(at), rest_of_page));
        if let Some(string) = until_nul(&self.bytes) {
            return Ok(string);
        }
        self.memory.read_string(at, MAX_STRING_BYTES).map_err(|failure| {
            if failure.is(errno::ENAMETOOLONG) {
                fail(errno::E2BIG, "an argument is too long")
            } else {
                failure
            }
        })
    }
}

/// Returns the string at the beginning of `bytes`, if all of it is there.
fn until_nul(bytes: &[u8]) -> Option<Vec<u8>> {
    let end = bytes.iter().position(|byte| *byte == 0)?;
    bytes.get(..end).map(<[u8]>::to_vec)
}

/// Reads the strings that a list of pointers, which ends with a null pointer, names.
fn read_list(from: &mut Strings<'_>, list: Address, room: &mut Room) -> Result<Vec<Vec<u8>>, Fail> {
    let mut strings = Vec::new();
    if list.is_null() {
        return Ok(strings);
    }
    let mut at = list.0;
    loop {
        // A chunk ends at a page's border at the latest, so that nothing behind the list's end must be readable.
        let count = ((4096 - at % 4096) / 8).clamp(1, 64);
        let pointers = from.memory.read_array::<u64>(Address(at), usize::try_from(count).unwrap_or(1))?;
        for pointer in pointers {
            if pointer == 0 {
                return Ok(strings);
            }
            room.take(size_of::<u64>())?;
            let string = from.read(pointer)?;
            room.take_string(&string)?;
            strings.push(string);
            at = at.wrapping_add(8);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{MEMORY_START, TestKernel};

    #[test]
    fn strings_are_read_wherever_they_are() {
        let fixture = TestKernel::new();
        let mut task = fixture.root_task();
        let memory = task.cx().memory();
        // Side by side, over the border of a page, one in another, in no order, and longer than a page.
        let page = MEMORY_START + 0x1_0000;
        let long = vec![b'x'; 10_000];
        memory.write_bytes(Address(page), b"first\0second\0\0fourth\0").unwrap();
        memory.write_bytes(Address(page + 4090), b"over the border\0").unwrap();
        memory.write_bytes(Address(page + 0x4000), &long).unwrap();
        let at = [page + 13, page, page + 6, page + 4090, page + 4092, page + 0x4000, page + 14, page];
        let strings: [&[u8]; 8] =
            [b"", b"first", b"second", b"over the border", b"er the border", &long, b"fourth", b"first"];
        let list: Vec<u64> = at.into_iter().chain([0]).collect();
        memory.write(Address(MEMORY_START), &<[u64; 9]>::try_from(list).unwrap()).unwrap();
        let read = Arguments::read(&memory, Address(MEMORY_START), Address(0), 8 << 20).unwrap();
        assert_eq!(read.arguments, strings);
        assert!(read.environment.is_empty());
    }

    #[test]
    fn strings_end_where_memory_does() {
        let fixture = TestKernel::new();
        let mut task = fixture.root_task();
        let memory = task.cx().memory();
        let end = MEMORY_START + (1 << 20);
        memory.write_bytes(Address(end - 4), b"all\0").unwrap();
        let read = |at: u64| {
            memory.write(Address(MEMORY_START), &[at, 0]).unwrap();
            Arguments::read(&memory, Address(MEMORY_START), Address(0), 8 << 20)
        };
        assert_eq!(read(end - 4).unwrap().arguments, [b"all"]);
        memory.write_bytes(Address(end - 1), b"x").unwrap();
        for at in [end - 4, end, u64::MAX] {
            assert!(read(at).is_err_and(|failure| failure.is(errno::EFAULT)), "{at:#x}");
        }
        let long = vec![b'x'; MAX_STRING_BYTES];
        memory.write_bytes(Address(end - (1 << 19)), &long).unwrap();
        assert!(read(end - (1 << 19)).is_err_and(|failure| failure.is(errno::E2BIG)));
    }

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
