//! The seccomp filter of the stub processes: the wall behind `PTRACE_SYSEMU`.
//!
//! Guest threads make no host system call at all; helpers make those listed here. Whatever else a stub process asks
//! for is refused with `SIGSYS` before it is carried out, which the platform sees. One such case is ordinary: a
//! guest that calls one of the three functions of the legacy `vsyscall` page, which the host's kernel carries out
//! without the entry that `PTRACE_SYSEMU` watches.

use std::collections::BTreeMap;

use cloister_abi::Errno;
use cloister_abi::errno;
use libc::sock_filter;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch,
};

/// How a helper makes a guest thread: a process of its own that shares everything with it.
///
/// Not `CLONE_THREAD`: a process has a clock for its processor time that boot can read, and dies alone by `SIGKILL`.
/// `CLONE_PARENT` makes it a child of boot, `CLONE_PTRACE` a tracee.
pub(crate) const CLONE_THREAD_FLAGS: u64 = (libc::CLONE_VM
    | libc::CLONE_FS
    | libc::CLONE_FILES
    | libc::CLONE_SIGHAND
    | libc::CLONE_SYSVSEM
    | libc::CLONE_PARENT
    | libc::CLONE_PTRACE) as u64;

/// How a helper makes a copy of its address space.
pub(crate) const CLONE_COPY_FLAGS: u64 = (libc::CLONE_PARENT | libc::CLONE_PTRACE | libc::SIGCHLD) as u64;

/// How a helper makes a guest thread that has no tracer: it does not share the helper's descriptors.
pub(crate) const CLONE_UNTRACED_FLAGS: u64 = CLONE_THREAD_FLAGS & !(libc::CLONE_FILES as u64);

/// A system call that is let through: its number, and the arguments that it must have, by index.
pub(crate) type Allowed<'a> = (i64, &'a [(u8, u64)]);

/// What helpers do.
const HELPERS: &[Allowed<'_>] = &[
    // Memory of the stub itself, and its descriptor 1 (see `image`).
    (libc::SYS_mmap, &[]),
    (libc::SYS_munmap, &[]),
    (libc::SYS_mprotect, &[]),
    (libc::SYS_mremap, &[]),
    (libc::SYS_madvise, &[]),
    // Guest threads and copies.
    (libc::SYS_clone, &[(0, CLONE_THREAD_FLAGS)]),
    (libc::SYS_clone, &[(0, CLONE_COPY_FLAGS)]),
    // The file to map, which the platform sends.
    (libc::SYS_recvmsg, &[(0, 0)]),
    (libc::SYS_close, &[(0, 1)]),
];

/// Builds the filter, which lets through what helpers do, and `more` for guest threads that have no tracer.
pub(crate) fn build(more: &[Allowed<'_>]) -> Result<Vec<sock_filter>, Errno> {
    let rules = || -> Result<_, seccompiler::BackendError> {
        let mut rules = BTreeMap::new();
        for (number, arguments) in HELPERS.iter().chain(more) {
            let conditions = arguments
                .iter()
                .map(|&(index, value)| {
                    SeccompCondition::new(index, SeccompCmpArgLen::Qword, SeccompCmpOp::Eq, value)
                })
                .collect::<Result<Vec<_>, _>>()?;
            let alternatives = rules.entry(*number).or_insert_with(Vec::new);
            if !conditions.is_empty() {
                alternatives.push(SeccompRule::new(conditions)?);
            }
        }
        Ok(rules)
    };
    rules()
        .and_then(|rules| {
            SeccompFilter::new(rules, SeccompAction::Trap, SeccompAction::Allow, TargetArch::x86_64)
        })
        .and_then(BpfProgram::try_from)
        .map(|program| {
            // The library has 32-bit entries kill; a guest that uses one is to be told.
            let answer = |k| if k == libc::SECCOMP_RET_KILL_PROCESS { libc::SECCOMP_RET_TRAP } else { k };
            program.iter().map(|i| sock_filter { code: i.code, jt: i.jt, jf: i.jf, k: answer(i.k) }).collect()
        })
        .map_err(|_| errno::EINVAL)
}
