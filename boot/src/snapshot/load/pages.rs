//! How the pages of private memory come back.
//!
//! A run of pages of a build goes to a part of a mapping in one of the ways of [`RestoreMemory`]: it is copied, or the host shows
//! it from the build's file. What is shown is for [`Mm`] to know, since every later change of the mapping has to heed it.

use std::ops::Range;

use cloister_platform::Backing;
use cloister_proto::control::RestoreMemory;
use cloister_proto::snapshot::{PAGE_BYTES, Run};
use std::os::fd::AsFd;

use crate::error::Errno;
use crate::mm::{Mm, SavedPages, Vma, VmaFlags};
use crate::prelude::errno;
use crate::snapshot::failure::{Result, because, damaged};
use crate::snapshot::memory::MemoryReader;

/// Fewer pages are copied: that costs less than a mapping of their own does.
const FEWEST_PAGES: u64 = 8;
/// The most mappings of their own that an address space gets. The host bounds what there can be altogether, and the guest is to
/// have its share.
const MOST_PIECES: usize = 8192;

/// Brings the pages of an address space back, in which all is mapped.
///
/// # Errors
///
/// `InvalidArgument` if pages are not those of private memory, `Os` if the files can't be read, and the host's.
pub(super) fn bring_back(mm: &Mm, runs: &[Run], memory: &MemoryReader, how: RestoreMemory) -> Result<()> {
    let (mut expected, mut pieces) = (0, 0);
    for run in runs {
        expected += run.pages;
    }
    for (range, vma) in mm.mappings() {
        for piece in within(runs, &range) {
            if vma.is_shared() {
                return Err(damaged("it has pages of its own for shared memory"));
            }
            expected -= piece.run.pages;
            let is_shown = how == RestoreMemory::Map
                && piece.run.pages >= FEWEST_PAGES
                && pieces < MOST_PIECES
                && !vma.flags.contains(VmaFlags::WIPE_ON_FORK)
                && show(mm, &piece, memory)?;
            if is_shown {
                pieces += 1;
            } else {
                copy(mm, &vma, &piece, memory)?;
            }
        }
    }
    if expected > 0 {
        return Err(damaged("it has pages where nothing is mapped"));
    }
    Ok(())
}

/// Pages of a build that belong to one mapping.
struct Piece {
    range: Range<u64>,
    run: Run,
}

/// Returns the parts of `runs` that are in `range`.
fn within(runs: &[Run], range: &Range<u64>) -> impl Iterator<Item = Piece> {
    let (first, end) = (range.start / PAGE_BYTES, range.end / PAGE_BYTES);
    let at = runs.partition_point(|run| run.page + run.pages <= first);
    runs.iter().skip(at).take_while(move |run| run.page < end).map(move |run| {
        let (page, next) = (run.page.max(first), (run.page + run.pages).min(end));
        let run = Run { page, pages: next - page, build: run.build, stored: run.stored + (page - run.page) };
        Piece { range: page * PAGE_BYTES..next * PAGE_BYTES, run }
    })
}

/// Has the host show pages from the file. Returns whether it does: it may have too many mappings, or the file be where no
/// programs may be.
fn show(mm: &Mm, piece: &Piece, memory: &MemoryReader) -> Result<bool> {
    let Run { build, stored, .. } = piece.run;
    let backing = Backing::Private { file: memory.file(&piece.run)?.as_fd(), offset: stored * PAGE_BYTES };
    match mm.show_saved(piece.range.clone(), SavedPages { build, stored }, backing) {
        Ok(()) => Ok(true),
        Err(errno::ENOMEM | errno::EPERM | errno::EACCES) => Ok(false),
        Err(errno) => Err(crate::snapshot::failure::failed("map the pages of the snapshot", errno)),
    }
}

/// Copies pages.
fn copy(mm: &Mm, vma: &Vma, piece: &Piece, memory: &MemoryReader) -> Result<()> {
    let read = |at: u64, into: &mut [u8]| -> std::result::Result<(), Errno> {
        memory.read(&piece.run, at - piece.range.start, into).map_err(|failure| {
            // The log tells why; what can be told from here is only that it failed.
            tracing::error!("{}", failure.message);
            errno::EIO
        })
    };
    mm.fill(piece.range.clone(), vma.protection, read).map_err(because(|| "bring memory back"))
}
