//! The memory that a guest thread shares with the kernel: its *slot*.
//!
//! A slot holds a few control words and, above them, the thread's alternate signal stack. A trap is a host signal: the
//! host pushes a frame with all registers on that stack (`rt_sigframe`), the stub's handler says where it is, and the
//! kernel reads and changes it in place.
//!
//! Every word here can be changed by the threads of the address space at any time. The kernel reads each word once,
//! checks it, and keeps what it must rely on in memory of its own.

#![expect(unsafe_code, reason = "maps memory that is shared with stub processes, and looks at it as atomics")]

use std::arch::x86_64::{__cpuid, __cpuid_count, _xgetbv};
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};

use cloister_abi::{Errno, Registers, errno};
use rustix::fs::{FallocateFlags, MemfdFlags};
use rustix::mm::{MapFlags, ProtFlags};
use rustix::process::Pid;
use rustix::thread::futex;

use crate::FpuState;
use crate::ptrace::image::Layout;

/// The size of a slot: room for the registers of every processor, of which only the pages that are used take memory.
pub(crate) const BYTES: usize = 32 << 10;
/// How many slots there are if nothing else is said: the guest threads of a sandbox.
pub(crate) const MOST: usize = 1 << 14;

/// Byte offsets in a slot, known to the stub's code. First the state.
pub(crate) const CONTEXT: usize = 8;
/// Where the `siginfo_t` is.
pub(crate) const INFO: usize = 16;
/// The thread's `fs` base, which no frame has.
pub(crate) const FS_BASE: usize = 24;
/// The thread's `gs` base.
pub(crate) const GS_BASE: usize = 32;
/// Where the doorbell is in the thread's memory.
pub(crate) const DOORBELL: usize = 40;
/// A `stack_t` for `sigaltstack(2)`.
pub(crate) const ALTERNATE_STACK: usize = 48;
/// The slot's own address, plus [`SAVED`] and all that is saved there.
pub(crate) const SAVED_END: usize = 72;
/// A number that says that `gs` points to a slot.
pub(crate) const MARK: usize = 80;
/// Whether the thread is at a patched call site, with its registers at [`SAVED`], and has no frame: 0 if it is not, 1 if
/// it is. The kernel sets one of [`WITH_REGISTERS`] and [`WITH_ALL`] when it goes on elsewhere than behind the site.
pub(crate) const IS_CALL: usize = 88;
/// What the kernel has the thread copy: from where, to where, and how many bytes; then, how many are left.
pub(crate) const COPY_FROM: usize = 96;
/// See [`COPY_FROM`].
pub(crate) const COPY_TO: usize = 104;
/// See [`COPY_FROM`].
pub(crate) const COPY_BYTES: usize = 112;
/// Where the page of commands is in the thread's memory.
pub(crate) const COMMANDS: usize = 120;
/// The registers of a thread at a patched call site, in the order of `struct sigcontext`.
pub(crate) const SAVED: usize = 128;
/// Where a thread at a patched call site goes on, which its saved `rip` hides.
pub(crate) const RESUME: usize = SAVED + SAVED_WORDS * 8;
/// Whether the helper that takes its commands from the slot's page sleeps, as far as can be believed.
pub(super) const HELPER_SLEEPS: usize = RESUME + 8;
/// Where the alternate stack begins. A thread at a call site, whose stack pointer is below, takes signals there.
pub(super) const STACK: usize = 512;
/// Where the vector registers of a thread at a patched call site are, above the stack, if the kernel asked for them, or
/// has set them.
pub(crate) const STATE: usize = BUFFER - STATE_BYTES;
/// How much room they have.
const STATE_BYTES: usize = 4096;
/// Where the bytes are that are copied, behind that.
pub(super) const BUFFER: usize = BYTES - BUFFER_BYTES;
/// How many there can be: a page, which is what most calls move at most.
pub(super) const BUFFER_BYTES: usize = 4096;

/// What [`MARK`] holds; a guest that sets `gs` itself is unlikely to have it there.
pub(crate) const MARKED: u32 = 0x436c_6f69;

/// How much of a slot is stack.
pub(super) const STACK_BYTES: usize = STATE - STACK;

/// State: the thread runs guest code, or may.
const RUNNING: u32 = 0;
/// State: it waits for the kernel's answer, spinning.
pub(crate) const TRAPPED: u32 = 1;
/// State: it waits for the answer in `futex(2)`.
pub(crate) const ASLEEP: u32 = 2;
/// State: it spins, and should not, since the answer will take time.
pub(crate) const PARKED: u32 = 3;
/// State: it is at a call site, and is to come with a frame.
pub(crate) const UNFOLD: u32 = 4;
/// State: it is at a call site, and is to copy something.
pub(crate) const COPY: u32 = 5;
/// State: it does.
pub(crate) const COPYING: u32 = 6;

/// What is at [`IS_CALL`] if the thread is to go on with all that is at [`SAVED`], at [`RESUME`].
pub(crate) const WITH_REGISTERS: u32 = 2;
/// The same, and with the vector registers at [`STATE`].
const WITH_ALL: u32 = 3;

/// The `XSAVE` components that a thread at a call site has: all but AMX, which processes have to ask for.
pub(crate) const VECTORS: u32 = !(3 << 17);

/// How many words are at [`SAVED`].
const SAVED_WORDS: usize = 18;

/// State: it waits for the answer, spinning, and is to wake its address space' helper.
pub(crate) const HELP: u32 = 7;
/// State: it lets the helper, which is awake, go first.
pub(crate) const GIVE_WAY: u32 = 8;
/// State: it is at a call site, and is to save its vector registers at [`STATE`].
pub(crate) const SAVE: u32 = 9;
const _: () = assert!(
    are_distinct(&[RUNNING, TRAPPED, ASLEEP, PARKED, UNFOLD, COPY, COPYING, HELP, GIVE_WAY, SAVE]),
    "states are told apart"
);

/// Where a command is in its page; its number is before.
pub(crate) const COMMAND: usize = 8;
/// How many words it is long.
pub(super) const COMMAND_WORDS: usize = 15;
/// The size of a page of commands.
pub(super) const COMMANDS_BYTES: usize = 4096;

/// `FP_XSTATE_MAGIC1`: marks a frame with more than the legacy registers.
pub(super) const XSTATE_MAGIC: u32 = 0x4650_5853;
/// Where the software-reserved bytes of an `fxsave` area are.
pub(super) const SOFTWARE_RESERVED: usize = 464;
/// The bits of `MXCSR` that every processor has, which are its mask.
const MXCSR_MASK: u64 = 0xffff;
/// Where it is, with the mask behind it.
const MXCSR_AT: usize = 24;
/// The size of the area without extensions, and of the header behind it: `XSTATE_BV` first.
const LEGACY_BYTES: usize = 512;
const HEADER_BYTES: usize = 64;
/// Which word that is.
const HEADER: usize = LEGACY_BYTES / 8;

/// Offsets in `struct ucontext`: the general registers (`struct sigcontext`), the pointer to the others, and the mask.
pub(crate) mod context {
    pub(in super::super) const REGISTERS: usize = 40;
    pub(crate) const RIP: usize = REGISTERS + 16 * 8;
    pub(in super::super) const FPU: usize = REGISTERS + 23 * 8;
    pub(in super::super) const SIGNAL_MASK: usize = REGISTERS + 32 * 8;
    pub(in super::super) const END: usize = SIGNAL_MASK + 8;
}

/// The slots of a sandbox, and the page by which its guest threads wake the kernel.
#[derive(Debug)]
pub(super) struct Slots {
    file: OwnedFd,
    memory: NonNull<AtomicU64>,
    count: usize,
    /// How many threads run, as far as helpers care.
    running: AtomicUsize,
    vectors: Vectors,
    /// Where the first slot is in stub processes.
    base: u64,
}

// SAFETY: the memory is accessed as atomics only, and lives as long as this.
unsafe impl Send for Slots {}
// SAFETY: as above.
unsafe impl Sync for Slots {}

/// The processor's vector registers as `XSAVE` stores them.
#[derive(Debug)]
struct Vectors {
    bytes: usize,
    features: u64,
    /// The features whose registers are behind the header, and at which words they are.
    components: Vec<(u64, Range<usize>)>,
}

/// Where a trapped thread's vector registers are.
#[derive(Clone, Copy, Debug)]
pub(super) enum FpuPlace {
    /// In its frame.
    Frame(Frame),
    /// At [`STATE`].
    Slot,
}

/// What a thread at a patched call site is given to go on with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Given {
    /// The result of the call.
    Result,
    /// General registers.
    Registers,
    /// General and vector registers.
    All,
}

/// Where a thread's frame is, as checked when it trapped.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    /// Index of the first word of the `ucontext`.
    pub(super) context: usize,
}

/// What a trapped thread's slot says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Report {
    pub(super) frame: Frame,
    pub(super) signal: i32,
    pub(super) code: i32,
    /// `si_addr` or `si_call_addr`.
    pub(super) address: u64,
    /// `si_syscall`.
    pub(super) syscall: i32,
    /// `si_arch`.
    pub(super) architecture: u32,
    pub(super) registers: Registers,
}

impl Slots {
    /// The bytes of the file before the first slot: room for the doorbell's page, and alignment.
    const HEAD: usize = BYTES;

    /// Makes `count` of them, at most [`MOST`], to be mapped from `base` on.
    pub(super) fn new(base: u64, count: usize) -> std::io::Result<Self> {
        let count = count.min(MOST);
        let bytes = Self::HEAD + count * (BYTES + COMMANDS_BYTES);
        let file = rustix::fs::memfd_create("cloister-slots", MemfdFlags::CLOEXEC)?;
        rustix::fs::ftruncate(&file, bytes as u64)?;
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: new memory at an address of the host's choice.
        let memory =
            unsafe { rustix::mm::mmap(std::ptr::null_mut(), bytes, protection, MapFlags::SHARED, &file, 0) }?;
        let memory = NonNull::new(memory.cast()).ok_or(std::io::ErrorKind::OutOfMemory)?;
        Ok(Self { file, memory, count, base, running: AtomicUsize::new(0), vectors: Vectors::of_processor() })
    }

    /// Returns the file, whose first page is the doorbell's.
    pub(super) fn file(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Returns where a slot is in its file.
    pub(super) fn offset(slot: usize) -> u64 {
        (Self::HEAD + slot * BYTES) as u64
    }

    /// Returns where the pages of commands are in the file, one for each slot.
    fn commands_start(&self) -> usize {
        Self::HEAD + self.count * BYTES
    }

    /// Returns where the page of commands that belongs to a slot is in the file.
    pub(super) fn commands_offset(&self, slot: usize) -> u64 {
        (self.commands_start() + slot * COMMANDS_BYTES) as u64
    }

    /// Returns the words of the page of commands that belongs to a slot, the first of which is a number.
    pub(super) fn commands(&self, slot: usize) -> Option<(&AtomicU32, &[AtomicU64])> {
        let first = (self.commands_start() + slot * COMMANDS_BYTES) / 8;
        let (number, command) = self.words().get(first..first + COMMANDS_BYTES / 8)?.split_first()?;
        Some((Self::half(number), command))
    }

    /// Returns whether the helper that looks at the page of commands of a slot says that it sleeps. If it does not, it
    /// will see the number that the caller has written.
    pub(super) fn helper_sleeps(&self, slot: usize) -> bool {
        fence(Ordering::SeqCst);
        self.slot(slot)
            .get(HELPER_SLEEPS / 8)
            .is_none_or(|word| Self::half(word).load(Ordering::Relaxed) != 0)
    }

    /// Returns where a slot is in the memory of its thread.
    pub(super) fn address(&self, slot: usize) -> u64 {
        self.base + (slot * BYTES) as u64
    }

    /// Returns whether the processor's vector registers have room in a slot.
    pub(super) fn have_room(&self) -> bool {
        self.vectors.features != 0 && self.vectors.bytes <= STATE_BYTES
    }

    /// Returns how many there are.
    pub(super) fn count(&self) -> usize {
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
    pub(super) fn slot(&self, slot: usize) -> &[AtomicU64] {
        let first = (Self::HEAD + slot * BYTES) / 8;
        self.words().get(first..first + BYTES / 8).unwrap_or_default()
    }

    /// Returns the low half of a word that is never used as a whole.
    fn half(word: &AtomicU64) -> &AtomicU32 {
        // SAFETY: in bounds and aligned; the words that this is used for are accessed by this method alone.
        unsafe { AtomicU32::from_ptr(word.as_ptr().cast()) }
    }

    pub(super) fn state(&self, slot: usize) -> Option<&AtomicU32> {
        self.slot(slot).first().map(Self::half)
    }

    /// Returns the doorbell: whether the kernel sleeps, its process and thread, and how often to look for an answer.
    fn doorbell(&self) -> impl Iterator<Item = &AtomicU32> {
        // SAFETY: in bounds and aligned, and no other type is used for these bytes.
        let words: &[AtomicU32; 4] = unsafe { self.memory.cast().as_ref() };
        words.iter()
    }

    /// Sets whom guest threads are to wake.
    pub(super) fn set_waker(&self, process: Pid, thread: Pid) {
        let number = |pid: Pid| pid.as_raw_pid().cast_unsigned();
        for (word, value) in self.doorbell().zip([0, number(process), number(thread)]) {
            word.store(value, Ordering::Relaxed);
        }
    }

    /// Sets how often a trapped thread looks for its answer before it sleeps.
    pub(super) fn set_spins(&self, spins: u32) {
        if let Some(word) = self.doorbell().nth(3)
            && word.load(Ordering::Relaxed) != spins
        {
            word.store(spins, Ordering::Relaxed);
        }
    }

    /// Says whether the kernel is about to sleep. When this returns, a thread that traps has either seen it or is seen.
    pub(super) fn set_asleep(&self, is_asleep: bool) {
        if let Some(word) = self.doorbell().next() {
            word.store(is_asleep.into(), Ordering::Relaxed);
        }
        fence(Ordering::SeqCst);
    }

    /// Prepares a slot for a new thread.
    pub(super) fn prepare(&self, slot: usize, layout: &Layout) {
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
        set(IS_CALL, 0);
        if let Some(state) = self.state(slot) {
            state.store(RUNNING, Ordering::Release);
        }
    }

    /// Forgets what is in a slot that is not mapped anywhere.
    pub(super) fn clear(&self, slot: usize) -> Result<(), Errno> {
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

    /// Returns whether the thread waits for an answer.
    pub(super) fn is_trapped(&self, slot: usize) -> bool {
        self.state(slot).is_some_and(|state| state.load(Ordering::Acquire) != RUNNING)
    }

    /// Tells a trapped thread that its answer will take time.
    pub(super) fn park(&self, slot: usize) {
        if let Some(state) = self.state(slot) {
            let _ = state.compare_exchange(TRAPPED, PARKED, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// Takes note of how many threads run.
    pub(super) fn set_running(&self, count: usize) {
        self.running.store(count, Ordering::Relaxed);
    }

    /// Returns how many threads ran when the kernel was last told of a trap.
    pub(super) fn running(&self) -> usize {
        self.running.load(Ordering::Relaxed)
    }

    /// Returns whether a trapped thread spins.
    pub(super) fn is_spinning(&self, slot: usize) -> bool {
        self.state(slot).is_some_and(|state| state.load(Ordering::Relaxed) == TRAPPED)
    }

    /// Has a trapped thread that spins let its helper run: [`HELP`] or [`GIVE_WAY`]. Returns whether it spins.
    pub(super) fn ask_for_help(&self, slot: usize, how: u32) -> bool {
        self.state(slot).is_some_and(|state| {
            state.compare_exchange(TRAPPED, how, Ordering::AcqRel, Ordering::Relaxed).is_ok()
        })
    }

    /// Returns whether the thread copies something.
    pub(super) fn is_copying(&self, slot: usize) -> bool {
        self.state(slot).is_some_and(|state| state.load(Ordering::Relaxed) == COPYING)
    }

    /// Tells a thread that was asked for help that it need not help any more.
    pub(super) fn end_help(&self, slot: usize) {
        let Some(state) = self.state(slot) else { return };
        for helps in [GIVE_WAY, HELP] {
            let _ = state.compare_exchange(helps, TRAPPED, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// Lets a trapped thread go on with what its frame says.
    pub(super) fn release(&self, slot: usize) {
        self.change_state(slot, RUNNING);
    }

    fn change_state(&self, slot: usize, to: u32) {
        if let Some(state) = self.state(slot)
            && state.swap(to, Ordering::AcqRel) == ASLEEP
        {
            let _ = futex::wake(state, futex::Flags::empty(), 1);
        }
    }

    /// Returns the index of the word of a slot that is at `address` in the thread's memory.
    fn index(&self, slot: usize, address: u64) -> Option<usize> {
        let offset = usize::try_from(address.checked_sub(self.address(slot))?).ok()?;
        (offset.is_multiple_of(8) && (STACK..BYTES).contains(&offset)).then_some(offset / 8)
    }

    /// Reads what a trapped thread reports.
    ///
    /// # Errors
    ///
    /// `EFAULT` if its slot makes no sense.
    pub(super) fn report(&self, slot: usize) -> Result<Report, Errno> {
        let words = self.slot(slot);
        let word =
            |index: usize| words.get(index).map(|word| word.load(Ordering::Relaxed)).ok_or(errno::EFAULT);
        let context = self.index(slot, word(CONTEXT / 8)?).ok_or(errno::EFAULT)?;
        let info = self.index(slot, word(INFO / 8)?).ok_or(errno::EFAULT)?;
        if context + context::END / 8 > words.len() {
            return Err(errno::EFAULT);
        }
        let frame = Frame { context };
        let (first, code, call) = (word(info)?, word(info + 1)?, word(info + 3)?);
        let (signal, _) = halves(first);
        Ok(Report {
            frame,
            signal,
            code: halves(code).0,
            address: word(info + 2)?,
            syscall: halves(call).0,
            architecture: halves(call).1.cast_unsigned(),
            registers: self.registers(slot, frame),
        })
    }

    fn registers(&self, slot: usize, frame: Frame) -> Registers {
        let words = self.slot(slot);
        let word = |index: usize| words.get(index).map_or(0, |word| word.load(Ordering::Relaxed));
        let segments = word(frame.context + context::REGISTERS / 8 + 18);
        Registers {
            cs: segments & 0xffff,
            ss: segments >> 48,
            gs_base: self.gs_base_of_guest(slot, word(GS_BASE / 8)),
            ..self.general(slot, frame.context + context::REGISTERS / 8)
        }
    }

    /// Returns the registers of a thread at a patched call site, as after the `syscall` instruction: `rip` is where it
    /// goes on, `orig_rax` the number.
    pub(super) fn call(&self, slot: usize) -> Registers {
        let saved = self.general(slot, SAVED / 8);
        Registers {
            rcx: saved.rip,
            r11: saved.eflags,
            orig_rax: saved.rax,
            cs: Registers::USER_CS,
            ss: Registers::USER_SS,
            ..saved
        }
    }

    /// Sets the result of the call of a thread that is at a patched call site.
    pub(super) fn set_result(&self, slot: usize, value: u64) {
        if let Some(word) = self.slot(slot).get(SAVED / 8 + 13) {
            word.store(value, Ordering::Relaxed);
        }
    }

    /// Returns whether a trapped thread is at a patched call site, and has no frame.
    pub(super) fn is_call(&self, slot: usize) -> bool {
        self.slot(slot).get(IS_CALL / 8).is_some_and(|word| Self::half(word).load(Ordering::Relaxed) != 0)
    }

    /// Returns the registers with which a thread that was at a patched call site goes on, but for the vector registers.
    pub(super) fn given(&self, slot: usize, given: Given) -> Registers {
        let saved = if given == Given::Result { self.call(slot) } else { self.general(slot, SAVED / 8) };
        Registers { orig_rax: u64::MAX, cs: Registers::USER_CS, ss: Registers::USER_SS, ..saved }
    }

    /// Sets the registers with which a thread that is at a patched call site goes on, at `resume`, which stands for
    /// their `rip`. Its segments' bases stay as they are. With [`Given::All`] its vector registers are in its slot.
    pub(super) fn give(&self, slot: usize, registers: &Registers, resume: u64, given: Given) {
        let (words, r) = (self.slot(slot), registers);
        for (word, value) in words.iter().skip(SAVED / 8).zip(general_of(r)) {
            word.store(value, Ordering::Relaxed);
        }
        if let (Some(word), Some(is_call)) = (words.get(RESUME / 8), words.get(IS_CALL / 8)) {
            word.store(resume, Ordering::Relaxed);
            let what = if given == Given::All { WITH_ALL } else { WITH_REGISTERS };
            Self::half(is_call).store(what, Ordering::Relaxed);
        }
    }

    /// Has a thread that is at a patched call site save its vector registers.
    pub(super) fn save(&self, slot: usize) {
        self.change_state(slot, SAVE);
    }

    /// Returns whether it has.
    pub(super) fn is_saved(&self, slot: usize) -> bool {
        self.state(slot).is_some_and(|state| state.load(Ordering::Acquire) != SAVE)
    }

    /// Has a thread that is at a patched call site come with a frame.
    pub(super) fn unfold(&self, slot: usize) {
        self.change_state(slot, UNFOLD);
    }

    /// Returns whether a thread that was to come with a frame has.
    pub(super) fn is_unfolded(&self, slot: usize) -> bool {
        let state = self.state(slot).map(|state| state.load(Ordering::Acquire));
        state.is_some_and(|state| !matches!(state, RUNNING | UNFOLD)) && !self.is_call(slot)
    }

    /// Returns the 18 registers from word `first` of a slot on, in the order of `struct sigcontext`, with the `fs` base.
    fn general(&self, slot: usize, first: usize) -> Registers {
        let words = self.slot(slot);
        let word = |index: usize| words.get(index).map_or(0, |word| word.load(Ordering::Relaxed));
        let general = |number: usize| word(first + number);
        Registers {
            r8: general(0),
            r9: general(1),
            r10: general(2),
            r11: general(3),
            r12: general(4),
            r13: general(5),
            r14: general(6),
            r15: general(7),
            rdi: general(8),
            rsi: general(9),
            rbp: general(10),
            rbx: general(11),
            rdx: general(12),
            rax: general(13),
            rcx: general(14),
            rsp: general(15),
            rip: general(16),
            eflags: general(17),
            fs_base: word(FS_BASE / 8),
            orig_rax: u64::MAX,
            ..Registers::default()
        }
    }

    /// The processor's `gs` base is the slot's address where the guest's is 0, which it is in nearly all programs.
    fn gs_base_of_guest(&self, slot: usize, base: u64) -> u64 {
        if base == self.address(slot) { 0 } else { base }
    }

    /// Puts registers, which the host must accept, into a trapped thread's frame.
    pub(super) fn set_registers(&self, slot: usize, frame: Frame, registers: &Registers) {
        let words = self.slot(slot);
        let set = |index: usize, value: u64| {
            if let Some(word) = words.get(index) {
                word.store(value, Ordering::Relaxed);
            }
        };
        let r = registers;
        let segments = Registers::USER_CS | Registers::USER_SS << 48; // cs, gs, fs, ss
        for (number, value) in general_of(r).into_iter().chain([segments]).enumerate() {
            set(frame.context + context::REGISTERS / 8 + number, value);
        }
        set(frame.context + context::SIGNAL_MASK / 8, 0);
        set(FS_BASE / 8, r.fs_base);
        set(GS_BASE / 8, if r.gs_base == 0 { self.address(slot) } else { r.gs_base });
    }

    /// Returns the words of a trapped thread's floating-point and vector registers.
    fn fpu_words(&self, slot: usize, place: FpuPlace) -> Option<&[AtomicU64]> {
        let words = self.slot(slot);
        let FpuPlace::Frame(frame) = place else {
            return words.get(STATE / 8..(STATE + self.vectors.bytes) / 8);
        };
        let address = words.get(frame.context + context::FPU / 8)?.load(Ordering::Relaxed);
        let start = self.index(slot, address)?;
        let reserved = words.get(start + SOFTWARE_RESERVED / 8..start + SOFTWARE_RESERVED / 8 + 3)?;
        let [magic, _, size] = reserved else { return None };
        let length = if halves(magic.load(Ordering::Relaxed)).0.cast_unsigned() == XSTATE_MAGIC {
            usize::try_from(halves(size.load(Ordering::Relaxed)).0).ok()?
        } else {
            LEGACY_BYTES
        };
        words.get(start..start.checked_add(length / 8)?)
    }

    /// Returns a state of the form that the processor's has: its size, its features, and a mask of MXCSR.
    pub(super) fn fpu_form(&self) -> FpuState {
        let mut bytes = FpuState::initial().bytes().to_vec();
        bytes.resize(self.vectors.bytes, 0);
        // MXCSR is in the first half of the word of its mask.
        let mask = MXCSR_MASK << 32 | 0x1f80;
        let parts = [(MXCSR_AT, mask), (SOFTWARE_RESERVED, self.vectors.features)];
        for (offset, value) in parts {
            if let Some(part) = bytes.get_mut(offset..offset + 8) {
                part.copy_from_slice(&value.to_le_bytes());
            }
        }
        FpuState::from_bytes(bytes)
    }

    /// Copies the floating-point and vector registers of a trapped thread.
    ///
    /// # Errors
    ///
    /// `EFAULT` if its slot makes no sense.
    pub(super) fn fpu(&self, slot: usize, place: FpuPlace) -> Result<FpuState, Errno> {
        let words = self.fpu_words(slot, place).ok_or(errno::EFAULT)?;
        let mut bytes = vec![0; size_of_val(words)];
        let present = words.get(HEADER).map_or(0, |word| word.load(Ordering::Relaxed));
        for index in self.vectors.words(present) {
            if let (Some(word), Some(part)) = (words.get(index), bytes.as_chunks_mut().0.get_mut(index)) {
                *part = word.load(Ordering::Relaxed).to_le_bytes();
            }
        }
        // Not what has been written there since.
        if let Some(part) = bytes.as_chunks_mut().0.get_mut(HEADER) {
            *part = present.to_le_bytes();
        }
        if let Some(reserved) = bytes.get_mut(SOFTWARE_RESERVED..LEGACY_BYTES) {
            // As for ptrace(2), what there is.
            let (features, rest) = reserved.split_at_mut(8);
            features.copy_from_slice(&self.vectors.features.to_le_bytes());
            rest.fill(0);
        }
        Ok(FpuState::from_bytes(bytes))
    }

    /// Sets the floating-point and vector registers of a trapped thread; components that a shorter `state` does not
    /// have become initial.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the state is not one of this processor's, `EFAULT` if the slot makes no sense.
    pub(super) fn set_fpu(&self, slot: usize, place: FpuPlace, state: &FpuState) -> Result<(), Errno> {
        let words = self.fpu_words(slot, place).ok_or(errno::EFAULT)?;
        let (given, rest) = state.bytes().as_chunks::<8>();
        if given.len() > words.len() || !rest.is_empty() || !self.vectors.can_be(given) {
            return Err(errno::EINVAL);
        }
        let reserved = SOFTWARE_RESERVED / 8..LEGACY_BYTES / 8;
        let value = |index: usize| given.get(index).map_or(0, |bytes| u64::from_le_bytes(*bytes));
        for index in self.vectors.words(value(HEADER)).filter(|index| !reserved.contains(index)) {
            if let Some(word) = words.get(index) {
                word.store(value(index), Ordering::Relaxed);
            }
        }
        Ok(())
    }
}

impl Vectors {
    /// Asks the processor.
    fn of_processor() -> Self {
        /// `CPUID` of `XSAVE`, whose subleafs have the size and the offset of each component; `OSXSAVE` in leaf 1.
        const LEAF: u32 = 0xd;
        const OSXSAVE: u32 = 1 << 27;
        if __cpuid(1).ecx & OSXSAVE == 0 {
            return Self { bytes: LEGACY_BYTES, features: 0, components: Vec::new() };
        }
        // SAFETY: the processor has the instruction, and the host allows it.
        let features = unsafe { _xgetbv(0) } & u64::from(VECTORS);
        let components: Vec<_> = (2..u64::BITS)
            .map(|number| (1 << number, number))
            .filter(|(feature, _)| features & feature != 0)
            .map(|(feature, number)| {
                let (start, length) = (__cpuid_count(LEAF, number).ebx, __cpuid_count(LEAF, number).eax);
                (feature, start as usize / 8..(start as usize + length as usize).div_ceil(8))
            })
            .collect();
        let end = components.iter().map(|(_, words)| words.end * 8).max();
        Self { bytes: end.unwrap_or(0).max(LEGACY_BYTES + HEADER_BYTES), features, components }
    }

    /// Returns at which words there is something in a state whose header says that `present` components are in use. What
    /// is at the others does not matter to the processor.
    fn words(&self, present: u64) -> impl Iterator<Item = usize> {
        let used = self.components.iter().filter(move |(feature, _)| present & feature != 0);
        (0..(LEGACY_BYTES + HEADER_BYTES) / 8).chain(used.flat_map(|(_, words)| words.clone()))
    }

    /// Returns whether the processor takes `given`: the host kills a thread for what it does not.
    fn can_be(&self, given: &[[u8; 8]]) -> bool {
        let word = |index: usize| given.get(index).map(|bytes| u64::from_le_bytes(*bytes));
        word(3).is_some_and(|word| word & u64::from(u32::MAX) & !MXCSR_MASK == 0)
            && word(HEADER).is_some_and(|present| present & !self.features == 0)
            && (HEADER + 1..HEADER + HEADER_BYTES / 8).all(|index| word(index) == Some(0))
    }
}

/// Returns the 18 general registers in the order of `struct sigcontext`.
fn general_of(r: &Registers) -> [u64; 18] {
    [
        r.r8, r.r9, r.r10, r.r11, r.r12, r.r13, r.r14, r.r15, r.rdi, r.rsi, r.rbp, r.rbx, r.rdx, r.rax,
        r.rcx, r.rsp, r.rip, r.eflags,
    ]
}

impl Drop for Slots {
    fn drop(&mut self) {
        // SAFETY: `new` mapped it, and nothing refers to it any more.
        let _ = unsafe { rustix::mm::munmap(self.memory.as_ptr().cast(), self.bytes()) };
    }
}

const fn are_distinct(states: &[u32]) -> bool {
    let mut seen = 0_u32;
    let mut index = 0;
    while index < states.len() {
        seen |= 1 << states[index];
        index += 1;
    }
    seen.count_ones() as usize == states.len()
}

/// Splits a word into the two numbers that a C structure has there.
fn halves(word: u64) -> (i32, i32) {
    let [a, b, c, d, e, f, g, h] = word.to_le_bytes();
    (i32::from_le_bytes([a, b, c, d]), i32::from_le_bytes([e, f, g, h]))
}
