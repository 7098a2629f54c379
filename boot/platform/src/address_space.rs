//! An address space: one stub process.

use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use bitflags::bitflags;
use cloister_abi::Errno;
use serde::{Deserialize, Serialize};

use crate::{FpuState, Thread, TrapHandler};

bitflags! {
    /// What guest code may do with memory (`PROT_*` of `mmap(2)`).
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
    pub struct Protection: u8 {
        /// Read.
        const READ = 1;
        /// Write.
        const WRITE = 2;
        /// Execute.
        const EXECUTE = 4;
    }
}

/// What memory shows.
#[derive(Clone, Copy, Debug)]
pub enum Backing<'a> {
    /// Zeros, private to the address space.
    Anonymous,
    /// A file; writes go to it.
    Shared {
        /// The file, open for what the protection allows now and may allow later.
        file: BorrowedFd<'a>,
        /// Where the range begins in it: whole pages.
        offset: u64,
    },
    /// A file; writes stay in the address space.
    Private {
        /// The file, open for reading.
        file: BorrowedFd<'a>,
        /// Where the range begins in it: whole pages.
        offset: u64,
    },
}

/// A mapping to be made: see [`AddressSpace::map`].
#[derive(Clone, Debug)]
pub struct Mapping<'a> {
    /// Where.
    pub range: Range<u64>,
    /// What guest code may do with it.
    pub protection: Protection,
    /// What it shows.
    pub backing: Backing<'a>,
}

/// An address space: the memory of one stub process.
///
/// All ranges are whole pages within [`AddressSpace::range`]: the kernel checks that before it calls. Where the
/// host refuses (`ENOMEM` for too many mappings, say), its error number is returned and the range may be
/// partly changed.
pub trait AddressSpace: Send + Sync + std::fmt::Debug {
    /// Returns the addresses that the guest can use.
    fn range(&self) -> Range<u64>;

    /// Maps `backing` at `range`, in place of what was there.
    ///
    /// # Errors
    ///
    /// The host's.
    fn map(&self, range: Range<u64>, protection: Protection, backing: Backing<'_>) -> Result<(), Errno>;

    /// Maps all of `mappings`, one after the other, as [`AddressSpace::map`] does: together they can cost much less.
    ///
    /// # Errors
    ///
    /// The host's, of the first that fails. Those before it are mapped, those after it are not.
    fn map_all(&self, mappings: &[Mapping<'_>]) -> Result<(), Errno> {
        mappings
            .iter()
            .try_for_each(|mapping| self.map(mapping.range.clone(), mapping.protection, mapping.backing))
    }

    /// Removes all that is mapped in `range`.
    ///
    /// # Errors
    ///
    /// The host's.
    fn unmap(&self, range: Range<u64>) -> Result<(), Errno>;

    /// Changes the protection of `range`, all of which is mapped.
    ///
    /// # Errors
    ///
    /// The host's.
    fn protect(&self, range: Range<u64>, protection: Protection) -> Result<(), Errno>;

    /// Moves the mapping at `from` to `to` (in place of what was there), grown or shrunk to its length. The two
    /// overlap only if they begin at the same address (resizing in place).
    ///
    /// # Errors
    ///
    /// The host's.
    fn remap(&self, from: Range<u64>, to: Range<u64>) -> Result<(), Errno>;

    /// Gives advice about `range` (`MADV_*` of `madvise(2)`).
    ///
    /// # Errors
    ///
    /// The host's.
    fn advise(&self, range: Range<u64>, advice: i32) -> Result<(), Errno>;

    /// Makes a copy: private memory is shared until either side writes, shared memory stays shared. No thread is
    /// copied.
    ///
    /// # Errors
    ///
    /// `EAGAIN` or `ENOMEM` if the host has no room for another process.
    fn fork(&self) -> Result<Arc<dyn AddressSpace>, Errno>;

    /// Returns the process of the host that has the memory, as the kernel's own PID namespace numbers it.
    fn holder(&self) -> i32;

    /// Copies from guest memory. Returns how many bytes could be read before the first that can't: less than
    /// `into` holds where memory is not mapped or not readable.
    fn read(&self, address: u64, into: &mut [u8]) -> usize;

    /// As [`AddressSpace::read`], but where the platform has changed code, what the program has there is returned.
    fn read_original(&self, address: u64, into: &mut [u8]) -> usize {
        self.read(address, into)
    }

    /// Returns the id of a process of the host that has this memory, as the kernel's own PID namespace sees it.
    fn host_process(&self) -> i32;

    /// Copies to guest memory, as guest code could (a page that it may not write is not written). Returns how many
    /// bytes could be written.
    fn write(&self, address: u64, from: &[u8]) -> usize;

    /// Copies `length` bytes from `offset` of a regular file of the host's to guest memory, as far as there is a better way
    /// than to read the file and [write](AddressSpace::write) what was read. Returns how many bytes were copied; the rest,
    /// which may be all, is for the caller to copy, and to find out about the end of the file and memory that is not there.
    fn write_file(&self, _address: u64, _file: BorrowedFd<'_>, _offset: u64, _length: usize) -> usize {
        0
    }

    /// Replaces the aligned `u32` at `address` by `new` if it is `current`, as one step for all who share the
    /// memory. Returns what was there.
    ///
    /// # Errors
    ///
    /// `EFAULT` if it can't be read or written.
    fn compare_exchange(&self, address: u64, current: u32, new: u32) -> Result<u32, Errno>;

    /// Makes a thread, stopped, whose traps `handler` gets. With `fpu` it starts with these floating-point
    /// registers, otherwise with [`FpuState::initial`].
    ///
    /// # Errors
    ///
    /// `EAGAIN` if the host has no room for another thread.
    fn spawn(
        self: Arc<Self>,
        fpu: Option<&FpuState>,
        handler: Arc<dyn TrapHandler>,
    ) -> Result<Arc<dyn Thread>, Errno>;
}
