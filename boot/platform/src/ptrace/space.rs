//! An address space: one helper process, and the guest threads that share its memory.

use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cloister_abi::{Errno, Registers, errno};
use cloister_sync::{Lock, LockGuard, class};
use rustix::process::Pid;

use super::batch::Batch;
use super::filter::CLONE_COPY_FLAGS;
use super::image::{GUEST, PAGE};
use super::sys;
use super::tracer::Tracer;
use crate::systrap::call_sites::{self, CallSites};
use crate::systrap::window::Window;
use crate::{AddressSpace, Backing, FpuState, Mapping, Protection, Thread, TrapHandler};

/// How guest threads of an address space are made, which is where the platforms differ.
pub(crate) trait Threads: Send + Sync + std::fmt::Debug {
    /// See [`AddressSpace::spawn`].
    fn spawn(
        self: Arc<Self>,
        space: Arc<Space>,
        fpu: Option<&FpuState>,
        handler: Arc<dyn TrapHandler>,
    ) -> Result<Arc<dyn Thread>, Errno>;

    /// As [`AddressSpace::read`], by a thread of the address space that has nothing else to do; `None` if there is none.
    fn read(&self, _space: &Space, _address: u64, _into: &mut [u8]) -> Option<usize> {
        None
    }

    /// As [`AddressSpace::write_file`].
    fn write_file(&self, _space: &Space, _address: u64, _file: BorrowedFd<'_>, _part: Range<u64>) -> usize {
        0
    }

    /// As [`AddressSpace::write`], by a thread of the address space that has nothing else to do; `None` if there is none.
    fn write(&self, _space: &Space, _address: u64, _from: &[u8]) -> Option<usize> {
        None
    }
}

/// An address space.
#[derive(Debug)]
pub(crate) struct Space {
    tracer: Arc<Tracer>,
    helper: Pid,
    threads: Arc<dyn Threads>,
    /// Whether guest code can have been in it.
    is_inhabited: AtomicBool,
    /// What of its text the systrap platform has patched.
    call_sites: Lock<CallSites, { class::CALL_SITES }>,
    /// What its threads copy from.
    window: Lock<Window, { class::WINDOW }>,
}

impl Space {
    /// Wraps a stopped helper that the tracer's tables know.
    pub(crate) fn new(tracer: Arc<Tracer>, helper: Pid, threads: Arc<dyn Threads>) -> Self {
        let (call_sites, window) = (Lock::default(), Lock::default());
        Self { tracer, helper, threads, is_inhabited: AtomicBool::new(false), call_sites, window }
    }

    /// Returns the process that makes the host's system calls on the memory.
    pub(crate) fn helper(&self) -> Pid {
        self.helper
    }

    /// Returns whether guest code can have been in it: whether a thread was ever made.
    pub(crate) fn is_inhabited(&self) -> bool {
        self.is_inhabited.load(Ordering::Relaxed)
    }

    /// Has the helper, as long as nobody is [there](Space::is_inhabited), map files at ranges of the platform's, which copies
    /// of the address space will not have, and then make a process by `clone(2)` with `flags`, which is stopped. Either may
    /// be mapped if this fails.
    pub(crate) fn map_here_and_clone(&self, mappings: &[Mapping<'_>; 2], flags: u64) -> Result<Pid, Errno> {
        let batch = Batch::to_clone(&self.tracer.layout, mappings, flags);
        self.tracer.clone_by_batch(self.helper, &batch)
    }

    /// Gives access to what is known of its call sites.
    pub(crate) fn call_sites(&self) -> LockGuard<'_, CallSites> {
        self.call_sites.lock()
    }

    /// Gives access to its window.
    pub(crate) fn window(&self) -> LockGuard<'_, Window> {
        self.window.lock()
    }

    /// Returns where its window begins, if it is open.
    pub(crate) fn window_start(&self) -> u64 {
        self.tracer.layout.window
    }

    /// Returns whether a slot of its threads is one that is looked for.
    pub(crate) fn has_slot(&self, is_it: impl Fn(usize) -> bool) -> bool {
        self.tracer.tables().owners.slots_of(self.helper).iter().any(|slot| is_it(*slot))
    }

    /// Makes a copy.
    pub(crate) fn copy(&self) -> Result<Self, Errno> {
        let helper = self.tracer.clone_helper(self.helper, CLONE_COPY_FLAGS)?;
        self.tracer.tables().add_helper(helper, self.helper);
        let call_sites = Lock::new(self.call_sites().copy());
        let (tracer, threads) = (Arc::clone(&self.tracer), Arc::clone(&self.threads));
        let is_inhabited = AtomicBool::new(false);
        Ok(Self { tracer, helper, threads, is_inhabited, call_sites, window: Lock::default() })
    }

    /// Has the helper make a system call.
    pub(crate) fn call(&self, number: i64, arguments: [u64; 6]) -> Result<u64, Errno> {
        self.tracer.call(self.helper, number, arguments)
    }

    /// Has the helper run code of the host's, and returns whether it comes to `end` without a system call.
    pub(crate) fn runs_without_calls(&self, registers: &Registers, end: u64) -> Result<bool, Errno> {
        self.tracer.runs_without_calls(self.helper, registers, end)
    }

    /// Writes a word, also where the address space can only read.
    pub(crate) fn poke(&self, address: u64, word: u64) -> Result<(), Errno> {
        self.tracer.stop(self.helper)?;
        sys::poke(self.helper, address, word)
    }

    /// Has the helper map a file over whatever is at `range`, which may be the platform's.
    pub(crate) fn map_file(
        &self,
        range: &Range<u64>,
        protection: Protection,
        flags: i32,
        file: BorrowedFd<'_>,
        offset: u64,
    ) -> Result<(), Errno> {
        let arguments = map_arguments(range, protection, flags, offset);
        self.tracer.map_file(self.helper, file, arguments, 0).map(drop)
    }

    /// Has the helper map a file at `range`, as [`Space::map_file`], which copies of the address space will not have. It may
    /// be mapped if this fails.
    pub(crate) fn map_file_here(
        &self,
        range: &Range<u64>,
        protection: Protection,
        flags: i32,
        file: BorrowedFd<'_>,
        offset: u64,
    ) -> Result<(), Errno> {
        let arguments = map_arguments(range, protection, flags, offset);
        self.tracer.map_file(self.helper, file, arguments, libc::MADV_DONTFORK).map(drop)
    }
}

/// Returns the arguments of `mmap(2)` without the descriptor.
pub(super) fn map_arguments(range: &Range<u64>, protection: Protection, flags: i32, offset: u64) -> [u64; 5] {
    let flags = u64::from((libc::MAP_FIXED | flags).cast_unsigned());
    [range.start, range.end - range.start, u64::from(protection.bits()), flags, offset]
}

/// Returns the flags of `mmap(2)` for a mapping of the guest's.
pub(super) fn map_flags(backing: &Backing<'_>) -> i32 {
    // Whether there is room is for the sandbox' memory limit to say, not for the host's overcommit heuristics, which see
    // one mapping at a time.
    match backing {
        Backing::Anonymous => libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
        Backing::Shared { .. } => libc::MAP_SHARED,
        Backing::Private { .. } => libc::MAP_PRIVATE | libc::MAP_NORESERVE,
    }
}

/// Returns the length of `range`, if it is one of whole pages of the guest's: this is what keeps the platform's own
/// pages out of reach of mistakes in the kernel.
fn length_of(range: &Range<u64>) -> Result<u64, Errno> {
    let is_whole = range.start.is_multiple_of(PAGE) && range.end.is_multiple_of(PAGE);
    if is_whole && GUEST.start <= range.start && range.start < range.end && range.end <= GUEST.end {
        Ok(range.end - range.start)
    } else {
        Err(errno::EINVAL)
    }
}

impl AddressSpace for Space {
    fn range(&self) -> Range<u64> {
        GUEST
    }

    fn holder(&self) -> i32 {
        self.helper.as_raw_nonzero().get()
    }

    fn map(&self, range: Range<u64>, protection: Protection, backing: Backing<'_>) -> Result<(), Errno> {
        length_of(&range)?;
        match backing {
            Backing::Anonymous => {
                let [start, length, protection, flags, _] =
                    map_arguments(&range, protection, map_flags(&backing), 0);
                self.call(libc::SYS_mmap, [start, length, protection, flags, u64::MAX, 0]).map(drop)
            }
            Backing::Shared { file, offset } | Backing::Private { file, offset } => {
                self.map_file(&range, protection, map_flags(&backing), file, offset)
            }
        }
    }

    fn map_all(&self, mappings: &[Mapping<'_>]) -> Result<(), Errno> {
        mappings.iter().try_for_each(|mapping| length_of(&mapping.range).map(drop))?;
        if self.is_inhabited() {
            return mappings.iter().try_for_each(|mapping| {
                self.map(mapping.range.clone(), mapping.protection, mapping.backing)
            });
        }
        let batches = Batch::of(&self.tracer.layout, mappings);
        batches.iter().try_for_each(|batch| self.tracer.run_batch(self.helper, batch).map(drop))
    }

    fn unmap(&self, range: Range<u64>) -> Result<(), Errno> {
        let length = length_of(&range)?;
        self.call(libc::SYS_munmap, [range.start, length, 0, 0, 0, 0]).map(drop)
    }

    fn protect(&self, range: Range<u64>, protection: Protection) -> Result<(), Errno> {
        let length = length_of(&range)?;
        let arguments = [range.start, length, u64::from(protection.bits()), 0, 0, 0];
        self.call(libc::SYS_mprotect, arguments).map(drop)
    }

    fn remap(&self, from: Range<u64>, to: Range<u64>) -> Result<(), Errno> {
        let (old, new) = (length_of(&from)?, length_of(&to)?);
        let flags = if from.start == to.start {
            if new > old {
                // Without `MREMAP_FIXED` the host grows only into free space.
                self.unmap(from.end..to.end)?;
            }
            0
        } else {
            call_sites::restore(self, &from);
            libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED
        };
        let flags = u64::from(flags.cast_unsigned());
        self.call(libc::SYS_mremap, [from.start, old, new, flags, to.start, 0]).map(drop)
    }

    fn advise(&self, range: Range<u64>, advice: i32) -> Result<(), Errno> {
        let length = length_of(&range)?;
        let advice = u64::from(advice.cast_unsigned());
        self.call(libc::SYS_madvise, [range.start, length, advice, 0, 0, 0]).map(drop)
    }

    fn fork(&self) -> Result<Arc<dyn AddressSpace>, Errno> {
        Ok(Arc::new(self.copy()?))
    }

    fn read(&self, address: u64, into: &mut [u8]) -> usize {
        let length = within_guest(address, into.len());
        let Some(into) = into.get_mut(..length) else { return 0 };
        let copied = self.threads.read(self, address, into);
        copied.unwrap_or_else(|| sys::read_memory(self.helper, address, into))
    }

    fn read_original(&self, address: u64, into: &mut [u8]) -> usize {
        let length = self.read(address, into);
        if let Some(read) = into.get_mut(..length) {
            self.call_sites().undo(address, read);
        }
        length
    }

    fn host_process(&self) -> i32 {
        self.helper.as_raw_nonzero().get()
    }

    fn write(&self, address: u64, from: &[u8]) -> usize {
        let length = within_guest(address, from.len());
        let Some(from) = from.get(..length) else { return 0 };
        let copied = self.threads.write(self, address, from);
        copied.unwrap_or_else(|| sys::write_memory(self.helper, address, from))
    }

    fn write_file(&self, address: u64, file: BorrowedFd<'_>, offset: u64, length: usize) -> usize {
        let length = within_guest(address, length);
        let end = offset.saturating_add(length as u64);
        self.threads.write_file(self, address, file, offset..end)
    }

    fn compare_exchange(&self, address: u64, current: u32, new: u32) -> Result<u32, Errno> {
        if !address.is_multiple_of(4) || within_guest(address, 4) != 4 {
            return Err(errno::EFAULT);
        }
        self.tracer.compare_exchange(self.helper, address, current, new)
    }

    fn spawn(
        self: Arc<Self>,
        fpu: Option<&FpuState>,
        handler: Arc<dyn TrapHandler>,
    ) -> Result<Arc<dyn Thread>, Errno> {
        let threads = Arc::clone(&self.threads);
        let thread = threads.spawn(Arc::clone(&self), fpu, handler)?;
        // From now on it can be resumed.
        self.is_inhabited.store(true, Ordering::Relaxed);
        Ok(thread)
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        self.tracer.tables().kill_helper(self.helper);
    }
}

/// Returns how many of `length` bytes at `address` are at the guest's addresses.
fn within_guest(address: u64, length: usize) -> usize {
    if GUEST.contains(&address) {
        length.min(usize::try_from(GUEST.end - address).unwrap_or(usize::MAX))
    } else {
        0
    }
}
