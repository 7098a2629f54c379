//! The seccomp filter of guest threads: every system call is a trap, except the few by which the stub's handler waits,
//! lets others run, wakes the kernel and returns, and those only from the stub's own code.
//!
//! Guest code that jumps there can make them too. It can then wait for and wake words in its own memory, wake threads of
//! others for nothing, set its own registers, and wake the kernel, which it can do by any system call.

use std::mem::offset_of;
use std::ops::Range;

use libc::{
    BPF_ABS, BPF_JEQ, BPF_JGE, BPF_JMP, BPF_K, BPF_LD, BPF_RET, BPF_W, SECCOMP_RET_ALLOW, SECCOMP_RET_TRAP,
    seccomp_data, sock_filter,
};
use rustix::process::Pid;

/// `AUDIT_ARCH_X86_64`.
pub(super) const ARCHITECTURE: u32 = 0xc000_003e;

/// Builds the filter for threads whose stub code is in `code`, and which wake `thread` of `process`.
pub(super) fn build(code: &Range<u64>, process: Pid, thread: Pid) -> Vec<sock_filter> {
    const ARCH: usize = offset_of!(seccomp_data, arch);
    const NUMBER: usize = offset_of!(seccomp_data, nr);
    const POINTER: usize = offset_of!(seccomp_data, instruction_pointer);
    const ARGUMENTS: usize = offset_of!(seccomp_data, args);
    let low = |value: u64| u32::try_from(value & u64::from(u32::MAX)).unwrap_or_default();
    let high = |value: u64| u32::try_from(value >> 32).unwrap_or_default();
    let number = |call: i64| u32::try_from(call).unwrap_or(u32::MAX);

    let mut program = Vec::new();
    // Where what is loaded does not compare so, the call is a trap.
    let require = |program: &mut Vec<_>, offset: usize, comparison: u32, value: u32| {
        program.push(load(offset));
        program.push(instruction(BPF_JMP | comparison | BPF_K, 1, 0, value));
        program.push(instruction(BPF_RET | BPF_K, 0, 0, SECCOMP_RET_TRAP));
    };
    require(&mut program, ARCH, BPF_JEQ, ARCHITECTURE);
    require(&mut program, POINTER + 4, BPF_JEQ, high(code.start));
    require(&mut program, POINTER, BPF_JGE, low(code.start));
    program.push(load(POINTER));
    program.push(instruction(BPF_JMP | BPF_JGE | BPF_K, 0, 1, low(code.end)));
    program.push(instruction(BPF_RET | BPF_K, 0, 0, SECCOMP_RET_TRAP));
    for call in [libc::SYS_futex, libc::SYS_rt_sigreturn, libc::SYS_sched_yield] {
        program.push(load(NUMBER));
        program.push(instruction(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, number(call)));
        program.push(instruction(BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW));
    }
    require(&mut program, NUMBER, BPF_JEQ, number(libc::SYS_tgkill));
    require(&mut program, ARGUMENTS, BPF_JEQ, process.as_raw_pid().cast_unsigned());
    require(&mut program, ARGUMENTS + 8, BPF_JEQ, thread.as_raw_pid().cast_unsigned());
    require(&mut program, ARGUMENTS + 16, BPF_JEQ, libc::SIGCHLD.cast_unsigned());
    program.push(instruction(BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW));
    program
}

/// Loads a word of the `seccomp_data`.
fn load(offset: usize) -> sock_filter {
    instruction(BPF_LD | BPF_W | BPF_ABS, 0, 0, u32::try_from(offset).unwrap_or(u32::MAX))
}

fn instruction(code: u32, jt: u8, jf: u8, k: u32) -> sock_filter {
    // The codes of all instructions fit.
    sock_filter { code: u16::try_from(code).unwrap_or_default(), jt, jf, k }
}
