//! `seccomp(2)`, and the operations of `prctl(2)` before it.

use cloister_bpf::{Instruction, MAX_INSTRUCTIONS, Program};
use zerocopy::{FromBytes, IntoBytes};

use super::{Address, UInt, ULong};
use crate::context::SyscallCx;
use crate::error::{Fail, Outcome, SyscallResult, fail};
use crate::prelude::errno;
use crate::seccomp::{self, Action, Filter, Sync};
use crate::task::Capabilities;

const SET_MODE_STRICT: u32 = 0;
const SET_MODE_FILTER: u32 = 1;
const GET_ACTION_AVAIL: u32 = 2;

const FLAG_TSYNC: u32 = 1;
const FLAG_LOG: u32 = 1 << 1;
/// The processor's speculation is the host's affair.
const FLAG_SPEC_ALLOW: u32 = 1 << 2;
const FLAG_TSYNC_ESRCH: u32 = 1 << 4;

/// `struct sock_fprog`: a program in guest memory.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes)]
#[repr(C)]
struct RawProgram {
    len: u16,
    padding: [u16; 3],
    filter: u64,
}

/// Handles `seccomp(operation, flags, args)`.
///
/// There are no supervisors: `SECCOMP_FILTER_FLAG_NEW_LISTENER` and `SECCOMP_GET_NOTIF_SIZES` are refused with `EINVAL`, as
/// by Linux before 5.0.
pub(super) fn sys_seccomp(
    cx: &mut SyscallCx<'_>,
    operation: UInt,
    flags: UInt,
    args: Address,
) -> SyscallResult {
    match operation {
        SET_MODE_STRICT if flags == 0 && args.is_null() => set_strict(cx),
        SET_MODE_FILTER => set_filter(cx, flags, args),
        GET_ACTION_AVAIL if flags == 0 => {
            let action: u32 = cx.memory().read(args)?;
            if Action::is_available(action) {
                Ok(Outcome::OK)
            } else {
                Err(fail(errno::EOPNOTSUPP, "no such action"))
            }
        }
        _ => Err(fail(errno::EINVAL, "no such operation, or not with these flags")),
    }
}

/// Handles `prctl(PR_SET_SECCOMP, mode, program)`.
pub(super) fn set_mode(cx: &SyscallCx<'_>, mode: ULong, program: Address) -> SyscallResult {
    match mode {
        1 => set_strict(cx),
        2 => set_filter(cx, 0, program),
        _ => Err(fail(errno::EINVAL, "no such mode")),
    }
}

fn set_strict(cx: &SyscallCx<'_>) -> SyscallResult {
    seccomp::set_strict(cx)?;
    Ok(Outcome::OK)
}

fn set_filter(cx: &SyscallCx<'_>, flags: u32, program: Address) -> SyscallResult {
    if flags & !(FLAG_TSYNC | FLAG_LOG | FLAG_SPEC_ALLOW | FLAG_TSYNC_ESRCH) != 0 {
        return Err(fail(errno::EINVAL, "a flag that there is not"));
    }
    let program = read_program(cx, program)?;
    let sync = if flags & FLAG_TSYNC == 0 { Sync::Caller } else { Sync::AllThreads };
    match seccomp::install(cx, Filter::new(program, flags & FLAG_LOG != 0), sync)? {
        None => Ok(Outcome::OK),
        Some(_) if flags & FLAG_TSYNC_ESRCH != 0 => {
            Err(fail(errno::ESRCH, "a thread has other filters than the caller"))
        }
        // The id of the thread that has others.
        Some(tid) => Ok(tid.into()),
    }
}

/// Reads and checks a program, in the order in which Linux finds faults.
fn read_program(cx: &SyscallCx<'_>, at: Address) -> Result<Program, Fail> {
    let raw: RawProgram = cx.memory().read(at)?;
    let len = usize::from(raw.len);
    if !(1..=MAX_INSTRUCTIONS).contains(&len) {
        return Err(fail(errno::EINVAL, "a program of no or too many instructions"));
    }
    let credentials = cx.credentials();
    if !credentials.no_new_privileges && !credentials.has(Capabilities::SYS_ADMIN) {
        return Err(fail(errno::EACCES, "filters need `PR_SET_NO_NEW_PRIVS` or `CAP_SYS_ADMIN`"));
    }
    let instructions: Vec<Instruction> = cx.memory().read_array(Address(raw.filter), len)?;
    Program::new(instructions).map_err(|_| fail(errno::EINVAL, "the program is not valid"))
}
