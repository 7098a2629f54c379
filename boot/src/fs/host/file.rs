//! A regular file of the host.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::fs::SeekFrom;

use super::descriptor::to_errno;
use crate::error::Errno;
use crate::fs::{FileCx, FileOps, MapSource, Sink, Source, Whence};
use crate::prelude::errno;

/// How much is moved at once at most.
const MAX_TRANSFER: usize = 256 << 10;

/// A regular file (or a block device, or a directory) of the host.
#[derive(Clone, Debug)]
pub(crate) struct HostFile {
    fd: Arc<OwnedFd>,
    given_as: Option<u32>,
}

impl HostFile {
    /// Makes a guest file of it.
    pub(crate) fn new(fd: OwnedFd, given_as: Option<u32>) -> Self {
        Self { fd: Arc::new(fd), given_as }
    }

    /// Returns the number by which the container was given it.
    pub(crate) fn given_as(&self) -> Option<u32> {
        self.given_as
    }
}

/// Moves bytes in parts, until one is short. `part` tells how much of a part of `len` bytes, `done` bytes on, it moved.
fn in_parts(
    total: usize,
    mut part: impl FnMut(usize, usize) -> Result<usize, Errno>,
) -> Result<usize, Errno> {
    let mut done = 0;
    loop {
        let len = (total - done).min(MAX_TRANSFER);
        let moved = match part(done, len) {
            Ok(moved) => moved,
            Err(errno) if done == 0 => return Err(errno),
            Err(_) => return Ok(done),
        };
        done += moved;
        // A short part, or none at the end of the file, is the last one.
        if done >= total || moved < len {
            return Ok(done);
        }
    }
}

impl FileOps for HostFile {
    fn read_at(&self, _cx: &FileCx<'_>, offset: u64, into: &mut dyn Sink) -> Result<usize, Errno> {
        let mut bytes = vec![0; into.remaining().min(MAX_TRANSFER)];
        in_parts(into.remaining(), |done, len| {
            let at = offset.checked_add(done as u64).ok_or(errno::EINVAL)?;
            let part = bytes.get_mut(..len).unwrap_or_default();
            let len = rustix::io::pread(&*self.fd, &mut *part, at).map_err(to_errno)?;
            into.write(part.get(..len).unwrap_or_default())
        })
    }

    fn write_at(&self, _cx: &FileCx<'_>, offset: u64, from: &mut dyn Source) -> Result<usize, Errno> {
        let mut bytes = vec![0; from.remaining().min(MAX_TRANSFER)];
        in_parts(from.remaining(), |done, len| {
            let at = offset.checked_add(done as u64).ok_or(errno::EFBIG)?;
            let part = bytes.get_mut(..len).unwrap_or_default();
            let len = from.read(part)?;
            rustix::io::pwrite(&*self.fd, part.get(..len).unwrap_or_default(), at).map_err(to_errno)
        })
    }

    fn append(&self, _cx: &FileCx<'_>, from: &mut dyn Source) -> Result<(u64, usize), Errno> {
        // The host's description has O_APPEND too: that is where the guest's flag comes from.
        let mut bytes = vec![0; from.remaining().min(MAX_TRANSFER)];
        let len = in_parts(from.remaining(), |_, len| {
            let part = bytes.get_mut(..len).unwrap_or_default();
            let len = from.read(part)?;
            rustix::io::write(&*self.fd, part.get(..len).unwrap_or_default()).map_err(to_errno)
        })?;
        Ok((self.outer_position().unwrap_or(0), len))
    }

    fn outer_position(&self) -> Option<u64> {
        rustix::fs::tell(&*self.fd).ok()
    }

    fn set_outer_position(&self, position: u64) {
        // It was checked to be one that a file can have.
        let _ = rustix::fs::seek(&*self.fd, SeekFrom::Start(position));
    }

    fn seek(&self, offset: u64, whence: Whence, size: u64) -> Result<u64, Errno> {
        match whence {
            _ if offset >= size => Err(errno::ENXIO),
            // Asking the host would move the position that others share.
            Whence::Data => Ok(offset),
            Whence::Hole => Ok(size),
        }
    }

    fn size(&self) -> Option<u64> {
        let stat = rustix::fs::fstat(&*self.fd).ok()?;
        u64::try_from(stat.st_size).ok()
    }

    fn map(&self, _cx: &FileCx<'_>) -> Result<MapSource, Errno> {
        Ok(MapSource::Host(Arc::clone(&self.fd)))
    }

    fn sync(&self, data_only: bool) -> Result<(), Errno> {
        let result = if data_only { rustix::fs::fdatasync(&*self.fd) } else { rustix::fs::fsync(&*self.fd) };
        result.map_err(to_errno)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_part_is_the_last() {
        let moved = |parts: &[usize], total: usize| {
            let mut parts = parts.iter().copied();
            in_parts(total, |_, len| Ok(parts.next().unwrap().min(len)))
        };
        assert_eq!(moved(&[0], 10), Ok(0), "the end of the file");
        assert_eq!(moved(&[4], 10), Ok(4));
        assert_eq!(moved(&[MAX_TRANSFER, 0], MAX_TRANSFER + 1), Ok(MAX_TRANSFER));
        assert_eq!(moved(&[MAX_TRANSFER, 1], MAX_TRANSFER + 1), Ok(MAX_TRANSFER + 1));
    }
}
