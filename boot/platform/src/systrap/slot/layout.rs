//! Where things are in a slot, as the stub's code knows too, and the states that it can be in.

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
pub(in crate::systrap) const HELPER_SLEEPS: usize = RESUME + 8;
/// Where the word is in the thread's memory that it sleeps on: in the doorbell's page, or [`OWN_TURN`].
pub(crate) const TURN: usize = HELPER_SLEEPS + 8;
/// The same for a thread that it is to wake.
pub(crate) const NEXT: usize = TURN + 8;
/// A word to sleep on.
pub(super) const OWN_TURN: usize = NEXT + 8;
/// Where the alternate stack begins. A thread at a call site, whose stack pointer is below, takes signals there.
pub(in crate::systrap) const STACK: usize = 512;
/// Where the vector registers of a thread at a patched call site are, above the stack, if the kernel asked for them, or
/// has set them.
pub(crate) const STATE: usize = BUFFER - STATE_BYTES;
/// How much room they have.
pub(super) const STATE_BYTES: usize = 4096;
/// Where the bytes are that are copied, behind that.
pub(in crate::systrap) const BUFFER: usize = BYTES - BUFFER_BYTES;
/// How many there can be: a page, which is what most calls move at most.
pub(in crate::systrap) const BUFFER_BYTES: usize = 4096;

/// What [`MARK`] holds; a guest that sets `gs` itself is unlikely to have it there.
pub(crate) const MARKED: u32 = 0x436c_6f69;

/// How much of a slot is stack.
pub(in crate::systrap) const STACK_BYTES: usize = STATE - STACK;

/// State: the thread runs guest code, or may.
pub(super) const RUNNING: u32 = 0;
/// State: it waits for the kernel's answer, spinning.
pub(crate) const TRAPPED: u32 = 1;
/// State: it waits for the answer in `futex(2)`, on the word that [`TURN`] names.
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
pub(super) const WITH_ALL: u32 = 3;

/// The `XSAVE` components that a thread at a call site has: all but AMX, which processes have to ask for.
pub(crate) const VECTORS: u32 = !(3 << 17);

/// How many words are at [`SAVED`].
pub(super) const SAVED_WORDS: usize = 18;

/// State: it waits for the answer, spinning, and is to wake its address space' helper.
pub(crate) const HELP: u32 = 7;
/// State: it lets the helper, which is awake, go first.
pub(crate) const GIVE_WAY: u32 = 8;
/// State: it is at a call site, and is to save its vector registers at [`STATE`].
pub(crate) const SAVE: u32 = 9;
/// State: its answer will take time, and it is to wake the thread whose word [`NEXT`] names.
pub(crate) const HAND_OVER: u32 = 10;
const _: () = assert!(
    are_distinct(&[RUNNING, TRAPPED, ASLEEP, PARKED, UNFOLD, COPY, COPYING, HELP, GIVE_WAY, SAVE, HAND_OVER]),
    "states are told apart"
);

/// Where the words are in the doorbell's page on which threads sleep. Slots share them.
pub(super) const TURNS: usize = 64;
/// The size of that page.
pub(super) const DOORBELL_BYTES: usize = 4096;

/// Where a command is in its page; its number is before.
pub(crate) const COMMAND: usize = 8;
/// How many words it is long.
pub(in crate::systrap) const COMMAND_WORDS: usize = 15;
/// The size of a page of commands.
pub(in crate::systrap) const COMMANDS_BYTES: usize = 4096;

/// `FP_XSTATE_MAGIC1`: marks a frame with more than the legacy registers.
pub(in crate::systrap) const XSTATE_MAGIC: u32 = 0x4650_5853;
/// Where the software-reserved bytes of an `fxsave` area are.
pub(in crate::systrap) const SOFTWARE_RESERVED: usize = 464;
/// The bits of `MXCSR` that every processor has, which are its mask.
pub(super) const MXCSR_MASK: u64 = 0xffff;
/// Where it is, with the mask behind it.
pub(super) const MXCSR_AT: usize = 24;
/// The size of the area without extensions, and of the header behind it: `XSTATE_BV` first.
pub(super) const LEGACY_BYTES: usize = 512;
pub(super) const HEADER_BYTES: usize = 64;
/// Which word that is.
pub(super) const HEADER: usize = LEGACY_BYTES / 8;

/// Offsets in `struct ucontext`: the general registers (`struct sigcontext`), the pointer to the others, and the mask.
pub(crate) mod context {
    pub(in crate::systrap) const REGISTERS: usize = 40;
    pub(crate) const RIP: usize = REGISTERS + 16 * 8;
    pub(in crate::systrap) const FPU: usize = REGISTERS + 23 * 8;
    pub(in crate::systrap) const SIGNAL_MASK: usize = REGISTERS + 32 * 8;
    pub(in crate::systrap) const END: usize = SIGNAL_MASK + 8;
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
