//! Pages in files.

use std::collections::HashMap;
use std::os::fd::OwnedFd;

use cloister_proto::control::FileSum;
use cloister_proto::snapshot::{MemoryHeader, MemoryImage, PAGE_BYTES, Run};
use crc32fast::Hasher;
use rustix::io::{pread, pwrite};

use super::failure::{Result, damaged, failed, host};
use crate::prelude::errno;

/// The size of a page.
pub(super) const PAGE: usize = 4096;
const _: () = assert!(PAGE as u64 == PAGE_BYTES);

/// How much is written at once.
const WRITE_BYTES: usize = 1 << 20;

/// What becomes of pages of zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Zeros {
    /// They are what is there anyway.
    Left,
    /// They hide what a file has there.
    Kept,
}

/// Writes pages. What is the same at one address in several memories is written once: what processes share after a fork.
#[derive(Debug)]
pub(super) struct MemoryWriter {
    file: OwnedFd,
    hasher: Hasher,
    /// What is not written yet.
    pending: Vec<u8>,
    /// How many pages were written.
    written: u64,
    memories: Vec<MemoryImage>,
    current: MemoryImage,
    /// The pages of earlier memories, by their numbers there: a sum, and where they are stored.
    earlier: HashMap<u64, Vec<(u32, u64)>>,
    /// Those of the current one.
    own: Vec<(u64, u32, u64)>,
}

impl MemoryWriter {
    /// Writes to `file`, which is empty and can be read too.
    pub(super) fn new(file: OwnedFd) -> Self {
        Self {
            file,
            hasher: Hasher::new(),
            pending: Vec::with_capacity(WRITE_BYTES),
            written: 0,
            memories: Vec::new(),
            current: MemoryImage::default(),
            earlier: HashMap::new(),
            own: Vec::new(),
        }
    }

    /// Saves whole pages, from the page `number` on. Numbers come in their order.
    ///
    /// # Errors
    ///
    /// `Os` if the file can't be written.
    pub(super) fn pages(&mut self, number: u64, bytes: &[u8], zeros: Zeros) -> Result<()> {
        for (number, page) in (number..).zip(bytes.chunks_exact(PAGE)) {
            if zeros == Zeros::Left && page.iter().all(|byte| *byte == 0) {
                continue;
            }
            let sum = crc32fast::hash(page);
            let stored = match self.find(number, sum, page)? {
                Some(stored) => stored,
                None => self.append(page)?,
            };
            self.own.push((number, sum, stored));
            let runs = &mut self.current.runs;
            match runs.last_mut() {
                Some(run) if run.page + run.pages == number && run.stored + run.pages == stored => {
                    run.pages += 1;
                }
                _ => runs.push(Run { page: number, pages: 1, build: 0, stored }),
            }
        }
        Ok(())
    }

    /// Begins the next memory.
    pub(super) fn next(&mut self) {
        for (number, sum, stored) in self.own.drain(..) {
            let known = self.earlier.entry(number).or_default();
            if !known.iter().any(|(_, at)| *at == stored) {
                known.push((sum, stored));
            }
        }
        self.memories.push(std::mem::take(&mut self.current));
    }

    /// Writes what is left. Returns where pages are, how many, and the file's sum.
    ///
    /// # Errors
    ///
    /// `Os` if the file can't be written.
    pub(super) fn finish(mut self) -> Result<(Vec<MemoryImage>, u64, FileSum)> {
        self.flush()?;
        let sum = FileSum { bytes: self.written * PAGE_BYTES, crc32: self.hasher.finalize() };
        Ok((self.memories, self.written, sum))
    }

    /// Returns where the same page is stored that another memory has at this place.
    fn find(&mut self, number: u64, sum: u32, page: &[u8]) -> Result<Option<u64>> {
        let Some(known) = self.earlier.get(&number) else { return Ok(None) };
        let alike: Vec<u64> = known.iter().filter(|(other, _)| *other == sum).map(|(_, at)| *at).collect();
        for stored in alike {
            if stored >= self.written {
                self.flush()?;
            }
            let mut there = [0; PAGE];
            read_exactly(&self.file, &mut there, stored * PAGE_BYTES)?;
            if there == page {
                return Ok(Some(stored));
            }
        }
        Ok(None)
    }

    fn append(&mut self, page: &[u8]) -> Result<u64> {
        if self.pending.len() + PAGE > WRITE_BYTES {
            self.flush()?;
        }
        let stored = self.written + (self.pending.len() / PAGE) as u64;
        self.pending.extend_from_slice(page);
        Ok(stored)
    }

    fn flush(&mut self) -> Result<()> {
        write_all(&self.file, &self.pending, self.written * PAGE_BYTES)?;
        self.hasher.update(&self.pending);
        self.written += (self.pending.len() / PAGE) as u64;
        self.pending.clear();
        Ok(())
    }
}

/// Writes the whole of a file, and returns its sum.
///
/// # Errors
///
/// `Os` if it can't be written.
pub(super) fn write_file(file: &OwnedFd, bytes: &[u8]) -> Result<FileSum> {
    write_all(file, bytes, 0)?;
    Ok(FileSum { bytes: bytes.len() as u64, crc32: crc32fast::hash(bytes) })
}

fn write_all(file: &OwnedFd, mut bytes: &[u8], mut at: u64) -> Result<()> {
    while !bytes.is_empty() {
        let written = pwrite(file, bytes, at).map_err(|errno| host("write the snapshot", errno))?;
        if written == 0 {
            return Err(failed("write the snapshot", errno::ENOSPC));
        }
        bytes = bytes.get(written..).unwrap_or_default();
        at += written as u64;
    }
    Ok(())
}

/// Reads the whole of a file.
///
/// # Errors
///
/// `Os` if it can't be read.
pub(super) fn read_file(file: &OwnedFd) -> Result<Vec<u8>> {
    let stat = rustix::fs::fstat(file).map_err(|errno| host("look at the snapshot", errno))?;
    let mut bytes = vec![0; usize::try_from(stat.st_size).map_err(|_| damaged("a file has no size"))?];
    read_exactly(file, &mut bytes, 0)?;
    Ok(bytes)
}

fn read_exactly(file: &OwnedFd, into: &mut [u8], at: u64) -> Result<()> {
    let mut done = 0;
    while done < into.len() {
        let rest = into.get_mut(done..).unwrap_or_default();
        match pread(file, rest, at + done as u64).map_err(|errno| host("read the snapshot", errno))? {
            0 => return Err(damaged("a file is too short")),
            read => done += read,
        }
    }
    Ok(())
}

/// Reads pages.
#[derive(Debug)]
pub(super) struct MemoryReader {
    /// The pages of each build.
    files: Vec<OwnedFd>,
    header: MemoryHeader,
}

impl MemoryReader {
    /// Reads what `header` tells of from `files`, one for each of its builds.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` if the header makes no sense, or is not of these files.
    pub(super) fn new(header: &OwnedFd, files: Vec<OwnedFd>) -> Result<Self> {
        let header = MemoryHeader::from_bytes(&read_file(header)?).map_err(damaged)?;
        if header.builds.len() != files.len() {
            return Err(damaged(format_args!("it needs {} builds", header.builds.len())));
        }
        for ((_, expected), file) in header.builds.iter().zip(&files) {
            let stat = rustix::fs::fstat(file).map_err(|errno| host("look at the snapshot", errno))?;
            if u64::try_from(stat.st_size).unwrap_or(0) / PAGE_BYTES < *expected {
                return Err(damaged("memory.dat is too short"));
            }
        }
        Ok(Self { files, header })
    }

    /// Returns the file with the pages of a run.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` if there is no such build.
    pub(super) fn file(&self, run: &Run) -> Result<&OwnedFd> {
        let file = usize::try_from(run.build).ok().and_then(|build| self.files.get(build));
        file.ok_or_else(|| damaged("a build is missing"))
    }

    /// Returns the pages of a memory that are not zero.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` if there is no such memory.
    pub(super) fn runs(&self, memory: usize) -> Result<&[Run]> {
        let memory = self.header.memories.get(memory);
        memory.map(|memory| &*memory.runs).ok_or_else(|| damaged("a memory is missing"))
    }

    /// Reads pages of a run, from `offset` bytes behind its start on.
    ///
    /// # Errors
    ///
    /// `Os` if the file can't be read.
    pub(super) fn read(&self, run: &Run, offset: u64, into: &mut [u8]) -> Result<()> {
        read_exactly(self.file(run)?, into, run.stored * PAGE_BYTES + offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> OwnedFd {
        rustix::fs::memfd_create("test", rustix::fs::MemfdFlags::CLOEXEC).expect("the host has memory")
    }

    #[test]
    fn what_memories_share_is_written_once_and_zeros_never() {
        let data = file();
        let mut writer = MemoryWriter::new(data.try_clone().unwrap());
        let (a, b, zero) = ([1; PAGE], [2; PAGE], [0; PAGE]);
        writer.pages(5, &[a, b, zero].concat(), Zeros::Left).unwrap();
        writer.next();
        writer.pages(4, &[a, a, b, zero].concat(), Zeros::Kept).unwrap();
        writer.next();
        writer.next();
        let (memories, pages, sum) = writer.finish().unwrap();
        assert_eq!((pages, sum.bytes), (4, 4 * PAGE_BYTES));
        let run = |page, pages, stored| Run { page, pages, build: 0, stored };
        assert_eq!(memories[0].runs, [run(5, 2, 0)]);
        assert_eq!(memories[1].runs, [run(4, 1, 2), run(5, 2, 0), run(7, 1, 3)]);
        assert_eq!(sum.crc32, crc32fast::hash(&read_file(&data).unwrap()));

        let builds = vec![([0; 16], pages)];
        let header = MemoryHeader { format: cloister_proto::snapshot::FORMAT, builds, memories };
        let header_file = file();
        write_file(&header_file, &header.to_bytes().unwrap()).unwrap();
        let reader = MemoryReader::new(&header_file, vec![data.try_clone().unwrap()]).unwrap();
        let mut page = [0; PAGE];
        reader.read(&reader.runs(1).unwrap()[1], PAGE_BYTES, &mut page).unwrap();
        assert_eq!((page, reader.runs(2).unwrap().len(), reader.runs(3).is_err()), (b, 0, true));
        rustix::fs::ftruncate(&data, 3 * PAGE_BYTES).unwrap();
        MemoryReader::new(&header_file, vec![data]).unwrap_err();
        MemoryReader::new(&header_file, Vec::new()).unwrap_err();
    }
}
