//! A segment, and what to map for it.

use std::ops::Range;

use cloister_abi::Errno;
use cloister_abi::errno::ENOEXEC;

use crate::header::{PF_R, PF_W, PF_X, ProgramHeader};
use crate::{Access, PAGE, TASK_SIZE};

/// A part of the file to load (`PT_LOAD`), checked: sums of its fields do not overflow and end below the end of the
/// user's addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The bytes in memory.
    pub range: Range<u64>,
    /// Where they begin in the file.
    pub offset: u64,
    /// How many of them the file has; the others are zero.
    pub file_bytes: u64,
    /// What is allowed.
    pub access: Access,
}

/// Pages of the file to map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilePages {
    /// Where.
    pub range: Range<u64>,
    /// From where in the file: whole pages.
    pub offset: u64,
}

impl Segment {
    pub(crate) fn new(header: &ProgramHeader) -> Result<Self, Errno> {
        let end = header.vaddr.checked_add(header.memsz).filter(|end| *end <= TASK_SIZE).ok_or(ENOEXEC)?;
        let file_end = header.offset.checked_add(header.filesz).and_then(|end| end.checked_add(PAGE));
        let is_mappable =
            header.filesz == 0 || header.offset.checked_rem(PAGE) == header.vaddr.checked_rem(PAGE);
        if header.filesz > header.memsz || file_end.is_none() || !is_mappable {
            return Err(ENOEXEC);
        }
        let allowed = [(PF_R, Access::READ), (PF_W, Access::WRITE), (PF_X, Access::EXECUTE)];
        Ok(Self {
            range: header.vaddr..end,
            offset: header.offset,
            file_bytes: header.filesz,
            access: allowed
                .into_iter()
                .filter(|(flag, _)| header.flags & flag != 0)
                .map(|(_, access)| access)
                .collect(),
        })
    }

    /// Returns the pages that the segment takes.
    pub fn pages(&self) -> Range<u64> {
        page_start(self.range.start)..page_end(self.range.end)
    }

    /// Returns what to map of the file: whole pages, with what the file has before and behind the segment's bytes.
    pub fn file_pages(&self) -> Option<FilePages> {
        (self.file_bytes > 0).then(|| FilePages {
            range: page_start(self.range.start)..page_end(self.file_end()),
            offset: page_start(self.offset),
        })
    }

    /// Returns the bytes to clear in the last page of the file: Linux does so only if the segment can be written,
    /// and lets others show what the file has.
    pub fn cleared(&self) -> Option<Range<u64>> {
        let end = page_end(self.file_end()).min(page_end(self.range.end));
        let has_zeros = self.file_bytes > 0 && self.range.end > self.file_end();
        (has_zeros && end > self.file_end() && self.access.contains(Access::WRITE))
            .then(|| self.file_end()..end)
    }

    /// Returns the pages of zeros behind those of the file.
    pub fn zero_pages(&self) -> Option<Range<u64>> {
        let start =
            if self.file_bytes > 0 { page_end(self.file_end()) } else { page_start(self.range.start) };
        let end = page_end(self.range.end);
        (start < end).then_some(start..end)
    }

    /// Returns the address in memory of the byte at `offset` in the file, if this segment has it.
    pub(crate) fn address_of(&self, offset: u64) -> Option<u64> {
        let within = offset.checked_sub(self.offset).filter(|within| *within < self.file_bytes)?;
        self.range.start.checked_add(within)
    }

    fn file_end(&self) -> u64 {
        // At most `range.end`: `file_bytes` is at most its length.
        self.range.start.saturating_add(self.file_bytes)
    }
}

fn page_start(address: u64) -> u64 {
    address & !0xfff
}

fn page_end(address: u64) -> u64 {
    // No overflow: the addresses end at `TASK_SIZE`.
    page_start(address.saturating_add(0xfff))
}
