//! Whether two processes share something (kcmp(2)).

#![expect(unsafe_code, reason = "no crate has the system call")]

use crate::processes::Process;

/// Compares their memory: threads of a kind that the host lists as processes have one in common.
pub(crate) fn is_memory_shared(one: Process, other: Process) -> bool {
    /// `KCMP_VM`.
    const VM: i32 = 1;
    // SAFETY: the call touches no memory.
    unsafe { nix::libc::syscall(nix::libc::SYS_kcmp, one.0, other.0, VM, 0, 0) == 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_has_memory_of_its_own() {
        let mut child = std::process::Command::new("sleep").arg("10").spawn().unwrap();
        let child_process = Process(i32::try_from(child.id()).unwrap());
        assert!(is_memory_shared(Process::own(), Process::own()));
        assert!(!is_memory_shared(Process::own(), child_process));
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
