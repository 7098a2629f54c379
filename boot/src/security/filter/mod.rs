//! Boot's seccomp filter: the host system calls that the kernel can make once it has started, each with its reason.
//!
//! Whatever is not listed kills the process. Nothing listed opens a file, makes a process, executes a program, makes
//! memory executable, or attaches to a process: boot works on the descriptors that it was handed.
//!
//! `seccomp(2)` sees registers, not memory, so calls that take their arguments by pointer are listed only if every
//! use of them is harmless. The C library's `clone3` is not one of these: a second filter answers `ENOSYS`, upon which
//! the library uses `clone`, whose flags are checked.

use std::collections::BTreeMap;
use std::io::{self, Write};

use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

/// Why the filter could not be installed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum FilterError {
    /// A rule is malformed.
    #[error("the system call filter can't be built")]
    Build(#[from] BackendError),
    /// The host refuses it.
    #[error("the host refuses the system call filter; it needs Linux 3.17 with CONFIG_SECCOMP_FILTER")]
    Install(#[from] seccompiler::Error),
}

/// A host system call that boot can make.
#[derive(Debug)]
pub(crate) struct Rule {
    name: &'static str,
    number: i64,
    check: Check,
    reason: &'static str,
}

/// What a rule asks of an argument, counted from 0.
#[derive(Clone, Copy, Debug)]
enum Check {
    /// Nothing.
    Any,
    /// That it is one of these 32-bit values.
    OneOf(u8, &'static [u32]),
    /// That it has none of these bits.
    Without(u8, u32),
    /// That it has all of these bits.
    With(u8, u32),
}

macro_rules! rules {
    ($($call:ident $check:expr, $reason:literal;)*) => {
        &[$(Rule { name: stringify!($call), number: libc::$call, check: $check, reason: $reason }),*]
    };
}

use Check::{Any, OneOf, With, Without};

/// `PR_GET_AUXV`, in no header of the C library's yet.
const PR_GET_AUXV: u32 = 0x4155_5856;
const PROT_EXEC: u32 = libc::PROT_EXEC.cast_unsigned();

/// How the C library makes a thread.
const THREAD: u32 = (libc::CLONE_VM
    | libc::CLONE_FS
    | libc::CLONE_FILES
    | libc::CLONE_SIGHAND
    | libc::CLONE_THREAD
    | libc::CLONE_SYSVSEM
    | libc::CLONE_SETTLS
    | libc::CLONE_PARENT_SETTID
    | libc::CLONE_CHILD_CLEARTID)
    .cast_unsigned();

const PTRACE_REQUESTS: &[u32] = &[
    libc::PTRACE_CONT,
    libc::PTRACE_DETACH,
    libc::PTRACE_SYSEMU,
    libc::PTRACE_POKEDATA,
    libc::PTRACE_GETREGS,
    libc::PTRACE_SETREGS,
    libc::PTRACE_GETREGSET,
    libc::PTRACE_SETREGSET,
    libc::PTRACE_GETSIGINFO,
    libc::PTRACE_INTERRUPT,
    libc::PTRACE_GET_SYSCALL_INFO,
];

/// `TCGETS`, `TCSETS*`, the same with speeds, `TCSBRK`, `TCXONC`, `TCFLSH`, `TIOC[GS]WINSZ`, `FIONREAD`, `FIONBIO`,
/// `PAGEMAP_SCAN`.
const IOCTLS: &[u32] = &[
    0x5401,
    0x5402,
    0x5403,
    0x5404,
    0x802c_542a,
    0x402c_542b,
    0x402c_542c,
    0x402c_542d,
    0x5409,
    0x540a,
    0x540b,
    0x5413,
    0x5414,
    0x541b,
    0x5421,
    0xc060_6610,
];

const FCNTL_COMMANDS: &[u32] = &[
    libc::F_GETFL.cast_unsigned(),
    libc::F_SETFL.cast_unsigned(),
    libc::F_GETFD.cast_unsigned(),
    libc::F_SETFD.cast_unsigned(),
    libc::F_DUPFD_CLOEXEC.cast_unsigned(),
    libc::F_ADD_SEALS.cast_unsigned(),
    libc::F_GET_SEALS.cast_unsigned(),
];

/// The list.
const RULES: &[Rule] = rules! {
    // Memory and threads of this process.
    SYS_mmap Without(2, PROT_EXEC), "memory of the allocator, stacks of threads; never executable";
    SYS_mprotect Without(2, PROT_EXEC), "guard pages; never executable";
    SYS_munmap Any, "gives memory back";
    SYS_mremap Any, "grows large allocations";
    SYS_madvise Any, "gives memory back";
    SYS_brk Any, "memory of the allocator";
    SYS_clone OneOf(0, &[THREAD]), "threads of this process, never processes";
    SYS_clone3 Any, "answered with ENOSYS by the other filter";
    SYS_set_robust_list Any, "start of a thread";
    SYS_rseq Any, "start of a thread";
    SYS_sigaltstack Any, "start and end of a thread";
    SYS_prctl OneOf(0, &[libc::PR_SET_NAME.cast_unsigned(), PR_GET_AUXV, libc::PR_SET_PDEATHSIG.cast_unsigned()]),
        "names threads; finds the vDSO; lives on without who started it";
    SYS_gettid Any, "start of a thread";
    SYS_getpid Any, "signals to threads of this process";
    SYS_exit Any, "end of a thread";
    SYS_exit_group Any, "end of the sandbox";
    SYS_futex Any, "locks";
    SYS_sched_yield Any, "locks";
    SYS_sched_getaffinity Any, "placement of threads, number of processors";
    SYS_sched_setaffinity Any, "placement of threads and of stub processes";
    SYS_getcpu Any, "placement of threads";
    SYS_rt_sigprocmask Any, "signals of stub processes are taken only while the platform waits";
    SYS_rt_sigaction Any, "end by a panic";
    SYS_rt_sigreturn Any, "end of a signal handler";
    SYS_tgkill Any, "passes on signals of stub processes; end by a panic";
    SYS_restart_syscall Any, "after a signal";
    SYS_getrandom Any, "the guest's random numbers";
    SYS_clock_gettime Any, "clocks, where the host's vDSO does not have them; processor time of stub processes";
    SYS_clock_nanosleep Any, "waits of control threads";
    SYS_sysinfo Any, "the size of the host's memory";

    // Guest code.
    SYS_ptrace OneOf(0, PTRACE_REQUESTS), "runs the stub processes that are traced since the start; no attaching";
    SYS_wait4 Any, "stops of stub processes";
    SYS_kill OneOf(1, &[libc::SIGKILL.cast_unsigned(), libc::SIGUSR1.cast_unsigned()]), "ends stub processes, or stops their guest code";
    SYS_process_vm_readv Any, "guest memory";
    SYS_process_vm_writev Any, "guest memory";

    // Descriptors that were handed in, and memory files.
    SYS_read Any, "files, pipes and sockets of containers; event descriptors";
    SYS_write Any, "files, pipes and sockets of containers; event descriptors; the log";
    SYS_readv Any, "as read";
    SYS_writev Any, "as write";
    SYS_pread64 Any, "files of containers";
    SYS_pwrite64 Any, "files of containers; the page of clock offsets";
    SYS_preadv Any, "files of containers";
    SYS_pwritev Any, "files of containers";
    SYS_preadv2 Any, "files of containers";
    SYS_pwritev2 Any, "files of containers";
    SYS_lseek Any, "holes in files of containers";
    SYS_fstat Any, "attributes of descriptors";
    SYS_newfstatat With(3, libc::AT_EMPTY_PATH.cast_unsigned()), "attributes of descriptors; no paths";
    SYS_statx With(2, libc::AT_EMPTY_PATH.cast_unsigned()), "attributes of descriptors; no paths";
    SYS_fstatfs Any, "attributes of file systems of containers";
    SYS_ftruncate Any, "files of containers; memory files";
    SYS_fallocate Any, "files of containers; holes in memory files";
    SYS_fsync Any, "files of containers";
    SYS_fdatasync Any, "files of containers";
    SYS_sync_file_range Any, "files of containers";
    SYS_copy_file_range Any, "files of containers";
    SYS_sendfile Any, "files of containers";
    SYS_memfd_create Any, "files of tmpfs, shared memory";
    SYS_fcntl OneOf(1, FCNTL_COMMANDS), "flags and copies of descriptors; seals of memory files";
    SYS_ioctl OneOf(1, IOCTLS), "terminals that were handed in; non-blocking mode; pages of a stub process, by a descriptor that was handed in";
    SYS_close Any, "gives descriptors back";

    // Waiting, and the sockets of control, gofers and the platform.
    SYS_ppoll Any, "waits for events and stub processes";
    SYS_poll Any, "waits of control threads";
    SYS_epoll_create1 Any, "the table of watched descriptors";
    SYS_epoll_ctl Any, "the table of watched descriptors";
    SYS_epoll_wait Any, "the table of watched descriptors";
    SYS_epoll_pwait Any, "the table of watched descriptors";
    SYS_eventfd2 Any, "wakes the platform's loop";
    SYS_accept4 Any, "connections to the control socket that was handed in";
    SYS_getsockopt Any, "who asks at the control socket";
    SYS_recvmsg Any, "requests, and descriptors that the runtime or a gofer hands in";
    SYS_sendmsg Any, "answers; descriptors to map, for helpers";
    SYS_recvfrom Any, "as recvmsg";
    SYS_sendto Any, "as sendmsg";
    SYS_shutdown Any, "end of a connection";
};

/// Installs the filter for all threads of the process.
///
/// # Errors
///
/// The host's; the sandbox must not go on.
pub(crate) fn install() -> Result<(), FilterError> {
    // `rustix` looks for the auxiliary vector when it first needs it, on older hosts in a file.
    let _ = rustix::param::page_size();
    seccompiler::apply_filter_all_threads(&without_clone3()?)?;
    seccompiler::apply_filter_all_threads(&allow_list()?)?;
    Ok(())
}

/// Writes the list, as `cloister-boot --print-filter` shows it.
pub(crate) fn print(out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "{:<20} {:<44} reason", "call", "only if")?;
    for rule in RULES {
        let name = rule.name.trim_start_matches("SYS_");
        writeln!(out, "{name:<20} {:<44} {}", rule.check.to_string(), rule.reason)?;
    }
    writeln!(out, "{:<20} {:<44} the process is killed", "any other", "")
}

fn allow_list() -> Result<BpfProgram, BackendError> {
    let rules = RULES.iter().map(|rule| Ok((rule.number, rule.check.to_rules()?)));
    let rules = rules.collect::<Result<BTreeMap<_, _>, BackendError>>()?;
    SeccompFilter::new(rules, SeccompAction::KillProcess, SeccompAction::Allow, TargetArch::x86_64)?
        .try_into()
}

fn without_clone3() -> Result<BpfProgram, BackendError> {
    let rules = BTreeMap::from([(libc::SYS_clone3, vec![])]);
    let refuse = SeccompAction::Errno(libc::ENOSYS.cast_unsigned());
    SeccompFilter::new(rules, SeccompAction::Allow, refuse, TargetArch::x86_64)?.try_into()
}

impl Check {
    fn to_rules(self) -> Result<Vec<SeccompRule>, BackendError> {
        let rule = |index, operator, value: u32| {
            let condition =
                SeccompCondition::new(index, SeccompCmpArgLen::Dword, operator, u64::from(value))?;
            SeccompRule::new(vec![condition])
        };
        match self {
            Any => Ok(vec![]),
            OneOf(index, values) => {
                values.iter().map(|value| rule(index, SeccompCmpOp::Eq, *value)).collect()
            }
            Without(index, mask) => Ok(vec![rule(index, SeccompCmpOp::MaskedEq(u64::from(mask)), 0)?]),
            With(index, mask) => Ok(vec![rule(index, SeccompCmpOp::MaskedEq(u64::from(mask)), mask)?]),
        }
    }
}

impl std::fmt::Display for Check {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Any => Ok(()),
            OneOf(index, values) => write!(f, "argument {index} in {values:x?}"),
            Without(index, mask) => write!(f, "argument {index} without {mask:#x}"),
            With(index, mask) => write!(f, "argument {index} with {mask:#x}"),
        }
    }
}

#[cfg(test)]
mod tests;
