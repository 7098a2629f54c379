//! Windows: parts of files that guest threads copy from.
//!
//! What a call reads of a file would be copied twice, and the host takes longer to copy from one process to another than
//! a thread takes in its own memory. So a part of a file that is read in order is mapped where guest code has nothing, and
//! the thread that reads, at a patched call site, copies from there (see [`copy`](super::copy)).
//!
//! What the thread can't copy it leaves to the kernel, which finds out why: the file may have been cut off, its storage
//! may fail, or the memory may not be there to be written.
//!
//! Guest code can look at a window. It sees what it could map itself: a part of a file that the process has open to read.
//! It can't change the file there, nor the window. One that is not used for a while is closed, so that it does not hold on
//! to a file that is not open any more; a file that changes gets none.

use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use rustix::fs::{FileType, Stat};

use super::copy::Copier;
use super::slot::Slots;
use crate::Protection;
use crate::ptrace::space::Space;

/// The size of a window: of address space, since memory is only what is used.
const BYTES: u64 = 16 << 20;
/// How much is read in order before a window is opened, which costs as much as to copy this.
const IN_ORDER: u64 = 256 << 10;
/// After how long without use a window is closed.
const IDLE: Duration = Duration::from_millis(100);
/// What a thread copies at once: the kernel does not wait long for it.
const STEP: u64 = 256 << 10;

/// The window of an address space, and what led to it.
#[derive(Debug, Default)]
pub(crate) struct Window {
    /// The file that was read last.
    file: Option<Identity>,
    /// Where that ended, and how much was read in order up to there.
    end: u64,
    in_order: u64,
    /// Where in the file the window begins, and when it was used, if it is open.
    open: Option<(u64, Instant)>,
}

/// A file as it was at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
    size: i64,
    changed: [u64; 4],
}

impl Identity {
    fn new(stat: &Stat) -> Self {
        let [mtime, ctime] = [stat.st_mtime, stat.st_ctime].map(i64::cast_unsigned);
        let changed = [mtime, stat.st_mtime_nsec, ctime, stat.st_ctime_nsec];
        Self { device: stat.st_dev, inode: stat.st_ino, size: stat.st_size, changed }
    }
}

impl Window {
    /// Takes note that a part of a file is read. One that is of another file is closed.
    fn note(&mut self, space: &Space, file: Identity, part: &Range<u64>) {
        if self.file != Some(file) {
            self.close(space);
            *self = Self { file: Some(file), ..Self::default() };
        }
        let before = if part.start == self.end { self.in_order } else { 0 };
        self.in_order = before.saturating_add(part.end - part.start);
        self.end = part.end;
    }

    /// Returns how much of the file the window shows from `at` on, and where.
    fn shown(&self, at: u64) -> Option<(u64, u64)> {
        let (start, _) = self.open?;
        let offset = at.checked_sub(start).filter(|offset| *offset < BYTES)?;
        Some((offset, BYTES - offset))
    }

    /// Opens the window where the file has `at`, if it is worth it.
    fn open(&mut self, space: &Space, file: BorrowedFd<'_>, at: u64) -> Option<()> {
        if self.in_order < IN_ORDER {
            return None;
        }
        // So that no more is tried than was read.
        self.in_order = 0;
        let start = at / BYTES * BYTES;
        let range = space.window_start()..space.window_start() + BYTES;
        // In place of the one before.
        self.open = None;
        // Nothing is written there, and a shared mapping would keep a memory file from being sealed.
        let private = libc::MAP_PRIVATE;
        if space.map_file_here(&range, Protection::READ, private, file, start).is_err() {
            unmap(space);
            return None;
        }
        self.open = Some((start, Instant::now()));
        Some(())
    }

    /// Closes the window.
    fn close(&mut self, space: &Space) {
        if self.open.take().is_some() {
            unmap(space);
        }
    }

    /// Closes the window if it was not used for a while. Returns whether it is open.
    pub(super) fn close_idle(&mut self, space: &Space) -> bool {
        if self.open.is_some_and(|(_, used)| used.elapsed() >= IDLE) {
            self.close(space);
        }
        self.open.is_some()
    }
}

fn unmap(space: &Space) {
    // The helper fails only if it is dead, and the memory with it.
    let _ = space.call(libc::SYS_munmap, [space.window_start(), BYTES, 0, 0, 0, 0]);
}

/// When windows are to be looked at that were not used for a while.
pub(super) fn next_look() -> Instant {
    Instant::now() + IDLE
}

/// Has the thread whose call is handled copy from a part of a file to its memory, as [`AddressSpace::write_file`]. Returns
/// also whether there is a window.
///
/// [`AddressSpace::write_file`]: crate::AddressSpace::write_file
pub(super) fn copy(
    copier: &Copier,
    slots: &Slots,
    space: &Space,
    to: u64,
    file: BorrowedFd<'_>,
    part: Range<u64>,
) -> (usize, bool) {
    let helper = space.helper();
    let Some(stat) = copier.can_copy(helper).then(|| rustix::fs::fstat(file).ok()).flatten() else {
        return (0, false);
    };
    let end = part.end.min(stat.st_size.max(0).cast_unsigned());
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile || end <= part.start {
        return (0, false);
    }
    let mut window = space.window();
    window.note(space, Identity::new(&stat), &(part.start..end));
    let mut at = part.start;
    while at < end {
        let shown = window.shown(at).or_else(|| {
            // A thread that the kernel has lost patience with may still copy from the one before.
            let is_free = !space.has_slot(|slot| slots.is_copying(slot));
            is_free.then(|| window.open(space, file, at)).flatten()?;
            window.shown(at)
        });
        let Some((offset, room)) = shown else { break };
        let wanted = (end - at).min(room).min(STEP);
        let length = usize::try_from(wanted).unwrap_or(usize::MAX);
        let addresses = [space.window_start() + offset, to + (at - part.start)];
        let copied = copier.copy(slots, helper, addresses, length).unwrap_or(0);
        at += copied as u64;
        if copied < length {
            break;
        }
    }
    if let Some((_, used)) = &mut window.open {
        *used = Instant::now();
    }
    (usize::try_from(at - part.start).unwrap_or(0), window.open.is_some())
}
