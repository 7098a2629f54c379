//! Control messages: the form that ancillary data has in guest memory (`cmsg(3)`).

use std::sync::Arc;

use cloister_abi::net;
use zerocopy::{FromBytes, IntoBytes};

use super::{Ancillary, Ucred};
use crate::context::SyscallCx;
use crate::error::{Fail, fail};
use crate::fs::{OpenFile, OpenFlags, anon};
use crate::prelude::{Task, errno};
use crate::syscall::{Address, Fd};
use crate::task::Capabilities;

/// The most bytes of control messages (`/proc/sys/net/core/optmem_max`).
const MAX_BYTES: usize = 128 << 10;

/// The most descriptors of a message (`SCM_MAX_FD`).
const MAX_FILES: usize = 253;

/// The size of `struct cmsghdr`, and the alignment of control messages.
const HEADER_BYTES: usize = 16;
const ALIGNMENT: usize = 8;

/// What is sent with a message.
#[derive(Debug, Default)]
pub(crate) struct Control {
    /// `SCM_RIGHTS`.
    pub(crate) files: Vec<Arc<OpenFile>>,
    /// `SCM_CREDENTIALS`.
    pub(crate) credentials: Option<Ucred>,
}

impl Control {
    /// Reads control messages.
    ///
    /// # Errors
    ///
    /// `EINVAL` for those that are malformed or not for sockets, `EBADF` for descriptors that are not open,
    /// `ETOOMANYREFS` for too many, `EPERM` for credentials that the caller does not have, `ENOBUFS` for too much,
    /// `EFAULT`.
    pub(crate) fn read(cx: &SyscallCx<'_>, address: Address, len: u64) -> Result<Self, Fail> {
        let len = usize::try_from(len).ok().filter(|len| *len <= MAX_BYTES);
        let len = len.ok_or(fail(errno::ENOBUFS, "too much control data"))?;
        let bytes: Vec<u8> = cx.memory().read_array(address, len)?;
        let mut control = Self::default();
        let mut rest = bytes.as_slice();
        while let Some((header, _)) = rest.split_first_chunk::<HEADER_BYTES>() {
            let (len, level, kind) = parse_header(header);
            let len = usize::try_from(len).ok().filter(|len| (HEADER_BYTES..=rest.len()).contains(len));
            let len = len.ok_or(fail(errno::EINVAL, "a control message has a bad length"))?;
            let data = rest.get(HEADER_BYTES..len).unwrap_or_default();
            if level == net::SOL_SOCKET {
                control.add(cx, kind, data)?;
            }
            rest = rest.get(len.next_multiple_of(ALIGNMENT)..).unwrap_or_default();
        }
        Ok(control)
    }

    fn add(&mut self, cx: &SyscallCx<'_>, kind: u32, data: &[u8]) -> Result<(), Fail> {
        match kind {
            net::SCM_RIGHTS => {
                let (fds, _) = data.as_chunks::<4>();
                if self.files.len() + fds.len() > MAX_FILES {
                    return Err(fail(errno::EINVAL, "too many descriptors"));
                }
                for fd in fds {
                    self.files.push(cx.any_file(Fd(i32::from_ne_bytes(*fd)))?);
                }
            }
            net::SCM_CREDENTIALS => {
                let credentials = Ucred::read_from_bytes(data);
                let raw = credentials.map_err(|_| fail(errno::EINVAL, "not credentials"))?;
                let credentials = Ucred { pid: cx.pid(raw.pid), ..raw };
                check_credentials(cx.task, credentials)?;
                self.credentials = Some(credentials);
            }
            _ => return Err(fail(errno::EINVAL, "unknown control message")),
        }
        Ok(())
    }
}

fn parse_header(header: &[u8; HEADER_BYTES]) -> (u64, u32, u32) {
    let [a, b, c, d, e, f, g, h, level @ .., m, n, o, p] = *header;
    (
        u64::from_ne_bytes([a, b, c, d, e, f, g, h]),
        u32::from_ne_bytes(level),
        u32::from_ne_bytes([m, n, o, p]),
    )
}

/// Checks that `task` may say that it is `credentials` (`unix(7)`, `SCM_CREDENTIALS`).
fn check_credentials(task: &Task, credentials: Ucred) -> Result<(), Fail> {
    let own = task.credentials();
    let Ucred { pid, uid, gid } = credentials;
    let is_allowed = (pid == task.group().tgid() || own.has(Capabilities::SYS_ADMIN))
        && ([own.uid, own.euid, own.suid].contains(&uid) || own.has(Capabilities::SETUID))
        && ([own.gid, own.egid, own.sgid].contains(&gid) || own.has(Capabilities::SETGID));
    if is_allowed { Ok(()) } else { Err(fail(errno::EPERM, "not the caller's credentials")) }
}

/// Control messages on their way to the guest.
#[derive(Debug)]
pub(crate) struct ControlWriter {
    bytes: Vec<u8>,
    room: usize,
    /// Whether something found no room (`MSG_CTRUNC`).
    pub(crate) is_truncated: bool,
}

impl ControlWriter {
    /// Makes control messages for a buffer of `room` bytes.
    pub(crate) fn new(room: u64) -> Self {
        let room = usize::try_from(room).unwrap_or(MAX_BYTES).min(MAX_BYTES);
        Self { bytes: Vec::new(), room, is_truncated: false }
    }

    fn left(&self) -> usize {
        self.room.saturating_sub(self.bytes.len())
    }

    /// Adds a message of the level `level`, or the part of it that there is room for.
    pub(crate) fn add(&mut self, level: u32, kind: u32, data: &[u8]) {
        let whole = HEADER_BYTES + data.len();
        let len = whole.min(self.left());
        self.is_truncated |= len < whole;
        let Some(data_len) = len.checked_sub(HEADER_BYTES) else { return };
        self.bytes.extend((len as u64).to_ne_bytes());
        self.bytes.extend(level.to_ne_bytes());
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend(data.get(..data_len).unwrap_or_default());
        let padded = self.bytes.len().next_multiple_of(ALIGNMENT).min(self.room);
        self.bytes.resize(padded, 0);
    }

    /// Gives the caller descriptors of what came with a message, as many as there is room for.
    pub(crate) fn add_files(&mut self, cx: &SyscallCx<'_>, ancillary: &Ancillary, flags: OpenFlags) {
        let room = self.left().saturating_sub(HEADER_BYTES) / size_of::<i32>();
        let files = ancillary.files();
        let mut fds = Vec::new();
        for file in files.iter().take(room) {
            // The caller has no descriptor left: as in Linux the rest is lost.
            let Ok(fd) = anon::install(cx, Arc::clone(file), flags) else { break };
            fds.push(fd);
        }
        self.is_truncated |= fds.len() < files.len();
        if !fds.is_empty() {
            self.add(net::SOL_SOCKET, net::SCM_RIGHTS, fds.as_slice().as_bytes());
        }
    }

    /// Writes them to `address`. Returns how many bytes that are.
    ///
    /// # Errors
    ///
    /// `EFAULT`.
    pub(crate) fn write(&self, cx: &SyscallCx<'_>, address: Address) -> Result<u64, Fail> {
        cx.memory().write_bytes(address, &self.bytes)?;
        Ok(self.bytes.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_aligned_and_cut_off() {
        let mut writer = ControlWriter::new(44);
        writer.add(1, 2, &[1, 2, 3, 4]);
        assert_eq!((writer.bytes.len(), writer.is_truncated), (24, false));
        writer.add(1, 1, &[5; 8]);
        assert_eq!((writer.bytes.len(), writer.is_truncated), (44, true));
        let header = writer.bytes.get(24..40).and_then(|bytes| bytes.first_chunk()).expect("it is there");
        assert_eq!(parse_header(header), (20, 1, 1));
        writer.add(1, 1, &[]);
        assert_eq!(writer.bytes.len(), 44);
    }
}
