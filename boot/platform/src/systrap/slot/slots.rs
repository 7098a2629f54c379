//! The slots of a sandbox: one file, mapped here as a whole, and in stub processes slot by slot.

#![expect(unsafe_code, reason = "maps memory that is shared with stub processes, and looks at it as atomics")]

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};

use cloister_abi::Errno;
use rustix::fs::{FallocateFlags, MemfdFlags};
use rustix::mm::{MapFlags, ProtFlags};
use rustix::process::Pid;

use super::layout::{
    ALTERNATE_STACK, BYTES, COMMAND_WORDS, COMMANDS, COMMANDS_BYTES, CONTEXT, DOORBELL, DOORBELL_BYTES,
    HELPER_SLEEPS, IS_CALL, MARK, MARKED, MOST, OWN_TURN, RUNNING, SAVED, SAVED_END, SAVED_WORDS, STACK,
    STACK_BYTES, STATE_BYTES, TURN, TURNS,
};
use super::vectors::Vectors;
use crate::ptrace::image::Layout;

/// The slots of a sandbox, and the page by which its guest threads wake the kernel.
#[derive(Debug)]
pub(in crate::systrap) struct Slots {
    file: OwnedFd,
    memory: NonNull<AtomicU64>,
    count: usize,
    /// How many threads run, as far as helpers care.
    pub(super) running: AtomicUsize,
    pub(super) vectors: Vectors,
    /// Where the first slot is in stub processes.
    base: u64,
    /// Where the doorbell is there, if threads sleep on words of its page, so that all can wake them. It costs the host more
    /// than a word that the thread can write, and is of no use on a single processor, where the kernel wakes all.
    doorbell_address: Option<u64>,
}

// SAFETY: the memory is accessed as atomics only, and lives as long as this.
unsafe impl Send for Slots {}
// SAFETY: as above.
unsafe impl Sync for Slots {}

impl Slots {
    /// The bytes of the file before the first slot: room for the doorbell's page, and alignment.
    const HEAD: usize = BYTES;

    /// Makes `count` of them, at most [`MOST`], for threads that share `processors`.
    pub(in crate::systrap) fn new(layout: &Layout, count: usize, processors: usize) -> std::io::Result<Self> {
        let count = count.min(MOST);
        let bytes = Self::HEAD + count * (BYTES + COMMANDS_BYTES);
        let file = rustix::fs::memfd_create("cloister-slots", MemfdFlags::CLOEXEC)?;
        rustix::fs::ftruncate(&file, bytes as u64)?;
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: new memory at an address of the host's choice.
        let memory =
            unsafe { rustix::mm::mmap(std::ptr::null_mut(), bytes, protection, MapFlags::SHARED, &file, 0) }?;
        let memory = NonNull::new(memory.cast()).ok_or(std::io::ErrorKind::OutOfMemory)?;
        Ok(Self {
            file,
            memory,
            count,
            base: layout.slots,
            doorbell_address: (processors > 1).then_some(layout.doorbell),
            running: AtomicUsize::new(0),
            vectors: Vectors::of_processor(),
        })
    }

    /// Returns the file, whose first page is the doorbell's.
    pub(in crate::systrap) fn file(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Returns where a slot is in its file.
    pub(in crate::systrap) fn offset(slot: usize) -> u64 {
        (Self::HEAD + slot * BYTES) as u64
    }

    /// Returns where the pages of commands are in the file, one for each slot.
    fn commands_start(&self) -> usize {
        Self::HEAD + self.count * BYTES
    }

    /// Returns where the page of commands that belongs to a slot is in the file.
    pub(in crate::systrap) fn commands_offset(&self, slot: usize) -> u64 {
        (self.commands_start() + slot * COMMANDS_BYTES) as u64
    }

    /// Returns the words of the page of commands that belongs to a slot, the first of which is a number.
    pub(in crate::systrap) fn commands(&self, slot: usize) -> Option<(&AtomicU32, &[AtomicU64])> {
        let first = (self.commands_start() + slot * COMMANDS_BYTES) / 8;
        let (number, command) = self.words().get(first..first + COMMANDS_BYTES / 8)?.split_first()?;
        Some((Self::half(number), command))
    }

    /// Returns whether the helper that looks at the page of commands of a slot says that it sleeps. If it does not, it
    /// will see the number that the caller has written.
    pub(in crate::systrap) fn helper_sleeps(&self, slot: usize) -> bool {
        fence(Ordering::SeqCst);
        self.slot(slot)
            .get(HELPER_SLEEPS / 8)
            .is_none_or(|word| Self::half(word).load(Ordering::Relaxed) != 0)
    }

    /// Returns where a slot is in the memory of its thread.
    pub(in crate::systrap) fn address(&self, slot: usize) -> u64 {
        self.base + (slot * BYTES) as u64
    }

    /// Returns whether the processor's vector registers have room in a slot.
    pub(in crate::systrap) fn have_room(&self) -> bool {
        self.vectors.features != 0 && self.vectors.bytes <= STATE_BYTES
    }

    /// Returns how many there are.
    pub(in crate::systrap) fn count(&self) -> usize {
        self.count
    }

    /// Returns the size of the file, and of its mapping.
    fn bytes(&self) -> usize {
        self.commands_start() + self.count * COMMANDS_BYTES
    }

    fn words(&self) -> &[AtomicU64] {
        // SAFETY: `new` mapped this much, page-aligned, until `drop`; all access is by atomics.
        unsafe { std::slice::from_raw_parts(self.memory.as_ptr(), self.bytes() / 8) }
    }

    /// Returns the words of a slot.
    pub(in crate::systrap) fn slot(&self, slot: usize) -> &[AtomicU64] {
        let first = (Self::HEAD + slot * BYTES) / 8;
        self.words().get(first..first + BYTES / 8).unwrap_or_default()
    }

    /// Returns the low half of a word that is never used as a whole.
    pub(super) fn half(word: &AtomicU64) -> &AtomicU32 {
        // SAFETY: in bounds and aligned; the words that this is used for are accessed by this method alone.
        unsafe { AtomicU32::from_ptr(word.as_ptr().cast()) }
    }

    pub(in crate::systrap) fn state(&self, slot: usize) -> Option<&AtomicU32> {
        self.slot(slot).first().map(Self::half)
    }

    /// Returns the doorbell: whether the kernel sleeps, its process and thread, and how often to look for an answer. From
    /// [`TURNS`] on there are words that change for threads that sleep on them.
    fn doorbell(&self) -> impl ExactSizeIterator<Item = &AtomicU32> {
        // SAFETY: in bounds and aligned, and no other type is used for these bytes.
        let words: &[AtomicU32; DOORBELL_BYTES / 4] = unsafe { self.memory.cast().as_ref() };
        words.iter()
    }

    /// Returns where the word is in the doorbell's page on which a thread sleeps.
    fn turn_offset(slot: usize) -> usize {
        TURNS + slot % ((DOORBELL_BYTES - TURNS) / 4) * 4
    }

    /// Returns the word on which a thread sleeps.
    pub(super) fn turn(&self, slot: usize) -> Option<&AtomicU32> {
        match self.doorbell_address {
            Some(_) => self.doorbell().nth(Self::turn_offset(slot) / 4),
            None => self.slot(slot).get(OWN_TURN / 8).map(Self::half),
        }
    }

    /// Returns where that word is in the memory of all threads, if it is in the doorbell's page.
    pub(super) fn turn_for_all(&self, slot: usize) -> Option<u64> {
        self.doorbell_address.map(|doorbell| doorbell + Self::turn_offset(slot) as u64)
    }

    /// Sets whom guest threads are to wake.
    pub(in crate::systrap) fn set_waker(&self, process: Pid, thread: Pid) {
        let number = |pid: Pid| pid.as_raw_pid().cast_unsigned();
        for (word, value) in self.doorbell().zip([0, number(process), number(thread)]) {
            word.store(value, Ordering::Relaxed);
        }
    }

    /// Sets how often a trapped thread looks for its answer before it sleeps.
    pub(in crate::systrap) fn set_spins(&self, spins: u32) {
        if let Some(word) = self.doorbell().nth(3)
            && word.load(Ordering::Relaxed) != spins
        {
            word.store(spins, Ordering::Relaxed);
        }
    }

    /// Says whether the kernel is about to sleep. When this returns, a thread that traps has either seen it or is seen.
    pub(in crate::systrap) fn set_asleep(&self, is_asleep: bool) {
        if let Some(word) = self.doorbell().next() {
            word.store(is_asleep.into(), Ordering::Relaxed);
        }
        fence(Ordering::SeqCst);
    }

    /// Prepares a slot for a new thread.
    pub(in crate::systrap) fn prepare(&self, slot: usize, layout: &Layout) {
        let words = self.slot(slot);
        let set = |offset: usize, value: u64| {
            if let Some(word) = words.get(offset / 8) {
                word.store(value, Ordering::Relaxed);
            }
        };
        set(CONTEXT, 0);
        set(DOORBELL, layout.doorbell);
        set(COMMANDS, layout.commands);
        set(ALTERNATE_STACK, self.address(slot) + STACK as u64);
        set(ALTERNATE_STACK + 8, 0); // ss_flags
        set(ALTERNATE_STACK + 16, STACK_BYTES as u64);
        set(SAVED_END, self.address(slot) + (SAVED + SAVED_WORDS * 8) as u64);
        set(MARK, MARKED.into());
        set(TURN, self.turn_for_all(slot).unwrap_or_else(|| self.address(slot) + OWN_TURN as u64));
        set(IS_CALL, 0);
        if let Some(state) = self.state(slot) {
            state.store(RUNNING, Ordering::Release);
        }
    }

    /// Forgets what is in a slot that is not mapped anywhere.
    pub(in crate::systrap) fn clear(&self, slot: usize) -> Result<(), Errno> {
        if let Some((number, command)) = self.commands(slot)
            && number.load(Ordering::Relaxed) != 0
        {
            number.store(0, Ordering::Relaxed);
            command.iter().take(COMMAND_WORDS).for_each(|word| word.store(0, Ordering::Relaxed));
        }
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        rustix::fs::fallocate(&self.file, flags, Self::offset(slot), BYTES as u64)
            .map_err(|error| Errno::from_raw(error.raw_os_error()))
    }
}

impl Drop for Slots {
    fn drop(&mut self) {
        // SAFETY: `new` mapped it, and nothing refers to it any more.
        let _ = unsafe { rustix::mm::munmap(self.memory.as_ptr().cast(), self.bytes()) };
    }
}
