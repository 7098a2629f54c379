//! The program that every stub process runs: one page of code and one page of scratch memory.
//!
//! The code is a handful of routines. The first waits to be seized; the others are what the platform has a *helper*
//! run: each ends in a breakpoint, by which the platform knows that it is done. Results are taken from the helper's
//! registers, which belong to it alone, and never from memory, which guest code shares and can write.
//!
//! Guest code can jump into this page too. That gives it nothing: what a guest thread runs is always under
//! `PTRACE_SYSEMU`, wherever its instructions are.

#![expect(unsafe_code, reason = "the bytes between two assembler labels are read as a slice")]

use std::ops::Range;

use seccompiler::BpfProgram;

/// The end of the guest's addresses, and the beginning of the platform's.
pub(super) const GUEST: Range<u64> = 0x1_0000..0x7fff_0000_0000;
/// Where the code page can be; each sandbox has its own place.
const CODE_RANGE: Range<u64> = 0x7fff_0000_0000..0x7fff_f000_0000;
/// The size of a page.
pub(super) const PAGE: u64 = 4096;
/// Where code begins in its page; the ELF headers are before.
const CODE_OFFSET: usize = 0x100;

std::arch::global_asm!(
    ".pushsection .rodata.cloister_stub, \"a\", @progbits",
    ".hidden cloister_stub_start, cloister_stub_call, cloister_stub_map_file",
    ".hidden cloister_stub_compare_exchange, cloister_stub_name, cloister_stub_end",
    ".globl cloister_stub_start, cloister_stub_call, cloister_stub_map_file",
    ".globl cloister_stub_compare_exchange, cloister_stub_name, cloister_stub_end",
    // The entry point: pause(2) until the platform seizes the process and sets other registers.
    "cloister_stub_start:",
    "2: mov eax, 34",
    "   syscall",
    "   jmp 2b",
    // Any system call.
    "cloister_stub_call:",
    "   syscall",
    "   int3",
    // Takes a descriptor from the socket, which is descriptor 0, as descriptor 1, the lowest free one; maps it at
    // r12, length r13, protection r14, flags r15, offset rbx; closes it. rsi points to the scratch page, where the
    // msghdr is built. Returns in rbp what recvmsg(2) returned, in rax what mmap(2) did.
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
    "   mov r9, rbx",
    "   mov eax, 9",
    "   syscall",
    "   mov r12, rax",
    "   mov edi, 1",
    "   mov eax, 3",
    "   syscall",
    "   mov rax, r12",
    "   int3",
    // If the word at rdi is eax, replaces it by edx; returns in eax what was there.
    "cloister_stub_compare_exchange:",
    "   lock cmpxchg [rdi], edx",
    "   int3",
    "cloister_stub_name:",
    "   .asciz \"cloister-stub\"",
    "cloister_stub_end:",
    ".popsection",
);

unsafe extern "C" {
    #[link_name = "cloister_stub_start"]
    static START: u8;
    #[link_name = "cloister_stub_call"]
    static CALL: u8;
    #[link_name = "cloister_stub_map_file"]
    static MAP_FILE: u8;
    #[link_name = "cloister_stub_compare_exchange"]
    static COMPARE_EXCHANGE: u8;
    #[link_name = "cloister_stub_name"]
    static NAME: u8;
    #[link_name = "cloister_stub_end"]
    static END: u8;
}

/// A routine of the code page.
#[derive(Clone, Copy, Debug)]
pub(super) struct Routine {
    /// Where it begins.
    pub(super) start: u64,
    /// Where a thread is that hit the breakpoint at its end.
    pub(super) end: u64,
}

/// Where things are in a stub process; the same in all processes of a sandbox.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    /// The code page.
    pub(super) code: u64,
    /// The scratch page.
    pub(super) scratch: u64,
    /// The routine that makes a system call.
    pub(super) call: Routine,
    /// The routine that maps a file.
    pub(super) map_file: Routine,
    /// The routine that compares and exchanges.
    pub(super) compare_exchange: Routine,
    /// The name of a stub process, a C string.
    pub(super) name: u64,
    /// The `struct sock_fprog` of the filter.
    pub(super) filter: u64,
}

impl Layout {
    /// Chooses the place by `random`.
    pub(super) fn new(random: u64) -> Self {
        let places = (CODE_RANGE.end - CODE_RANGE.start) / PAGE - 1;
        let code = CODE_RANGE.start + random % places * PAGE;
        let at = |label: *const u8| code + CODE_OFFSET as u64 + offset(label) as u64;
        Self {
            code,
            scratch: code + PAGE,
            call: Routine { start: at(&raw const CALL), end: at(&raw const MAP_FILE) },
            map_file: Routine { start: at(&raw const MAP_FILE), end: at(&raw const COMPARE_EXCHANGE) },
            compare_exchange: Routine { start: at(&raw const COMPARE_EXCHANGE), end: at(&raw const NAME) },
            name: at(&raw const NAME),
            filter: at(&raw const END).next_multiple_of(8),
        }
    }
}

/// Returns how far `label` is from the beginning of the routines.
fn offset(label: *const u8) -> usize {
    label.addr() - (&raw const START).addr()
}

/// Builds the ELF file (`elf(5)`), with `filter` for the layout's `struct sock_fprog`.
pub(super) fn build(layout: &Layout, filter: &BpfProgram) -> Vec<u8> {
    let length = offset(&raw const END);
    // SAFETY: both labels are in one object, `length` bytes apart, and nothing writes to it.
    let code = unsafe { std::slice::from_raw_parts(&raw const START, length) };

    let mut file = Vec::with_capacity(4096);
    push_headers(&mut file, layout);
    file.resize(CODE_OFFSET, 0);
    file.extend_from_slice(code);
    file.resize(file.len().next_multiple_of(8), 0);
    debug_assert_eq!(layout.code + file.len() as u64, layout.filter);
    file.extend((filter.len() as u64).to_le_bytes()); // u16 len and its padding
    file.extend((layout.filter + 16).to_le_bytes());
    for instruction in filter {
        file.extend(instruction.code.to_le_bytes());
        file.extend([instruction.jt, instruction.jf]);
        file.extend(instruction.k.to_le_bytes());
    }
    assert!(file.len() as u64 <= PAGE, "the routines and the filter fit a page");
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
