//! The program that every stub process runs: one page of code and one page of scratch memory.
//!
//! The code is a handful of routines. The first waits to be seized; the next are what the platform has a *helper*
//! run: each ends in a breakpoint, by which the platform knows that it is done, or in an answer to a command (see
//! [`commands`](crate::systrap)). Results are taken from the helper's registers, which belong to it alone, and never
//! from memory, which guest code shares and can write. The last two are what guest threads of the
//! [`systrap`](crate::systrap) platform run.
//!
//! Guest code can jump into this page too. That gives it nothing: what a guest thread runs is always under
//! `PTRACE_SYSEMU`, or behind a filter that lets it do what any guest thread may.

#![expect(unsafe_code, reason = "the bytes between two assembler labels are read as a slice")]

use std::ops::Range;

use libc::sock_filter;

use crate::systrap::slot;

/// The end of the guest's addresses, and the beginning of the platform's.
pub(crate) const GUEST: Range<u64> = 0x7_0000..0x7fff_0000_0000;
/// Where the code page can be; each sandbox has its own place. The slots follow it.
const CODE_RANGE: Range<u64> = 0x7fff_0000_0000..0x7fff_c000_0000;
/// The size of a page.
pub(crate) const PAGE: u64 = 4096;
/// Where code begins in its page; the ELF headers are before.
const CODE_OFFSET: usize = 0x100;

std::arch::global_asm!(
    ".pushsection .rodata.cloister_stub, \"a\", @progbits",
    ".hidden cloister_stub_start, cloister_stub_call, cloister_stub_map_file",
    ".hidden cloister_stub_calls, cloister_stub_compare_exchange, cloister_stub_serve, cloister_stub_thread",
    ".hidden cloister_stub_handler, cloister_stub_call_site, cloister_stub_call_saved, cloister_stub_answer",
    ".hidden cloister_stub_restored, cloister_stub_name, cloister_stub_end",
    ".globl cloister_stub_start, cloister_stub_call, cloister_stub_map_file",
    ".globl cloister_stub_calls, cloister_stub_compare_exchange, cloister_stub_serve, cloister_stub_thread",
    ".globl cloister_stub_handler, cloister_stub_call_site, cloister_stub_call_saved, cloister_stub_answer",
    ".globl cloister_stub_restored, cloister_stub_name, cloister_stub_end",
    // The entry point: pause(2) until the platform seizes the process and sets other registers.
    "cloister_stub_start:",
    "2: mov eax, 34",
    "   syscall",
    "   jmp 2b",
    // Any system call. Here and below, rsp is 0, or points to the page of commands.
    "cloister_stub_call:",
    "   syscall",
    "   test rsp, rsp",
    "   jnz 4f",
    "   int3",
    // Takes a descriptor from the socket, which is descriptor 0, as descriptor 1, the lowest free one; maps it at
    // r12, length r13, protection r14, flags r15, offset r9; closes it; gives the advice rbx about the mapping, if it is
    // not 0. rsi points to the scratch page, where the msghdr is built. Returns in rax what mmap(2) did, or the error of
    // madvise(2), or EIO if it got no descriptor.
    "cloister_stub_map_file:",
    "   xor eax, eax",
    "   mov [rsi], rax",      // msg_name
    "   mov [rsi + 8], rax",  // msg_namelen
    "   lea rcx, [rsi + 64]", // msg_iov
    "   mov [rsi + 16], rcx",
    "   mov qword ptr [rsi + 24], 1", // msg_iovlen
    "   lea rcx, [rsi + 96]",         // msg_control
    "   mov [rsi + 32], rcx",
    "   mov qword ptr [rsi + 40], 24", // msg_controllen: one descriptor
    "   mov [rsi + 48], rax",          // msg_flags
    "   lea rcx, [rsi + 80]",          // the one byte of data
    "   mov [rsi + 64], rcx",
    "   mov qword ptr [rsi + 72], 1",
    "   xor edi, edi",
    "   mov edx, 0x40", // MSG_DONTWAIT: the message is there
    "   mov eax, 47",
    "   syscall",
    "   mov rbp, rax",
    "   mov rdi, r12",
    "   mov rsi, r13",
    "   mov rdx, r14",
    "   mov r10, r15",
    "   mov r8d, 1",
    "   mov eax, 9",
    "   syscall",
    "   mov r12, rax",
    "   mov edi, 1",
    "   mov eax, 3",
    "   syscall",
    "   mov rax, r12",
    "   cmp rax, -4095",
    "   jae 2f",
    "   test ebx, ebx",
    "   jz 2f",
    "   mov rdi, r12",
    "   mov rsi, r13",
    "   mov edx, ebx",
    "   mov eax, 28", // madvise
    "   syscall",
    "2: cmp rbp, 1",
    "   je 2f",
    "   mov rax, -5",
    "2: test rsp, rsp",
    "   jnz 4f",
    "   int3",
    // Makes the ebx system calls listed at r12 (see `batch`), up to the first that fails. Returns what the last one did.
    "cloister_stub_calls:",
    "1: mov rax, [r12]",
    "   mov rdi, [r12 + 8]",
    "   mov rsi, [r12 + 16]",
    "   mov rdx, [r12 + 24]",
    "   mov r10, [r12 + 32]",
    "   mov r8, [r12 + 40]",
    "   mov r9, [r12 + 48]",
    "   syscall",
    "   cmp rax, -4095",
    "   jae 2f",
    "   add r12, 56",
    "   dec ebx",
    "   jnz 1b",
    "2: int3",
    // If the word at rdi is eax, replaces it by edx; returns in eax what was there.
    "cloister_stub_compare_exchange:",
    "   lock cmpxchg [rdi], edx",
    "   test rsp, rsp",
    "   jnz 4f",
    "   int3",
    // Where a helper of systrap waits for commands: rsp is their page, ebp the number of the last one. It lets others run
    // and looks again, as often as the last one said, before it sleeps; that it does is told in its slot. The position of
    // descriptor 2, which only helpers have, is the answer: its number, and the low half of rax.
    "cloister_stub_serve:",
    "1: mov ebx, [rsp + {COMMAND} + 13 * 8]",
    "2: cmp [rsp], ebp",
    "   jne 3f",
    "   sub ebx, 1",
    "   jc 5f",
    "   mov eax, 24", // sched_yield
    "   syscall",
    "   jmp 2b",
    "5: mov r12, [rsp + {COMMAND} + 14 * 8]",
    "   mov eax, 1",
    "   xchg [r12], eax", // a full barrier: the kernel looks after it writes the number
    "   mov rdi, rsp",
    "   xor esi, esi", // FUTEX_WAIT
    "   mov edx, ebp",
    "   xor r10d, r10d",
    "   mov eax, 202", // futex
    "   syscall",
    "   mov dword ptr [r12], 0",
    "   xor ebx, ebx",
    "   jmp 2b",
    "3: mov rax, [rsp + {COMMAND} + 1 * 8]",
    "   mov rdi, [rsp + {COMMAND} + 2 * 8]",
    "   mov rsi, [rsp + {COMMAND} + 3 * 8]",
    "   mov rdx, [rsp + {COMMAND} + 4 * 8]",
    "   mov r10, [rsp + {COMMAND} + 5 * 8]",
    "   mov r8, [rsp + {COMMAND} + 6 * 8]",
    "   mov r9, [rsp + {COMMAND} + 7 * 8]",
    "   mov r12, [rsp + {COMMAND} + 8 * 8]",
    "   mov r13, [rsp + {COMMAND} + 9 * 8]",
    "   mov r14, [rsp + {COMMAND} + 10 * 8]",
    "   mov r15, [rsp + {COMMAND} + 11 * 8]",
    "   mov rbx, [rsp + {COMMAND} + 12 * 8]",
    "   jmp qword ptr [rsp + {COMMAND}]",
    "4: mov ebp, [rsp]", // there is no other command before the answer to this one
    "   mov esi, ebp",
    "   shl rsi, 32",
    "   mov eax, eax",
    "   or rsi, rax",
    "   mov edi, 2",
    "   xor edx, edx", // SEEK_SET
    "   mov eax, 8",   // lseek
    "   syscall",
    "   jmp 1b",
    // Where a guest thread of systrap begins: rbx is its slot, rbp its `sock_fprog`. It is on its own from here on.
    "cloister_stub_thread:",
    "   lea rdi, [rbx + {ALTERNATE_STACK}]",
    "   xor esi, esi",
    "   mov eax, 131", // sigaltstack
    "   syscall",
    "   xor edi, edi",
    "   mov eax, 3", // close: the helpers' socket
    "   syscall",
    "   mov edi, 2",
    "   mov eax, 3", // and where they answer
    "   syscall",
    "   mov edi, 1", // PR_SET_PDEATHSIG
    "   mov esi, 9",
    "   mov eax, 157", // prctl
    "   syscall",
    "   mov edi, 1", // SECCOMP_SET_MODE_FILTER
    "   xor esi, esi",
    "   mov rdx, rbp",
    "   mov eax, 317", // seccomp
    "   syscall",
    "   test eax, eax",
    "   jnz 2f",
    "   mov eax, -1", // no call: the first trap
    "   syscall",
    "2: ud2", // any other first trap is a failure
    // The handler of all signals, on the alternate stack, which is in the thread's slot. It tells the kernel where the
    // frame is, waits, and restores what the frame then says. A signal that comes while the thread waits is not told.
    "cloister_stub_handler:",
    "   mov rbx, rsp",
    "   and rbx, -{SLOT}",
    "   mov rbp, rdx",
    // A fault while the thread copies for the kernel ends the copying.
    "   lea rax, [rip + cloister_stub_copy]",
    "   cmp [rdx + {RIP}], rax",
    "   jne 1f",
    "   cmp edi, {SIGSEGV}",
    "   je 0f",
    "   cmp edi, {SIGBUS}",
    "   jne 1f",
    "0: lea rax, [rip + cloister_stub_copied]",
    "   mov [rdx + {RIP}], rax",
    "   jmp 9f",
    "1: cmp dword ptr [rbx], 0",
    "   jne 9f",
    "   mov [rbx + {CONTEXT}], rdx",
    "   mov [rbx + {INFO}], rsi",
    "   rdfsbase rax",
    "   mov [rbx + {FS_BASE}], rax",
    "   rdgsbase rax",
    "   mov [rbx + {GS_BASE}], rax",
    "   mov r12, [rbx + {DOORBELL}]",
    "   mov dword ptr [rbx + {IS_CALL}], 0",
    "   mov eax, {TRAPPED}",
    "   xchg [rbx], eax", // a full barrier: the kernel looks after it rings
    "   jmp cloister_stub_wait",
    // Where patched call sites come to: eax is the number, r11 the site's entry in the call table. Nothing but rcx, r11 and rax
    // may change, and no memory of the guest's. Flags are kept, so the slot's mark is compared without them; where gs
    // is the guest's own, the breakpoint is the trap.
    "cloister_stub_call_site:",
    "   mov ecx, gs:[{MARK}]",
    "   lea ecx, [rcx - {MARKED}]",
    "   jrcxz 2f",
    "   int3",
    "2: mov gs:[{SAVED} + 13 * 8], rax",
    "   mov gs:[{SAVED} + 15 * 8], rsp",
    "cloister_stub_call_saved:",
    "   mov rsp, gs:[{SAVED_END}]",
    "   pushfq", // word 17
    "   mov rcx, [r11 + 8]",
    "   mov gs:[{SAVED} + 16 * 8], rcx",
    "   mov rcx, [r11 + 16]",
    "   mov gs:[{RESUME}], rcx",
    "   mov gs:[{SAVED} + 0 * 8], r8",
    "   mov gs:[{SAVED} + 1 * 8], r9",
    "   mov gs:[{SAVED} + 2 * 8], r10",
    "   mov gs:[{SAVED} + 4 * 8], r12",
    "   mov gs:[{SAVED} + 5 * 8], r13",
    "   mov gs:[{SAVED} + 6 * 8], r14",
    "   mov gs:[{SAVED} + 7 * 8], r15",
    "   mov gs:[{SAVED} + 8 * 8], rdi",
    "   mov gs:[{SAVED} + 9 * 8], rsi",
    "   mov gs:[{SAVED} + 10 * 8], rbp",
    "   mov gs:[{SAVED} + 11 * 8], rbx",
    "   mov gs:[{SAVED} + 12 * 8], rdx",
    "   rdfsbase rcx",
    "   mov gs:[{FS_BASE}], rcx",
    "   mov dword ptr gs:[{IS_CALL}], 1",
    "   mov ecx, {TRAPPED}",
    "   xchg gs:[0], ecx",
    // Waits for the answer. rbx is the slot, r12 the doorbell.
    "cloister_stub_answer:",
    "   rdgsbase rbx",
    "   mov r12, [rbx + {DOORBELL}]",
    "cloister_stub_wait:",
    "   cmp dword ptr [r12], 0",
    "   je 3f",
    "   mov edi, [r12 + 4]",
    "   mov esi, [r12 + 8]",
    "   mov edx, 17",  // SIGCHLD
    "   mov eax, 234", // tgkill
    "   syscall",
    "   jmp 5f",
    "3: mov ecx, [r12 + 12]", // how long to spin
    "4: mov eax, [rbx]",
    "   test eax, eax",
    "   jz 7f",
    "   cmp eax, {TRAPPED}",
    "   jne 5f",
    "   pause",
    "   dec ecx",
    "   jg 4b",
    "5: mov eax, [rbx]",
    "   test eax, eax",
    "   jz 7f",
    "   cmp eax, {COPY}",
    "   je 12f",
    "   cmp eax, {SAVE}",
    "   je 16f",
    "   cmp eax, {UNFOLD}",
    "   je 8f",
    "   cmp eax, {GIVE_WAY}",
    "   je 13f",
    "   cmp eax, {HELP}",
    "   je 11f",
    "   cmp eax, {HAND_OVER}",
    "   je 19f",
    "   mov edx, {ASLEEP}",
    "   lock cmpxchg [rbx], edx",
    "   jnz 5b",
    // The kernel changes the word on which the thread sleeps after its state.
    "6: mov rdi, [rbx + {TURN}]",
    "   mov edx, [rdi]",
    "   cmp dword ptr [rbx], {ASLEEP}",
    "   jne 5b",
    "   xor esi, esi", // FUTEX_WAIT
    "   xor r10d, r10d",
    "   mov eax, 202", // futex
    "   syscall",
    "   jmp 6b",
    "7: cmp dword ptr [rbx + {IS_CALL}], 1",
    "   jb 10f",
    "   ja 17f",
    // Goes on behind a call site.
    "   mov rax, gs:[{SAVED} + 13 * 8]",
    "   mov r10, gs:[{SAVED} + 2 * 8]",
    "   mov r12, gs:[{SAVED} + 4 * 8]",
    "   mov rdi, gs:[{SAVED} + 8 * 8]",
    "   mov rsi, gs:[{SAVED} + 9 * 8]",
    "   mov rbx, gs:[{SAVED} + 11 * 8]",
    "   mov rdx, gs:[{SAVED} + 12 * 8]",
    "   mov rcx, gs:[{RESUME}]",
    "   mov rsp, gs:[{SAVED_END}]",
    "   sub rsp, 8",
    "   popfq",
    "   mov rsp, gs:[{SAVED} + 15 * 8]",
    "   jmp rcx",
    // The kernel wants something copied by a thread that is at a call site, unless it takes that back.
    "12: mov edx, {COPYING}",
    "   lock cmpxchg [rbx], edx",
    "   jnz 5b",
    "   cld",
    "   mov rsi, [rbx + {COPY_FROM}]",
    "   mov rdi, [rbx + {COPY_TO}]",
    "   mov rcx, [rbx + {COPY_BYTES}]",
    "cloister_stub_copy:",
    "   rep movsb",
    "cloister_stub_copied:",
    "   mov [rbx + {COPY_BYTES}], rcx", // what is left
    "   mov eax, {COPYING}",
    "   mov edx, {TRAPPED}",
    "   lock cmpxchg [rbx], edx", // or the kernel has lost patience
    "   jmp 3b",
    // The kernel wants the vector registers, which are the guest's still, of a thread that is at a call site.
    "16: mov eax, {VECTORS}",
    "   xor edx, edx",
    "   xsave64 [rbx + {STATE}]",
    "   mov dword ptr [rbx], {TRAPPED}",
    "   jmp 3b",
    // The kernel wants all registers of a thread that is at a call site: the breakpoint brings a frame.
    "8: mov dword ptr [rbx], 0",
    "   int3",
    // Goes on with what the frame says.
    "10: mov rax, [rbx + {FS_BASE}]",
    "   wrfsbase rax",
    "   mov rax, [rbx + {GS_BASE}]",
    "   wrgsbase rax",
    "9: mov rsp, rbp",
    "   mov eax, 15", // rt_sigreturn
    "   syscall",
    "   ud2",
    // Wakes the thread that shares this processor and is next.
    "19: mov edx, {PARKED}",
    "   lock cmpxchg [rbx], edx",
    "   jnz 5b",
    "   mov rdi, [rbx + {NEXT}]",
    "   mov esi, 1", // FUTEX_WAKE
    "   mov edx, 0x7fffffff",
    "   mov eax, 202", // futex
    "   syscall",
    "   jmp 5b",
    // Wakes the helper, here where the memory is that it is to change.
    "11: mov edx, {GIVE_WAY}",
    "   lock cmpxchg [rbx], edx",
    "   jnz 5b",
    "   mov rdi, [rbx + {COMMANDS}]",
    "   mov esi, 1", // FUTEX_WAKE
    "   mov edx, 1",
    "   mov eax, 202", // futex
    "   syscall",
    // Lets the helper go first. The host may come back to this thread before, so it looks a few times.
    "13: mov esi, 8",
    "14: mov eax, 24", // sched_yield
    "   syscall",
    "   mov edi, 200",
    "15: cmp dword ptr [rbx], {GIVE_WAY}",
    "   jne 3b",
    "   pause",
    "   dec edi",
    "   jnz 15b",
    "   dec esi",
    "   jnz 14b",
    "   mov eax, {GIVE_WAY}",
    "   mov edx, {TRAPPED}",
    "   lock cmpxchg [rbx], edx",
    "   jmp 3b",
    // Goes on from a call site with other registers. What a thread runs after this it runs with its new vector registers.
    "17: cmp dword ptr [rbx + {IS_CALL}], {WITH_REGISTERS}",
    "   je 18f",
    "   mov eax, {VECTORS}",
    "   xor edx, edx",
    "   xrstor64 [rbx + {STATE}]",
    "cloister_stub_restored:",
    "18: mov rsp, gs:[{SAVED_END}]",
    "   sub rsp, 8",
    "   popfq",
    "   mov r8, gs:[{SAVED} + 0 * 8]",
    "   mov r9, gs:[{SAVED} + 1 * 8]",
    "   mov r10, gs:[{SAVED} + 2 * 8]",
    "   mov r11, gs:[{SAVED} + 3 * 8]",
    "   mov r12, gs:[{SAVED} + 4 * 8]",
    "   mov r13, gs:[{SAVED} + 5 * 8]",
    "   mov r14, gs:[{SAVED} + 6 * 8]",
    "   mov r15, gs:[{SAVED} + 7 * 8]",
    "   mov rdi, gs:[{SAVED} + 8 * 8]",
    "   mov rsi, gs:[{SAVED} + 9 * 8]",
    "   mov rbp, gs:[{SAVED} + 10 * 8]",
    "   mov rbx, gs:[{SAVED} + 11 * 8]",
    "   mov rdx, gs:[{SAVED} + 12 * 8]",
    "   mov rax, gs:[{SAVED} + 13 * 8]",
    "   mov rcx, gs:[{SAVED} + 14 * 8]",
    "   mov rsp, gs:[{SAVED} + 15 * 8]",
    "   jmp qword ptr gs:[{RESUME}]",
    "cloister_stub_name:",
    "   .asciz \"cloister-stub\"",
    "cloister_stub_end:",
    ".popsection",
    SLOT = const slot::BYTES,
    ALTERNATE_STACK = const slot::ALTERNATE_STACK,
    CONTEXT = const slot::CONTEXT,
    INFO = const slot::INFO,
    FS_BASE = const slot::FS_BASE,
    GS_BASE = const slot::GS_BASE,
    DOORBELL = const slot::DOORBELL,
    TRAPPED = const slot::TRAPPED,
    PARKED = const slot::PARKED,
    HAND_OVER = const slot::HAND_OVER,
    TURN = const slot::TURN,
    NEXT = const slot::NEXT,
    ASLEEP = const slot::ASLEEP,
    UNFOLD = const slot::UNFOLD,
    COPY = const slot::COPY,
    COPYING = const slot::COPYING,
    SAVE = const slot::SAVE,
    STATE = const slot::STATE,
    VECTORS = const slot::VECTORS,
    WITH_REGISTERS = const slot::WITH_REGISTERS,
    COPY_FROM = const slot::COPY_FROM,
    COPY_TO = const slot::COPY_TO,
    COPY_BYTES = const slot::COPY_BYTES,
    RIP = const slot::context::RIP,
    SIGSEGV = const libc::SIGSEGV,
    SIGBUS = const libc::SIGBUS,
    IS_CALL = const slot::IS_CALL,
    MARK = const slot::MARK,
    MARKED = const slot::MARKED,
    SAVED = const slot::SAVED,
    SAVED_END = const slot::SAVED_END,
    HELP = const slot::HELP,
    GIVE_WAY = const slot::GIVE_WAY,
    COMMANDS = const slot::COMMANDS,
    COMMAND = const slot::COMMAND,
    RESUME = const slot::RESUME,
);

unsafe extern "C" {
    #[link_name = "cloister_stub_start"]
    static START: u8;
    #[link_name = "cloister_stub_call"]
    static CALL: u8;
    #[link_name = "cloister_stub_map_file"]
    static MAP_FILE: u8;
    #[link_name = "cloister_stub_calls"]
    static CALLS: u8;
    #[link_name = "cloister_stub_compare_exchange"]
    static COMPARE_EXCHANGE: u8;
    #[link_name = "cloister_stub_serve"]
    static SERVE: u8;
    #[link_name = "cloister_stub_thread"]
    static THREAD: u8;
    #[link_name = "cloister_stub_handler"]
    static HANDLER: u8;
    #[link_name = "cloister_stub_call_site"]
    static CALL_SITE: u8;
    #[link_name = "cloister_stub_call_saved"]
    static CALL_SAVED: u8;
    #[link_name = "cloister_stub_answer"]
    static ANSWER: u8;
    #[link_name = "cloister_stub_restored"]
    static RESTORED: u8;
    #[link_name = "cloister_stub_name"]
    static NAME: u8;
    #[link_name = "cloister_stub_end"]
    static END: u8;
}

/// A routine of the code page.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Routine {
    /// Where it begins.
    pub(crate) start: u64,
    /// Where a thread is that hit the breakpoint at its end.
    pub(crate) end: u64,
}

/// Where things are in a stub process; the same in all processes of a sandbox.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    /// The code page.
    pub(crate) code: u64,
    /// The scratch page.
    pub(crate) scratch: u64,
    /// The routine that makes a system call.
    pub(crate) call: Routine,
    /// The routine that maps a file.
    pub(crate) map_file: Routine,
    /// The routine that makes several system calls.
    pub(crate) calls: Routine,
    /// The routine that compares and exchanges.
    pub(crate) compare_exchange: Routine,
    /// Where helpers of systrap wait for commands.
    pub(crate) serve: u64,
    /// Where guest threads of systrap begin.
    pub(crate) thread: u64,
    /// Their handler of signals.
    pub(crate) handler: u64,
    /// Where patched call sites come to.
    pub(crate) call_site: u64,
    /// From where on `rax` and `rsp` of a thread that came there are in its slot.
    pub(crate) call_saved: u64,
    /// From where on it waits for the kernel's answer, or goes on with it: up to `name`.
    pub(crate) answer: u64,
    /// From where on its vector registers are those that the kernel gave it.
    pub(crate) restored: u64,
    /// The name of a stub process, a C string.
    pub(crate) name: u64,
    /// The `struct sock_fprog` of the helpers' filter.
    pub(crate) filter: u64,
    /// The page by which guest threads of systrap wake the kernel.
    pub(crate) doorbell: u64,
    /// The page of commands to a helper of systrap.
    pub(crate) commands: u64,
    /// Where the slots of guest threads of systrap are.
    pub(crate) slots: u64,
    /// Where guest threads of systrap find parts of files to copy from.
    pub(crate) window: u64,
}

impl Layout {
    /// Chooses the place by `random`.
    pub(crate) fn new(random: u64) -> Self {
        let places = (CODE_RANGE.end - CODE_RANGE.start) / PAGE - 1;
        let code = CODE_RANGE.start + random % places * PAGE;
        let at = |label: *const u8| code + CODE_OFFSET as u64 + offset(label) as u64;
        let slots = (code + 4 * PAGE).next_multiple_of(slot::BYTES as u64);
        Self {
            code,
            scratch: code + PAGE,
            call: Routine { start: at(&raw const CALL), end: at(&raw const MAP_FILE) },
            map_file: Routine { start: at(&raw const MAP_FILE), end: at(&raw const CALLS) },
            calls: Routine { start: at(&raw const CALLS), end: at(&raw const COMPARE_EXCHANGE) },
            compare_exchange: Routine { start: at(&raw const COMPARE_EXCHANGE), end: at(&raw const SERVE) },
            serve: at(&raw const SERVE),
            thread: at(&raw const THREAD),
            handler: at(&raw const HANDLER),
            call_site: at(&raw const CALL_SITE),
            call_saved: at(&raw const CALL_SAVED),
            answer: at(&raw const ANSWER),
            restored: at(&raw const RESTORED),
            name: at(&raw const NAME),
            filter: at(&raw const END).next_multiple_of(8),
            doorbell: code + 2 * PAGE,
            commands: code + 3 * PAGE,
            slots,
            window: slots + (slot::MOST * slot::BYTES) as u64,
        }
    }
}

/// Returns where the second filter of an image is, whose first has `length` instructions after its `struct sock_fprog`.
pub(crate) fn second_filter(layout: &Layout, length: usize) -> u64 {
    layout.filter + 16 + 8 * length as u64
}

/// Returns how far `label` is from the beginning of the routines.
fn offset(label: *const u8) -> usize {
    label.addr() - (&raw const START).addr()
}

/// Builds the ELF file (`elf(5)`), with `filters` one after the other from the layout's `struct sock_fprog` on.
pub(crate) fn build(layout: &Layout, filters: &[Vec<sock_filter>]) -> Vec<u8> {
    let length = offset(&raw const END);
    // SAFETY: both labels are in one object, `length` bytes apart, and nothing writes to it.
    let code = unsafe { std::slice::from_raw_parts(&raw const START, length) };

    let mut file = Vec::with_capacity(4096);
    push_headers(&mut file, layout);
    file.resize(CODE_OFFSET, 0);
    file.extend_from_slice(code);
    file.resize(file.len().next_multiple_of(8), 0);
    debug_assert_eq!(layout.code + file.len() as u64, layout.filter);
    for filter in filters {
        let instructions = layout.code + file.len() as u64 + 16;
        file.extend((filter.len() as u64).to_le_bytes()); // u16 len and its padding
        file.extend(instructions.to_le_bytes());
        for instruction in filter {
            file.extend(instruction.code.to_le_bytes());
            file.extend([instruction.jt, instruction.jf]);
            file.extend(instruction.k.to_le_bytes());
        }
    }
    assert!(file.len() as u64 <= PAGE, "the routines and the filters fit a page");
    file.resize(4096, 0);
    file
}

fn push_headers(file: &mut Vec<u8>, layout: &Layout) {
    const HEADER: u64 = 64;
    const PROGRAM_HEADER: u64 = 56;
    file.extend(b"\x7fELF\x02\x01\x01");
    file.resize(16, 0);
    file.extend(2_u16.to_le_bytes()); // ET_EXEC
    file.extend(62_u16.to_le_bytes()); // EM_X86_64
    file.extend(1_u32.to_le_bytes()); // EV_CURRENT
    file.extend((layout.code + CODE_OFFSET as u64).to_le_bytes()); // e_entry
    file.extend(HEADER.to_le_bytes()); // e_phoff
    file.extend(0_u64.to_le_bytes()); // e_shoff
    file.extend(0_u32.to_le_bytes()); // e_flags
    for half in [HEADER, PROGRAM_HEADER, 3, 0, 0, 0] {
        file.extend(&half.to_le_bytes()[..2]); // e_ehsize, e_phentsize, e_phnum, e_sh*
    }
    let mut segment = |kind: u32, flags: u32, address: u64, file_size: u64, memory_size: u64| {
        file.extend(kind.to_le_bytes());
        file.extend(flags.to_le_bytes());
        file.extend(0_u64.to_le_bytes()); // p_offset
        file.extend(address.to_le_bytes());
        file.extend(address.to_le_bytes());
        file.extend(file_size.to_le_bytes());
        file.extend(memory_size.to_le_bytes());
        file.extend(PAGE.to_le_bytes());
    };
    segment(1, 5, layout.code, PAGE, PAGE); // PT_LOAD, R-X
    segment(1, 6, layout.scratch, 0, PAGE); // PT_LOAD, RW-
    segment(0x6474_e551, 6, 0, 0, 0); // PT_GNU_STACK, RW-
}
