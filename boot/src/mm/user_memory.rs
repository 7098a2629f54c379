//! Copying from and to guest memory: bounds, partial progress, `EFAULT`.

use std::os::fd::BorrowedFd;
use std::sync::Arc;

use smallvec::SmallVec;
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::Mm;
use crate::error::{Errno, Fail, fail};
use crate::fs::{Sink, Source};
use crate::prelude::{errno, uapi};
use crate::syscall::{Address, PathPtr};

/// The size of a page in bytes.
pub(crate) const PAGE_BYTES: u64 = 4096;

/// The longest path with its NUL (`PATH_MAX`).
const PATH_MAX: usize = 4096;

/// The most bytes that one call moves (`MAX_RW_COUNT`).
pub(crate) const MAX_RW_COUNT: usize = 0x7fff_f000;

/// Access to the memory of an address space. Nothing that it returns is trusted, and nothing is looked at twice.
#[derive(Clone, Debug)]
pub(crate) struct UserMemory {
    mm: Arc<Mm>,
}

/// A range of guest memory: an element of a vector of buffers (`struct iovec`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct UserRange {
    /// Where it begins.
    pub(crate) address: u64,
    /// How many bytes it has.
    pub(crate) len: usize,
}

impl UserMemory {
    /// Returns access to the memory of `mm`.
    pub(crate) fn new(mm: Arc<Mm>) -> Self {
        Self { mm }
    }

    /// Fills `into` from `address`.
    ///
    /// # Errors
    ///
    /// `EFAULT` if not all of it can be read.
    pub(crate) fn read_bytes(&self, address: Address, into: &mut [u8]) -> Result<(), Fail> {
        if into.is_empty() || self.mm.read(address.0, into) == into.len() {
            Ok(())
        } else {
            Err(fail(errno::EFAULT, "memory can't be read"))
        }
    }

    /// Reads the first bytes from `address`, at most `most`: as many as can be read.
    pub(crate) fn read_most(&self, address: Address, most: usize) -> Vec<u8> {
        let mut bytes = vec![0; most];
        let count = self.mm.read(address.0, &mut bytes);
        bytes.truncate(count);
        bytes
    }

    /// Copies `from` to `address`.
    ///
    /// # Errors
    ///
    /// `EFAULT` if not all of it can be written.
    pub(crate) fn write_bytes(&self, address: Address, from: &[u8]) -> Result<(), Fail> {
        if from.is_empty() || self.mm.write(address.0, from) == from.len() {
            Ok(())
        } else {
            Err(fail(errno::EFAULT, "memory can't be written"))
        }
    }

    /// Reads a structure or a number.
    ///
    /// # Errors
    ///
    /// `EFAULT` if not all of it can be read.
    pub(crate) fn read<T: FromBytes + IntoBytes>(&self, address: Address) -> Result<T, Fail> {
        let mut value = T::new_zeroed();
        self.read_bytes(address, value.as_mut_bytes())?;
        Ok(value)
    }

    /// Writes a structure or a number.
    ///
    /// # Errors
    ///
    /// `EFAULT` if not all of it can be written.
    pub(crate) fn write<T: IntoBytes + Immutable>(&self, address: Address, value: &T) -> Result<(), Fail> {
        self.write_bytes(address, value.as_bytes())
    }

    /// Writes a structure or a number, unless the address is null.
    ///
    /// # Errors
    ///
    /// `EFAULT` if not all of it can be written.
    pub(crate) fn write_if<T: IntoBytes + Immutable>(&self, address: Address, value: &T) -> Result<(), Fail> {
        if address.is_null() { Ok(()) } else { self.write(address, value) }
    }

    /// Reads `count` structures or numbers.
    ///
    /// # Errors
    ///
    /// `EFAULT` if not all of them can be read. The caller bounds `count`.
    pub(crate) fn read_array<T: FromBytes + IntoBytes + Clone>(
        &self,
        address: Address,
        count: usize,
    ) -> Result<Vec<T>, Fail> {
        let mut values = vec![T::new_zeroed(); count];
        if count > 0 {
            self.read_bytes(address, values.as_mut_slice().as_mut_bytes())?;
        }
        Ok(values)
    }

    /// Checks that the bytes of a structure at `address` between the `known` ones and `size` are zero: a newer version of
    /// it that asks for nothing new (`copy_struct_from_user` of Linux).
    ///
    /// # Errors
    ///
    /// `E2BIG` if they are not, or if `size` is above a page; `EFAULT` if they can't be read.
    pub(crate) fn check_zero_tail(&self, address: Address, known: usize, size: usize) -> Result<(), Fail> {
        if size as u64 > PAGE_BYTES {
            return Err(fail(errno::E2BIG, "structure is larger than a page"));
        }
        let tail =
            self.read_array::<u8>(Address(address.0.wrapping_add(known as u64)), size.saturating_sub(known))?;
        if tail.iter().all(|byte| *byte == 0) {
            Ok(())
        } else {
            Err(fail(errno::E2BIG, "structure asks for something unknown"))
        }
    }

    /// Reads a string up to its NUL, which is not returned.
    ///
    /// # Errors
    ///
    /// `EFAULT` if it can't be read, `ENAMETOOLONG` if it has `max` bytes or more.
    pub(crate) fn read_string(&self, address: u64, max: usize) -> Result<Vec<u8>, Fail> {
        let mut string = Vec::new();
        let mut chunk = [0_u8; 256];
        while string.len() < max {
            let at = address.checked_add(string.len() as u64).ok_or(fail(errno::EFAULT, "string wraps"))?;
            let room = chunk.len().min(max - string.len());
            let len = self.mm.read(at, chunk.get_mut(..room).unwrap_or_default());
            let read = chunk.get(..len).unwrap_or_default();
            if let Some(end) = read.iter().position(|byte| *byte == 0) {
                string.extend_from_slice(read.get(..end).unwrap_or_default());
                return Ok(string);
            }
            if len < room {
                return Err(fail(errno::EFAULT, "string can't be read"));
            }
            string.extend_from_slice(read);
        }
        Err(fail(errno::ENAMETOOLONG, "string is too long"))
    }

    /// Reads a path. An empty one is returned as it is: most callers refuse it with `ENOENT` later.
    ///
    /// # Errors
    ///
    /// `EFAULT` if it can't be read, `ENAMETOOLONG` if it is longer than `PATH_MAX`.
    pub(crate) fn read_path(&self, path: PathPtr) -> Result<Vec<u8>, Fail> {
        self.read_string(path.0.0, PATH_MAX)
    }

    /// Reads a vector of buffers (`readv(2)`). The total is cut to what one call may move.
    ///
    /// # Errors
    ///
    /// `EINVAL` if there are more than 1,024 or their lengths overflow, `EFAULT` if the vector can't be read.
    pub(crate) fn read_iovec(
        &self,
        address: Address,
        count: usize,
    ) -> Result<SmallVec<[UserRange; 4]>, Fail> {
        if count > uapi::UIO_MAXIOV as usize {
            return Err(fail(errno::EINVAL, "too many buffers"));
        }
        let mut room = MAX_RW_COUNT;
        let mut ranges = SmallVec::new();
        for [base, len] in self.read_array::<[u64; 2]>(address, count)? {
            let len =
                usize::try_from(len.cast_signed()).map_err(|_| fail(errno::EINVAL, "length is negative"))?;
            let len = len.min(room);
            room -= len;
            ranges.push(UserRange { address: base, len });
        }
        Ok(ranges)
    }

    /// Returns a place to write bytes to, one buffer. Its length is cut to what one call may move.
    pub(crate) fn sink(&self, address: Address, len: usize) -> UserSink {
        self.sink_of(SmallVec::from_elem(UserRange { address: address.0, len: len.min(MAX_RW_COUNT) }, 1))
    }

    /// Returns a place to write bytes to, several buffers.
    pub(crate) fn sink_of(&self, ranges: SmallVec<[UserRange; 4]>) -> UserSink {
        UserSink { cursor: Cursor::new(self.clone(), ranges) }
    }

    /// Returns a place to read bytes from, one buffer. Its length is cut to what one call may move.
    pub(crate) fn source(&self, address: Address, len: usize) -> UserSource {
        self.source_of(SmallVec::from_elem(UserRange { address: address.0, len: len.min(MAX_RW_COUNT) }, 1))
    }

    /// Returns a place to read bytes from, several buffers.
    pub(crate) fn source_of(&self, ranges: SmallVec<[UserRange; 4]>) -> UserSource {
        UserSource { cursor: Cursor::new(self.clone(), ranges) }
    }
}

/// A position in a vector of buffers.
#[derive(Clone, Debug)]
struct Cursor {
    memory: UserMemory,
    ranges: SmallVec<[UserRange; 4]>,
    index: usize,
    remaining: usize,
}

impl Cursor {
    fn new(memory: UserMemory, ranges: SmallVec<[UserRange; 4]>) -> Self {
        let remaining = ranges.iter().map(|range| range.len).sum();
        Self { memory, ranges, index: 0, remaining }
    }

    /// Returns the part of the current buffer that `len` more bytes go to or come from.
    fn current(&mut self, len: usize) -> Option<UserRange> {
        loop {
            let range = self.ranges.get(self.index)?;
            if range.len > 0 {
                return Some(UserRange { address: range.address, len: range.len.min(len) });
            }
            self.index += 1;
        }
    }

    /// Passes over `len` bytes, over the borders of buffers.
    fn skip(&mut self, mut len: usize) {
        while let Some(range) = self.current(len).filter(|_| len > 0) {
            self.advance(range.len);
            len -= range.len;
        }
    }

    /// Passes over `len` bytes of the current buffer.
    fn advance(&mut self, len: usize) {
        if let Some(range) = self.ranges.get_mut(self.index) {
            range.address = range.address.wrapping_add(len as u64);
            range.len = range.len.saturating_sub(len);
            self.remaining = self.remaining.saturating_sub(len);
        }
    }
}

/// Guest buffers that bytes are written to.
#[derive(Clone, Debug)]
pub(crate) struct UserSink {
    cursor: Cursor,
}

impl UserSink {
    /// Leaves the next `len` bytes as they are: an earlier run of the call has written them.
    pub(crate) fn skip(&mut self, len: usize) {
        self.cursor.skip(len);
    }
}

impl Sink for UserSink {
    fn remaining(&self) -> usize {
        self.cursor.remaining
    }

    fn write(&mut self, bytes: &[u8]) -> Result<usize, Errno> {
        let mut done = 0;
        while let Some(rest) = bytes.get(done..).filter(|rest| !rest.is_empty()) {
            let Some(range) = self.cursor.current(rest.len()) else { break };
            let part = rest.get(..range.len).unwrap_or(rest);
            let written = self.cursor.memory.mm.write(range.address, part);
            self.cursor.advance(written);
            done += written;
            if written < part.len() {
                return if done > 0 { Ok(done) } else { Err(errno::EFAULT) };
            }
        }
        Ok(done)
    }

    fn write_file(&mut self, file: BorrowedFd<'_>, offset: u64) -> usize {
        let mut done = 0;
        while let Some(range) = self.cursor.current(usize::MAX) {
            let at = offset.saturating_add(done as u64);
            let written = self.cursor.memory.mm.write_file(range.address, file, at, range.len);
            self.cursor.advance(written);
            done += written;
            if written < range.len {
                break;
            }
        }
        done
    }
}

/// Guest buffers that bytes are read from.
#[derive(Clone, Debug)]
pub(crate) struct UserSource {
    cursor: Cursor,
}

impl UserSource {
    /// Passes over the next `len` bytes: an earlier run of the call has read them.
    pub(crate) fn skip(&mut self, len: usize) {
        self.cursor.skip(len);
    }
}

impl Source for UserSource {
    fn remaining(&self) -> usize {
        self.cursor.remaining
    }

    fn read(&mut self, into: &mut [u8]) -> Result<usize, Errno> {
        let mut done = 0;
        while let Some(rest) = into.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let Some(range) = self.cursor.current(rest.len()) else { break };
            let len = range.len;
            let part = rest.get_mut(..len).unwrap_or_default();
            let read = self.cursor.memory.mm.read(range.address, part);
            self.cursor.advance(read);
            done += read;
            if read < len {
                return if done > 0 { Ok(done) } else { Err(errno::EFAULT) };
            }
        }
        Ok(done)
    }
}
