//! The contents of regular files.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::fs::{FallocateFlags, MemfdFlags, SealFlags, SeekFrom};
use serde::{Deserialize, Serialize};

use super::Seals;
use crate::error::Errno;
use crate::fs::{Sink, Source, Whence, read_direct, with_scratch};
use crate::prelude::{errno, uapi};

/// The most bytes of a file that are kept in the kernel's own memory.
pub(super) const INLINE_MAX: u64 = 64 << 10;

/// The size of a page in bytes: the unit in which memory is used.
pub(super) const PAGE: u64 = 4096;

/// The contents of a regular file.
#[derive(Debug)]
pub(super) struct Data {
    storage: Storage,
    pub(super) seals: Seals,
}

#[derive(Debug)]
enum Storage {
    /// A small file without holes.
    Inline(Vec<u8>),
    /// A memfd of this size.
    Host(Arc<OwnedFd>, u64),
}

/// The saved form of the contents of a regular file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct DataImage {
    size: u64,
    seals: Seals,
    /// The parts that are no holes: offset and bytes.
    parts: Vec<(u64, Vec<u8>)>,
}

fn host(error: rustix::io::Errno) -> Errno {
    Errno::from_raw(error.raw_os_error())
}

/// Returns where `len` bytes from `offset` on end.
fn end_of(offset: u64, len: usize) -> Result<u64, Errno> {
    offset.checked_add(len as u64).filter(|end| i64::try_from(*end).is_ok()).ok_or(errno::EFBIG)
}

impl Data {
    /// Makes an empty file.
    pub(super) fn new(seals: Seals) -> Self {
        Self { storage: Storage::Inline(Vec::new()), seals }
    }

    /// Returns the size in bytes.
    pub(super) fn size(&self) -> u64 {
        match &self.storage {
            Storage::Inline(bytes) => bytes.len() as u64,
            Storage::Host(_, size) => *size,
        }
    }

    /// Returns how many pages of memory it uses.
    pub(super) fn pages(&self) -> u64 {
        match &self.storage {
            Storage::Inline(bytes) => (bytes.len() as u64).div_ceil(PAGE),
            Storage::Host(fd, _) => {
                let blocks = rustix::fs::fstat(fd).map_or(0, |stat| stat.st_blocks);
                u64::try_from(blocks).unwrap_or(0).div_ceil(PAGE / 512)
            }
        }
    }

    /// Moves the contents to a memfd, if they are in none, and returns it.
    pub(super) fn move_to_host(&mut self) -> Result<Arc<OwnedFd>, Errno> {
        if let Storage::Inline(bytes) = &mut self.storage {
            let fd = rustix::fs::memfd_create(c"tmpfs", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)
                .map_err(host)?;
            write_all(&fd, bytes, 0)?;
            self.storage = Storage::Host(Arc::new(fd), bytes.len() as u64);
            self.seal_host()?;
        }
        match &self.storage {
            Storage::Host(fd, _) => Ok(Arc::clone(fd)),
            Storage::Inline(_) => Err(errno::EIO),
        }
    }

    /// Reads at `offset`.
    pub(super) fn read(&self, offset: u64, into: &mut dyn Sink) -> Result<usize, Errno> {
        let rest = usize::try_from(self.size().saturating_sub(offset)).unwrap_or(usize::MAX);
        let len = rest.min(into.remaining());
        match &self.storage {
            Storage::Inline(bytes) => {
                let start = usize::try_from(offset).unwrap_or(usize::MAX);
                match bytes.get(start..).and_then(|rest| rest.get(..len)) {
                    Some(part) => into.write(part),
                    None => Ok(0),
                }
            }
            // The host's file can be longer than this one: the rest of a write that failed.
            Storage::Host(fd, _) if len < into.remaining() => Self::read_by_scratch(fd, offset, len, into),
            Storage::Host(fd, _) => read_direct(fd, offset, into, |offset, into| {
                Self::read_by_scratch(fd, offset, into.remaining(), into)
            }),
        }
    }

    fn read_by_scratch(fd: &OwnedFd, offset: u64, len: usize, into: &mut dyn Sink) -> Result<usize, Errno> {
        with_scratch(len, |buffer| {
            copy_in_chunks(len, |done| {
                let room = buffer.len().min(len - done);
                let part = buffer.get_mut(..room).unwrap_or_default();
                let read = rustix::io::pread(fd, &mut *part, offset + done as u64).map_err(host)?;
                into.write(part.get(..read).unwrap_or_default())
            })
        })
    }

    /// Writes at `offset`.
    pub(super) fn write(&mut self, offset: u64, from: &mut dyn Source, len: usize) -> Result<usize, Errno> {
        let end = end_of(offset, len)?;
        let size = self.size();
        if self.seals.contains(Seals::WRITE) || (end > size && self.seals.contains(Seals::GROW)) {
            return Err(errno::EPERM);
        }
        if let Storage::Inline(bytes) = &mut self.storage
            && end <= INLINE_MAX
            && offset <= size + PAGE
        {
            return write_inline(bytes, offset, from, len);
        }
        let fd = match (self.move_to_host(), &mut self.storage) {
            // The host gives no more descriptors: as long as there are no holes, the kernel's own memory does too.
            (Err(errno::EMFILE | errno::ENFILE), Storage::Inline(bytes)) if offset <= size + PAGE => {
                return write_inline(bytes, offset, from, len);
            }
            (moved, _) => moved?,
        };
        let written = with_scratch(len, |buffer| {
            copy_in_chunks(len, |done| {
                let room = buffer.len().min(len - done);
                let part = buffer.get_mut(..room).unwrap_or_default();
                let read = from.read(part)?;
                write_all(&fd, part.get(..read).unwrap_or_default(), offset + done as u64)?;
                Ok(read)
            })
        })?;
        if let Storage::Host(_, size) = &mut self.storage {
            *size = (*size).max(offset + written as u64);
        }
        Ok(written)
    }

    /// Cuts the file off, or lengthens it with a hole.
    pub(super) fn set_size(&mut self, size: u64) -> Result<(), Errno> {
        let before = self.size();
        if (size < before && self.seals.contains(Seals::SHRINK))
            || (size > before && self.seals.contains(Seals::GROW))
        {
            return Err(errno::EPERM);
        }
        if let Storage::Inline(bytes) = &mut self.storage
            && size <= INLINE_MAX
            && size <= before + PAGE
        {
            bytes.resize(usize::try_from(size).map_err(|_| errno::EFBIG)?, 0);
            bytes.shrink_to(bytes.len().saturating_mul(2));
            return Ok(());
        }
        let fd = self.move_to_host()?;
        rustix::fs::ftruncate(&fd, size).map_err(host)?;
        if let Storage::Host(_, known) = &mut self.storage {
            *known = size;
        }
        Ok(())
    }

    /// Allocates space, punches a hole or zeroes a range (`fallocate(2)`).
    pub(super) fn allocate(&mut self, mode: u32, offset: u64, len: u64) -> Result<(), Errno> {
        let keeps_size = mode & uapi::FALLOC_FL_KEEP_SIZE != 0;
        let punches = mode & uapi::FALLOC_FL_PUNCH_HOLE != 0;
        let zeroes = mode & uapi::FALLOC_FL_ZERO_RANGE != 0;
        let known = uapi::FALLOC_FL_KEEP_SIZE | uapi::FALLOC_FL_PUNCH_HOLE | uapi::FALLOC_FL_ZERO_RANGE;
        if mode & !known != 0 || (punches && (zeroes || !keeps_size)) {
            return Err(errno::EOPNOTSUPP);
        }
        let end = offset.checked_add(len).filter(|end| i64::try_from(*end).is_ok()).ok_or(errno::EFBIG)?;
        let grows = end > self.size() && !keeps_size;
        if ((punches || zeroes) && self.seals.contains(Seals::WRITE))
            || (grows && self.seals.contains(Seals::GROW))
        {
            return Err(errno::EPERM);
        }
        let fd = self.move_to_host()?;
        if zeroes {
            // The host's memory files have no FALLOC_FL_ZERO_RANGE: a hole, with new space in it.
            let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            rustix::fs::fallocate(&fd, hole, offset, len).map_err(host)?;
        }
        let flags = FallocateFlags::from_bits_retain(mode & !uapi::FALLOC_FL_ZERO_RANGE);
        rustix::fs::fallocate(&fd, flags, offset, len).map_err(host)?;
        if let Storage::Host(_, size) = &mut self.storage
            && grows
        {
            *size = end;
        }
        Ok(())
    }

    /// Finds data or a hole.
    pub(super) fn seek(&self, offset: u64, whence: Whence) -> Result<u64, Errno> {
        match (&self.storage, whence) {
            _ if offset >= self.size() => Err(errno::ENXIO),
            (Storage::Inline(_), Whence::Data) => Ok(offset),
            (Storage::Inline(_), Whence::Hole) => Ok(self.size()),
            (Storage::Host(fd, _), Whence::Data) => {
                rustix::fs::seek(fd, SeekFrom::Data(offset)).map_err(host)
            }
            (Storage::Host(fd, _), Whence::Hole) => {
                rustix::fs::seek(fd, SeekFrom::Hole(offset)).map_err(host)
            }
        }
    }

    /// Adds seals (`fcntl(2)`, `F_ADD_SEALS`).
    ///
    /// # Errors
    ///
    /// `EPERM` if no more can be added, `EBUSY` if writable mappings stand against it.
    pub(super) fn add_seals(&mut self, seals: Seals) -> Result<(), Errno> {
        if self.seals.contains(Seals::SEAL) {
            return Err(errno::EPERM);
        }
        let before = self.seals;
        self.seals |= seals;
        // The host knows about mappings.
        self.seal_host().inspect_err(|_| self.seals = before)
    }

    /// Returns the saved form.
    ///
    /// # Errors
    ///
    /// The host's.
    pub(super) fn to_image(&self) -> Result<DataImage, Errno> {
        let mut parts = Vec::new();
        let mut at = 0;
        while let Ok(start) = self.seek(at, Whence::Data) {
            let end = self.seek(start, Whence::Hole)?;
            let len = usize::try_from(end - start).map_err(|_| errno::EFBIG)?;
            let mut bytes = vec![0; len];
            let read = self.read(start, &mut bytes.as_mut_slice())?;
            bytes.truncate(read);
            parts.push((start, bytes));
            at = end;
        }
        Ok(DataImage { size: self.size(), seals: self.seals, parts })
    }

    /// Brings contents back.
    ///
    /// # Errors
    ///
    /// `EFBIG` for a size that no file can have, or the host's.
    pub(super) fn from_image(image: DataImage) -> Result<Self, Errno> {
        let mut data = Self::new(Seals::empty());
        for (offset, bytes) in image.parts {
            data.write(offset, &mut bytes.as_slice(), bytes.len())?;
        }
        if data.size() != image.size {
            data.set_size(image.size)?;
        }
        data.seals = image.seals;
        data.seal_host()?;
        Ok(data)
    }

    /// Seals the memfd, if there is one, against mappings that would get round the seals.
    fn seal_host(&self) -> Result<(), Errno> {
        let Storage::Host(fd, _) = &self.storage else { return Ok(()) };
        let mut flags = SealFlags::empty();
        flags.set(SealFlags::FUTURE_WRITE, self.seals.contains(Seals::FUTURE_WRITE));
        if self.seals.contains(Seals::WRITE) {
            flags |= SealFlags::WRITE;
        }
        if flags.is_empty() { Ok(()) } else { rustix::fs::fcntl_add_seals(fd, flags).map_err(host) }
    }
}

fn write_inline(bytes: &mut Vec<u8>, offset: u64, from: &mut dyn Source, len: usize) -> Result<usize, Errno> {
    let start = usize::try_from(offset).map_err(|_| errno::EFBIG)?;
    let (before, end) = (bytes.len(), start.saturating_add(len));
    if end > before {
        bytes.resize(end, 0);
    }
    let result = from.read(bytes.get_mut(start..end).unwrap_or_default());
    // What could not be read from the caller does not lengthen the file.
    let written = *result.as_ref().unwrap_or(&0);
    let used = if written > 0 { before.max(start + written) } else { before };
    bytes.truncate(used.max(before));
    result
}

/// Runs `step` with the bytes done until all are, or it does none; an error counts only if it is the first.
fn copy_in_chunks(len: usize, mut step: impl FnMut(usize) -> Result<usize, Errno>) -> Result<usize, Errno> {
    let mut done = 0;
    while done < len {
        match step(done) {
            Ok(0) => break,
            Ok(moved) => done += moved,
            Err(_) if done > 0 => break,
            Err(errno) => return Err(errno),
        }
    }
    Ok(done)
}

fn write_all(fd: &OwnedFd, mut bytes: &[u8], mut offset: u64) -> Result<(), Errno> {
    while !bytes.is_empty() {
        let written = rustix::io::pwrite(fd, bytes, offset).map_err(host)?;
        bytes = bytes.get(written..).unwrap_or_default();
        offset += written as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::fd::{AsFd, BorrowedFd};

    use super::*;

    /// Takes what it can by itself, as guest buffers do that a window is for.
    struct Direct {
        bytes: Vec<u8>,
        room: usize,
        /// How much it takes by itself at most.
        most: usize,
    }

    impl Sink for Direct {
        fn remaining(&self) -> usize {
            self.room - self.bytes.len()
        }

        fn write(&mut self, bytes: &[u8]) -> Result<usize, Errno> {
            self.bytes.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn write_file(&mut self, file: BorrowedFd<'_>, offset: u64) -> usize {
            let mut bytes = vec![0; self.remaining().min(self.most)];
            let len = rustix::io::pread(file, &mut bytes, offset).unwrap();
            self.bytes.extend_from_slice(&bytes[..len]);
            len
        }
    }

    #[test]
    fn what_the_sink_takes_by_itself_and_the_rest_are_the_files() {
        let mut data = Data::new(Seals::default());
        let contents: Vec<u8> = (0..=250).cycle().take(100_000).collect();
        write(&mut data, 0, &contents).unwrap();
        let fd = data.move_to_host().unwrap();
        // What a write left behind that failed is no part of the file.
        write_all(&fd.as_fd().try_clone_to_owned().unwrap(), b"left behind", 100_000).unwrap();
        for (offset, room, most) in [
            (0, 50_000, 50_000),
            (1, 50_000, 30_000),
            (0, 50_000, 0),
            (90_000, 50_000, 50_000),
            (200_000, 9_000, 9_000),
        ] {
            let mut sink = Direct { bytes: Vec::new(), room, most };
            let len = data.read(offset, &mut sink).unwrap();
            let start = usize::try_from(offset).unwrap().min(contents.len());
            let expected = &contents[start..contents.len().min(start + room)];
            assert!(sink.bytes == expected && len == expected.len(), "{room} bytes at {offset}");
        }
    }

    fn write(data: &mut Data, offset: u64, bytes: &[u8]) -> Result<usize, Errno> {
        data.write(offset, &mut &*bytes, bytes.len())
    }

    fn read(data: &Data, offset: u64, len: usize) -> Vec<u8> {
        let mut buffer = vec![0xff; len];
        let count = data.read(offset, &mut buffer.as_mut_slice()).unwrap();
        buffer.truncate(count);
        buffer
    }

    #[test]
    fn contents_survive_the_move_to_a_memfd() {
        let mut data = Data::new(Seals::empty());
        write(&mut data, 0, b"small").unwrap();
        assert!(matches!(data.storage, Storage::Inline(_)));
        write(&mut data, 100_000, b"far").unwrap();
        assert!(matches!(data.storage, Storage::Host(..)));
        assert_eq!(data.size(), 100_003);
        assert_eq!(read(&data, 0, 8), b"small\0\0\0");
        assert_eq!(read(&data, 99_999, 100), b"\0far");
        assert_eq!(data.seek(0, Whence::Hole).unwrap(), 4096);
        assert_eq!(data.seek(5000, Whence::Data).unwrap(), 98_304);
        assert_eq!(data.pages(), 2);
    }

    #[test]
    fn holes_and_zeroes() {
        let mut data = Data::new(Seals::empty());
        write(&mut data, 0, &[7; 8192]).unwrap();
        data.allocate(uapi::FALLOC_FL_PUNCH_HOLE | uapi::FALLOC_FL_KEEP_SIZE, 0, 4096).unwrap();
        assert_eq!((read(&data, 4095, 2), data.pages()), (vec![0, 7], 1));
        data.allocate(uapi::FALLOC_FL_ZERO_RANGE, 4096, 8192).unwrap();
        assert_eq!((data.size(), read(&data, 4096, 1)), (12_288, vec![0]));
        data.allocate(uapi::FALLOC_FL_KEEP_SIZE, 0, 1 << 20).unwrap();
        assert_eq!((data.size(), data.pages()), (12_288, 256));
        assert_eq!(data.allocate(uapi::FALLOC_FL_PUNCH_HOLE, 0, 1), Err(errno::EOPNOTSUPP));
    }

    #[test]
    fn seals_forbid() {
        let mut data = Data::new(Seals::empty());
        write(&mut data, 0, b"abc").unwrap();
        data.add_seals(Seals::GROW).unwrap();
        assert_eq!(write(&mut data, 1, b"xyz"), Err(errno::EPERM));
        assert_eq!(write(&mut data, 1, b"xy"), Ok(2));
        data.add_seals(Seals::WRITE | Seals::SEAL).unwrap();
        assert_eq!(write(&mut data, 0, b"x"), Err(errno::EPERM));
        assert_eq!(data.add_seals(Seals::SHRINK), Err(errno::EPERM));
        assert_eq!((data.set_size(1), data.size()), (Ok(()), 1));
    }
}
