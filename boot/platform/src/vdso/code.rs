//! The functions of the vDSO.

#![expect(unsafe_code, reason = "the bytes between two assembler labels are read as a slice")]

use std::mem::offset_of;

use super::time_page::{Offset, TIME_PAGE, TimePage};

// All are leaf functions of the System V ABI or jump to one. In `clock_gettime` the clocks are those of
// `clock_gettime(2)`: 1 MONOTONIC, 4 MONOTONIC_RAW, 6 MONOTONIC_COARSE, 7 BOOTTIME.
std::arch::global_asm!(
    ".pushsection .rodata.cloister_vdso, \"a\", @progbits",
    ".hidden cloister_vdso_clock_gettime, cloister_vdso_gettimeofday, cloister_vdso_time",
    ".hidden cloister_vdso_clock_getres, cloister_vdso_getcpu, cloister_vdso_end",
    ".globl cloister_vdso_clock_gettime, cloister_vdso_gettimeofday, cloister_vdso_time",
    ".globl cloister_vdso_clock_getres, cloister_vdso_getcpu, cloister_vdso_end",
    "cloister_vdso_clock_gettime:",
    "   movabs rax, {page}",
    "   mov rax, [rax + {clock_gettime}]",
    "   test rax, rax",
    "   jz 5f",
    "   push rdi",
    "   push rsi",
    "   sub rsp, 8",
    "   call rax",
    "   add rsp, 8",
    "   pop rsi",
    "   pop rdi",
    "   test eax, eax",
    "   jnz 4f",
    "   movabs rdx, {page}",
    "   lea rcx, [rdx + {boottime}]",
    "   cmp edi, 7",
    "   je 2f",
    "   lea rcx, [rdx + {monotonic}]",
    "   cmp edi, 1",
    "   je 2f",
    "   cmp edi, 4",
    "   je 2f",
    "   cmp edi, 6",
    "   jne 4f",
    "2: mov r8, [rsi]",
    "   mov r9, [rsi + 8]",
    "   add r8, [rcx]",
    "   add r9, [rcx + {nanoseconds}]",
    "   cmp r9, 1000000000",
    "   jl 3f",
    "   sub r9, 1000000000",
    "   inc r8",
    "3: mov [rsi], r8",
    "   mov [rsi + 8], r9",
    "4: ret",
    "5: mov eax, 228",
    "   syscall",
    "   ret",
    "cloister_vdso_gettimeofday:",
    "   movabs rax, {page}",
    "   mov rax, [rax + {gettimeofday}]",
    "   test rax, rax",
    "   jz 2f",
    "   jmp rax",
    "2: mov eax, 96",
    "   syscall",
    "   ret",
    "cloister_vdso_time:",
    "   movabs rax, {page}",
    "   mov rax, [rax + {time}]",
    "   test rax, rax",
    "   jz 2f",
    "   jmp rax",
    "2: mov eax, 201",
    "   syscall",
    "   ret",
    "cloister_vdso_clock_getres:",
    "   movabs rax, {page}",
    "   mov rax, [rax + {clock_getres}]",
    "   test rax, rax",
    "   jz 2f",
    "   jmp rax",
    "2: mov eax, 229",
    "   syscall",
    "   ret",
    "cloister_vdso_getcpu:",
    "   movabs rax, {page}",
    "   mov rax, [rax + {getcpu}]",
    "   test rax, rax",
    "   jz 2f",
    "   jmp rax",
    "2: mov eax, 309",
    "   syscall",
    "   ret",
    "cloister_vdso_end:",
    ".popsection",
    page = const TIME_PAGE,
    clock_gettime = const offset_of!(TimePage, clock_gettime),
    gettimeofday = const offset_of!(TimePage, gettimeofday),
    time = const offset_of!(TimePage, time),
    clock_getres = const offset_of!(TimePage, clock_getres),
    getcpu = const offset_of!(TimePage, getcpu),
    monotonic = const offset_of!(TimePage, monotonic),
    boottime = const offset_of!(TimePage, boottime),
    nanoseconds = const Offset::NANOSECONDS,
);

unsafe extern "C" {
    #[link_name = "cloister_vdso_clock_gettime"]
    static CLOCK_GETTIME: u8;
    #[link_name = "cloister_vdso_gettimeofday"]
    static GETTIMEOFDAY: u8;
    #[link_name = "cloister_vdso_time"]
    static TIME: u8;
    #[link_name = "cloister_vdso_clock_getres"]
    static CLOCK_GETRES: u8;
    #[link_name = "cloister_vdso_getcpu"]
    static GETCPU: u8;
    #[link_name = "cloister_vdso_end"]
    static END: u8;
}

/// A function of [`bytes`].
pub(super) struct Function {
    /// Its name without the prefix `__vdso_`.
    pub(super) name: &'static str,
    /// Where it begins.
    pub(super) offset: usize,
    /// How long it is.
    pub(super) length: usize,
}

/// Returns the code, which can be placed anywhere.
pub(super) fn bytes() -> &'static [u8] {
    // SAFETY: both labels are in one object, this many bytes apart, and nothing writes to it.
    unsafe { std::slice::from_raw_parts(&raw const CLOCK_GETTIME, offset(&raw const END)) }
}

/// Returns the functions.
pub(super) fn functions() -> [Function; 5] {
    let function = |name, start: *const u8, end: *const u8| Function {
        name,
        offset: offset(start),
        length: end.addr() - start.addr(),
    };
    [
        function("clock_gettime", &raw const CLOCK_GETTIME, &raw const GETTIMEOFDAY),
        function("gettimeofday", &raw const GETTIMEOFDAY, &raw const TIME),
        function("time", &raw const TIME, &raw const CLOCK_GETRES),
        function("clock_getres", &raw const CLOCK_GETRES, &raw const GETCPU),
        function("getcpu", &raw const GETCPU, &raw const END),
    ]
}

fn offset(label: *const u8) -> usize {
    label.addr() - (&raw const CLOCK_GETTIME).addr()
}
