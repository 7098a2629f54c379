//! `Tlock` and `Tgetlock`, on the host's locks of open file descriptions (`fcntl(2)`, `F_OFD_SETLK`).

use cloister_9p::base::getlock::{Rgetlock, Tgetlock};
use cloister_9p::base::lock::{F_RDLCK, F_UNLCK, F_WRLCK, LOCK_BLOCKED, LOCK_SUCCESS, Rlock, Tlock};
use nix::fcntl::{FcntlArg, fcntl};
use rustix::io::Errno;

use crate::Result;
use crate::fid::Open;
use crate::session::{Answer, Session};

impl Session {
    /// Sets or removes a lock, never waiting: a client that wants to wait asks again.
    pub(crate) fn lock(&mut self, request: &Tlock<'_>, answer: &mut Answer<'_>) -> Result<()> {
        let Open::File(fd) = &self.fids.get(request.fid)?.open else { return Err(Errno::BADF) };
        let range = range(request.kind, request.start, request.length)?;
        let status = match fcntl(fd, FcntlArg::F_OFD_SETLK(&range)) {
            Ok(_) => LOCK_SUCCESS,
            Err(nix::errno::Errno::EAGAIN | nix::errno::Errno::EACCES) => LOCK_BLOCKED,
            Err(errno) => return Err(convert(errno)),
        };
        answer.with(&Rlock { status })
    }

    /// Describes a lock that is in the way.
    pub(crate) fn getlock(&mut self, request: &Tgetlock<'_>, answer: &mut Answer<'_>) -> Result<()> {
        let Open::File(fd) = &self.fids.get(request.fid)?.open else { return Err(Errno::BADF) };
        let mut range = range(request.kind, request.start, request.length)?;
        fcntl(fd, FcntlArg::F_OFD_GETLK(&mut range)).map_err(convert)?;
        answer.with(&Rgetlock {
            kind: u8::try_from(range.l_type).unwrap_or(F_UNLCK),
            start: u64::try_from(range.l_start).unwrap_or(0),
            length: u64::try_from(range.l_len).unwrap_or(0),
            proc_id: request.proc_id,
            client_id: request.client_id,
        })
    }
}

/// The host's description of a lock. The protocol's numbers for the kinds are Linux'.
fn range(kind: u8, start: u64, length: u64) -> Result<libc::flock> {
    if !matches!(kind, F_RDLCK | F_WRLCK | F_UNLCK) {
        return Err(Errno::INVAL);
    }
    let offset = |value| i64::try_from(value).map_err(|_| Errno::OVERFLOW);
    Ok(libc::flock {
        l_type: i16::from(kind),
        l_whence: i16::try_from(libc::SEEK_SET).map_err(|_| Errno::INVAL)?,
        l_start: offset(start)?,
        l_len: offset(length)?,
        l_pid: 0,
    })
}

fn convert(errno: nix::errno::Errno) -> Errno {
    Errno::from_raw_os_error(errno as i32)
}
