//! The system calls that serving needs, and a filter that kills the process at any other (`seccomp(2)`).

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch, apply_filter,
};

/// A condition on an argument of a call: its position, and what it must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Argument {
    /// Any arguments.
    Any,
    /// The 32-bit argument at this position equals this value.
    Equals(u8, u64),
    /// The argument at this position has none of these bits.
    Lacks(u8, u64),
}

/// A system call that is allowed.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// Its name.
    pub name: &'static str,
    /// Its number.
    pub number: i64,
    /// With which arguments.
    pub argument: Argument,
    /// What it is needed for.
    pub reason: &'static str,
}

/// Why the filter could not be installed.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    /// The rules do not make a filter.
    #[error("cannot compile the system call filter")]
    Compile(#[from] seccompiler::BackendError),
    /// The kernel refused it.
    #[error("cannot install the system call filter")]
    Install(#[from] seccompiler::Error),
}

macro_rules! rules {
    ($($name:ident $number:ident $argument:expr, $reason:literal;)*) => {
        &[$(Rule {
            name: stringify!($name),
            number: libc::$number,
            argument: $argument,
            reason: $reason,
        }),*]
    };
}

use Argument::{Any, Equals, Lacks};

/// `PROT_EXEC`: nothing of ours is made executable after start-up.
const EXEC: u64 = libc::PROT_EXEC as u64;

/// All rules, and the reason for each.
pub fn rules() -> &'static [Rule] {
    rules! {
        recvmsg SYS_recvmsg Any, "requests";
        sendmsg SYS_sendmsg Any, "answers, and descriptors with them";
        poll SYS_poll Any, "to wait for several clients";
        ppoll SYS_ppoll Any, "what poll is on some architectures";
        accept4 SYS_accept4 Any, "clients of listening sockets";
        openat2 SYS_openat2 Any, "to find and open what is served";
        statx SYS_statx Any, "attributes";
        close SYS_close Any, "to close files";
        readlinkat SYS_readlinkat Any, "symbolic links";
        getdents64 SYS_getdents64 Any, "listings";
        lseek SYS_lseek Any, "to go on with a listing";
        fstatfs SYS_fstatfs Any, "statfs of a guest";
        pread64 SYS_pread64 Any, "reads of clients that get no descriptors";
        pwrite64 SYS_pwrite64 Any, "writes of clients that get no descriptors";
        fsync SYS_fsync Any, "fsync of a guest";
        fdatasync SYS_fdatasync Any, "fdatasync of a guest";
        syncfs SYS_syncfs Any, "sync of a guest";
        sched_setaffinity SYS_sched_setaffinity Equals(0, 0), "to run where the kernel does";
        ftruncate SYS_ftruncate Any, "truncate of a guest";
        fchmodat2 SYS_fchmodat2 Any, "chmod of a guest";
        fchownat SYS_fchownat Any, "chown of a guest, and the owner of new files";
        utimensat SYS_utimensat Any, "utimensat of a guest";
        mkdirat SYS_mkdirat Any, "mkdir of a guest";
        mknodat SYS_mknodat Any, "mknod of a guest";
        symlinkat SYS_symlinkat Any, "symlink of a guest";
        linkat SYS_linkat Any, "link of a guest";
        unlinkat SYS_unlinkat Any, "unlink and rmdir of a guest";
        renameat2 SYS_renameat2 Any, "rename of a guest";
        fgetxattr SYS_fgetxattr Any, "getxattr of a guest";
        fsetxattr SYS_fsetxattr Any, "setxattr of a guest";
        flistxattr SYS_flistxattr Any, "listxattr of a guest";
        fremovexattr SYS_fremovexattr Any, "removexattr of a guest";
        fcntl SYS_fcntl Equals(1, libc::F_OFD_SETLK as u64), "locks of clients that get no descriptors";
        fcntl SYS_fcntl Equals(1, libc::F_OFD_GETLK as u64), "questions about such locks";
        fcntl SYS_fcntl Equals(1, libc::F_GETFD as u64), "debug builds check descriptors as they close them";
        write SYS_write Any, "the log";
        brk SYS_brk Any, "memory";
        mmap SYS_mmap Lacks(2, EXEC), "memory";
        mremap SYS_mremap Any, "memory";
        munmap SYS_munmap Any, "memory";
        madvise SYS_madvise Any, "memory";
        futex SYS_futex Any, "the lock of the log";
        getrandom SYS_getrandom Any, "the seed of hash tables";
        clock_gettime SYS_clock_gettime Any, "times in the log, where the vDSO cannot tell";
        restart_syscall SYS_restart_syscall Any, "poll after the process was stopped";
        rt_sigreturn SYS_rt_sigreturn Any, "return from the handler of stack overflows";
        rt_sigaction SYS_rt_sigaction Any, "that handler, to die of the signal after its message";
        sigaltstack SYS_sigaltstack Any, "that handler's stack, given back at exit";
        rt_sigprocmask SYS_rt_sigprocmask Any, "abort after a panic";
        getpid SYS_getpid Any, "abort after a panic";
        gettid SYS_gettid Any, "abort after a panic";
        tgkill SYS_tgkill Equals(2, libc::SIGABRT as u64), "abort after a panic";
        exit_group SYS_exit_group Any, "the end";
    }
}

/// Installs the filter.
pub fn install() -> Result<(), FilterError> {
    apply_filter(&compile()?)?;
    Ok(())
}

fn compile() -> Result<BpfProgram, FilterError> {
    let mut by_number: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    for rule in rules() {
        let alternatives = by_number.entry(rule.number).or_default();
        let condition = match rule.argument {
            // No alternatives at all mean that any arguments will do.
            Any => continue,
            Equals(index, value) => {
                SeccompCondition::new(index, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value)?
            }
            Lacks(index, mask) => {
                SeccompCondition::new(index, SeccompCmpArgLen::Qword, SeccompCmpOp::MaskedEq(mask), 0)?
            }
        };
        alternatives.push(SeccompRule::new(vec![condition])?);
    }
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    let filter = SeccompFilter::new(by_number, SeccompAction::KillProcess, SeccompAction::Allow, arch)?;
    Ok(filter.try_into()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_make_a_filter() {
        assert!(compile().unwrap().len() > rules().len());
    }

    #[test]
    fn calls_with_conditions_are_not_allowed_without() {
        for rule in rules().iter().filter(|rule| rule.argument != Any) {
            let same = rules().iter().filter(|other| other.number == rule.number);
            assert!(same.clone().all(|other| other.argument != Any), "{}", rule.name);
        }
    }

    #[test]
    fn ways_out_are_closed() {
        let allowed: Vec<_> = rules().iter().map(|rule| rule.name).collect();
        for name in
            ["execve", "open", "openat", "ptrace", "mount", "socket", "connect", "clone", "fork", "kill"]
        {
            assert!(!allowed.contains(&name), "{name}");
        }
    }
}
