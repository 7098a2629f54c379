//! The files of `/proc/PID` that hold a value or two.

use super::Subject;
use crate::error::Errno;
use crate::prelude::errno;
use crate::task::{Capabilities, Task};

/// `auxv`: the auxiliary vector of the program.
pub(super) fn auxv(subject: &Subject, reader: &Task) -> Result<Vec<u8>, Errno> {
    let mm = subject.task_for(reader)?.mm();
    Ok(mm.map(|mm| mm.program().auxiliary_vector).unwrap_or_default())
}

/// `uid_map`, `gid_map`: all ids stand for themselves.
pub(super) fn id_map(_subject: &Subject, _reader: &Task) -> Result<Vec<u8>, Errno> {
    Ok(b"         0          0 4294967295\n".to_vec())
}

/// `io`: the kernel does not count.
pub(super) fn io(subject: &Subject, reader: &Task) -> Result<Vec<u8>, Errno> {
    subject.task_for(reader)?;
    let names = ["rchar", "wchar", "syscr", "syscw", "read_bytes", "write_bytes", "cancelled_write_bytes"];
    Ok(names.iter().fold(String::new(), |text, name| text + name + ": 0\n").into_bytes())
}

/// `loginuid`, `sessionid`: nobody has logged in.
pub(super) fn no_login(_subject: &Subject, _reader: &Task) -> Result<Vec<u8>, Errno> {
    Ok(u32::MAX.to_string().into_bytes())
}

/// `oom_score`, `oom_adj`.
pub(super) fn zero(_subject: &Subject, _reader: &Task) -> Result<Vec<u8>, Errno> {
    Ok(b"0\n".to_vec())
}

/// `oom_score_adj`.
pub(super) fn oom_score_adj(subject: &Subject, _reader: &Task) -> Result<Vec<u8>, Errno> {
    Ok(format!("{}\n", subject.group()?.state().oom_score_adj).into_bytes())
}

/// Sets `oom_score_adj`; only who has `CAP_SYS_RESOURCE` can lower it.
pub(super) fn set_oom_score_adj(subject: &Subject, writer: &Task, value: &[u8]) -> Result<(), Errno> {
    let value: i16 =
        std::str::from_utf8(value).ok().and_then(|v| v.trim().parse().ok()).ok_or(errno::EINVAL)?;
    if !(-1000..=1000).contains(&value) {
        return Err(errno::EINVAL);
    }
    let group = subject.group()?;
    let mut state = group.state();
    if value < state.oom_score_adj && !writer.credentials().has(Capabilities::SYS_RESOURCE) {
        return Err(errno::EACCES);
    }
    state.oom_score_adj = value;
    Ok(())
}

/// `personality`.
pub(super) fn personality(subject: &Subject, reader: &Task) -> Result<Vec<u8>, Errno> {
    let personality = subject.task_for(reader)?.attributes.lock().personality;
    Ok(format!("{personality:08x}\n").into_bytes())
}

/// `setgroups`.
pub(super) fn setgroups(_subject: &Subject, _reader: &Task) -> Result<Vec<u8>, Errno> {
    Ok(b"allow\n".to_vec())
}

/// `wchan`: what it waits in is not told by a name of Linux' functions.
pub(super) fn wchan(_subject: &Subject, _reader: &Task) -> Result<Vec<u8>, Errno> {
    Ok(b"0".to_vec())
}
