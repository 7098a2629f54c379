//! Open regular files: the host's own descriptors.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::fs::{FallocateFlags, SeekFrom, fallocate, fdatasync, fstat, fsync, seek};
use rustix::io::{pread, pwrite};

use super::GoferInode;
use super::attributes::from_host;
use crate::error::Errno;
use crate::fs::{FileCx, FileOps, MapSource, Sink, Source, Whence, read_direct, with_scratch};
use crate::prelude::errno;

/// An open regular file.
#[derive(Debug)]
pub(super) struct HostFile {
    inode: Arc<GoferInode>,
    host: Arc<OwnedFd>,
}

impl HostFile {
    /// Makes the open file of a descriptor.
    pub(super) fn new(inode: Arc<GoferInode>, host: Arc<OwnedFd>) -> Self {
        Self { inode, host }
    }

    /// Reads at an offset.
    pub(super) fn read(&self, offset: u64, into: &mut dyn Sink) -> Result<usize, Errno> {
        read_direct(&self.host, offset, into, |offset, into| {
            with_scratch(into.remaining(), |buffer| self.read_by(buffer, offset, into))
        })
    }

    fn read_by(&self, buffer: &mut [u8], offset: u64, into: &mut dyn Sink) -> Result<usize, Errno> {
        let mut total = 0_usize;
        loop {
            let wanted = into.remaining().min(buffer.len());
            let at = offset.saturating_add(total as u64);
            let room = buffer.get_mut(..wanted).unwrap_or_default();
            let bytes = match pread(&self.host, &mut *room, at) {
                Ok(len) => room.get(..len).unwrap_or_default(),
                Err(_) if total > 0 => return Ok(total),
                Err(errno) => return Err(from_host(errno)),
            };
            if bytes.is_empty() {
                return Ok(total);
            }
            let is_last = bytes.len() < wanted;
            match into.write(bytes) {
                Ok(len) if len < bytes.len() || is_last => return Ok(total.saturating_add(len)),
                Ok(len) => total = total.saturating_add(len),
                Err(_) if total > 0 => return Ok(total),
                Err(errno) => return Err(errno),
            }
            if into.remaining() == 0 {
                return Ok(total);
            }
        }
    }

    /// Writes at an offset.
    pub(super) fn write(&self, offset: u64, from: &mut dyn Source) -> Result<usize, Errno> {
        in_chunks(from, &mut |bytes, done| {
            pwrite(&self.host, bytes, offset.saturating_add(done as u64)).map_err(from_host)
        })
    }

    /// Writes at the end, and returns where that is then.
    pub(super) fn write_at_end(&self, from: &mut dyn Source) -> Result<(u64, usize), Errno> {
        let mut end = 0;
        let total = in_chunks(from, &mut |bytes, _| {
            // Two appends must not find the same end.
            let _appends = self.inode.appends.lock();
            let start = fstat(&self.host).map_err(from_host)?.st_size.cast_unsigned();
            let len = pwrite(&self.host, bytes, start).map_err(from_host)?;
            end = start.saturating_add(len as u64);
            Ok(len)
        })?;
        Ok((end, total))
    }
}

/// Moves all that `from` has by `write_fn`, which is given some bytes and how many were written before, and returns how many
/// it wrote. Ends early, without an error, if not the first of them fails.
fn in_chunks(from: &mut dyn Source, write_fn: WriteFn<'_>) -> Result<usize, Errno> {
    with_scratch(from.remaining(), |buffer| in_chunks_of(buffer, from, write_fn))
}

type WriteFn<'a> = &'a mut dyn FnMut(&[u8], usize) -> Result<usize, Errno>;

fn in_chunks_of(buffer: &mut [u8], from: &mut dyn Source, write_fn: WriteFn<'_>) -> Result<usize, Errno> {
    let mut total = 0_usize;
    while from.remaining() > 0 {
        let step = from.read(buffer).and_then(|len| {
            let bytes = buffer.get(..len).unwrap_or_default();
            Ok((len, write_fn(bytes, total)?))
        });
        match step {
            Ok((len, written)) => {
                total = total.saturating_add(written);
                if written < len || len == 0 {
                    break;
                }
            }
            Err(_) if total > 0 => break,
            Err(errno) => return Err(errno),
        }
    }
    Ok(total)
}

impl FileOps for HostFile {
    fn read_at(&self, _cx: &FileCx<'_>, offset: u64, into: &mut dyn Sink) -> Result<usize, Errno> {
        self.read(offset, into)
    }

    fn write_at(&self, _cx: &FileCx<'_>, offset: u64, from: &mut dyn Source) -> Result<usize, Errno> {
        self.write(offset, from)
    }

    fn append(&self, _cx: &FileCx<'_>, from: &mut dyn Source) -> Result<(u64, usize), Errno> {
        self.write_at_end(from)
    }

    fn seek(&self, offset: u64, whence: Whence, _size: u64) -> Result<u64, Errno> {
        // The position of the host's descriptor is moved and never used.
        let position = match whence {
            Whence::Data => SeekFrom::Data(offset),
            Whence::Hole => SeekFrom::Hole(offset),
        };
        seek(&self.host, position).map_err(from_host)
    }

    fn map(&self, _cx: &FileCx<'_>) -> Result<MapSource, Errno> {
        Ok(MapSource::Host(Arc::clone(&self.host)))
    }

    fn sync(&self, data_only: bool) -> Result<(), Errno> {
        if data_only { fdatasync(&self.host) } else { fsync(&self.host) }.map_err(from_host)
    }

    fn allocate(&self, _cx: &FileCx<'_>, mode: u32, offset: u64, len: u64) -> Result<(), Errno> {
        let mode = FallocateFlags::from_bits(mode).ok_or(errno::EOPNOTSUPP)?;
        fallocate(&self.host, mode, offset, len).map_err(from_host)
    }
}
