//! Facts about the system, and calls that a container's programs may make but not do anything with: `sysinfo(2)`,
//! `getrandom(2)`, `personality(2)`, `syslog(2)`, `unshare(2)`, `setns(2)`.

use zerocopy::{Immutable, IntoBytes};

use super::{Address, Fd, Int, Size, UInt, ULong};
use crate::fs::{FdTable, FsContext, Sink};
use crate::prelude::*;
use crate::rand;
use crate::task::{Capabilities, CloneFlags, UtsNamespace};

/// `struct sysinfo`.
#[derive(Clone, Copy, Debug, Default, IntoBytes, Immutable)]
#[repr(C)]
struct SysInfo {
    uptime: i64,
    loads: [u64; 3],
    total_ram: u64,
    free_ram: u64,
    shared_ram: u64,
    buffer_ram: u64,
    total_swap: u64,
    free_swap: u64,
    processes: u16,
    padding: u16,
    padding_2: u32,
    total_high: u64,
    free_high: u64,
    unit: u32,
    padding_3: u32,
}

/// Handles `sysinfo(info)`.
pub(super) fn sys_sysinfo(cx: &mut SyscallCx<'_>, info: Address) -> SyscallResult {
    let kernel = cx.kernel();
    let processes = kernel.processes.lock().tasks().count();
    let free = rustix::system::sysinfo();
    let free_bytes = u64::from(free.mem_unit).saturating_mul(free.freeram);
    let value = SysInfo {
        uptime: i64::try_from(kernel.clock.boottime().as_secs()).unwrap_or(i64::MAX),
        total_ram: kernel.options.memory_bytes,
        free_ram: free_bytes.min(kernel.options.memory_bytes),
        processes: u16::try_from(processes).unwrap_or(u16::MAX),
        unit: 1,
        ..SysInfo::default()
    };
    cx.memory().write(info, &value)?;
    Ok(Outcome::OK)
}

/// Handles `getrandom(buf, count, flags)`: all flags give the same, since the host's generator is seeded long ago.
pub(super) fn sys_getrandom(cx: &mut SyscallCx<'_>, buf: Address, count: Size, flags: UInt) -> SyscallResult {
    const GRND_RANDOM: UInt = 2;
    const GRND_INSECURE: UInt = 4;
    const MAX_BYTES: usize = (32 << 20) - 1;
    if flags & !7 != 0 || flags & (GRND_RANDOM | GRND_INSECURE) == GRND_RANDOM | GRND_INSECURE {
        return Err(fail(errno::EINVAL, "unknown or contradictory `flags`"));
    }
    let mut sink = cx.memory().sink(buf, count.min(MAX_BYTES));
    let mut done = 0;
    let mut chunk = [0; 4096];
    while sink.remaining() > 0 {
        let len = sink.remaining().min(chunk.len());
        let part = chunk.get_mut(..len).unwrap_or_default();
        rand::fill(part);
        match sink.write(part) {
            Ok(written) => done += written,
            Err(_) if done > 0 => break,
            Err(errno) => return Err(fail(errno, "`buf` can't be written")),
        }
    }
    Ok(done.into())
}

/// Handles `personality(persona)`: returns the one before; 0xffffffff leaves it.
///
/// `ADDR_NO_RANDOMIZE` has its effect with the next program; the other bits are recorded only.
pub(super) fn sys_personality(cx: &mut SyscallCx<'_>, persona: UInt) -> SyscallResult {
    let mut attributes = cx.task.attributes.lock();
    let before = attributes.personality;
    if persona != UInt::MAX {
        attributes.personality = persona;
    }
    Ok(before.into())
}

/// Handles `syslog(action, buf, len)`: the sandbox's kernel log is the operator's, and empty for the guest.
pub(super) fn sys_syslog(cx: &mut SyscallCx<'_>, action: Int, _buf: Address, len: Int) -> SyscallResult {
    const READ: Int = 2;
    const READ_ALL: Int = 3;
    const READ_CLEAR: Int = 4;
    if !cx.credentials().has(Capabilities::SYSLOG) {
        return Err(fail(errno::EPERM, "the caller lacks `CAP_SYSLOG`"));
    }
    match action {
        READ..=READ_CLEAR if len < 0 => Err(fail(errno::EINVAL, "`len` is negative")),
        READ => Err(cx.park(None, Restart::Sys)),
        0..=1 | READ_ALL..=10 => Ok(Outcome::OK),
        _ => Err(fail(errno::EINVAL, "unknown `action`")),
    }
}

/// Handles `unshare(flags)`: descriptors, the file system context, mounts and host names; other new namespaces are
/// refused.
pub(super) fn sys_unshare(cx: &mut SyscallCx<'_>, raw_flags: ULong) -> SyscallResult {
    let known = CloneFlags::NAMESPACES
        | CloneFlags::FILES
        | CloneFlags::FS
        | CloneFlags::VM
        | CloneFlags::SIGHAND
        | CloneFlags::THREAD
        | CloneFlags::SYSVSEM;
    let flags = CloneFlags::from_bits(raw_flags).filter(|flags| known.contains(*flags));
    let flags = flags.ok_or(fail(errno::EINVAL, "unknown flags"))?;
    flags.check_namespaces(&cx.credentials())?;
    let tasks =
        cx.kernel().processes.lock().process(cx.group().tgid()).map_or(1, |process| process.tasks.len());
    if tasks > 1 && flags.intersects(CloneFlags::VM | CloneFlags::SIGHAND | CloneFlags::THREAD) {
        return Err(fail(errno::EINVAL, "the process has several threads"));
    }
    if flags.contains(CloneFlags::FILES) {
        let files = Arc::new(FdTable::copy_of(cx.files()));
        let shared = std::mem::replace(&mut cx.run.files, Arc::clone(&files));
        cx.task.parts().files = Some(files);
        drop(shared);
    }
    if flags.intersects(CloneFlags::FS | CloneFlags::NEWNS) {
        let fs = Arc::new(FsContext::copy_of(&cx.task.fs()));
        if flags.contains(CloneFlags::NEWNS) {
            fs.unshare_namespace();
        }
        cx.task.parts().fs = fs;
    }
    if flags.contains(CloneFlags::NEWUTS) {
        let names = cx.task.uts().names();
        cx.task.parts().uts = Arc::new(UtsNamespace::new(names));
    }
    Ok(Outcome::OK)
}

/// Handles `setns(fd, flags)`: there are no other namespaces.
pub(super) fn sys_setns(cx: &mut SyscallCx<'_>, fd: Fd, _flags: Int) -> SyscallResult {
    cx.any_file(fd)?;
    Err(fail(errno::EINVAL, "not a namespace"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sysinfo_has_its_size() {
        assert_eq!(size_of::<SysInfo>(), 112);
    }
}
