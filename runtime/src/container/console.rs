//! A terminal for a container, whose master end goes to the caller over a socket.
//!
//! Source of behaviour: `runc`'s `docs/terminals.md`, "Detached": the caller listens on a unix stream socket, and gets one
//! message with the master's descriptor.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

use oci_spec::runtime::Process;
use rustix::io::ioctl_fionbio;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use super::ContainerError;

/// Both ends of a terminal.
#[derive(Debug)]
pub struct Console {
    /// The caller's end.
    pub master: OwnedFd,
    /// The container's end.
    pub terminal: OwnedFd,
}

impl Console {
    /// Makes a terminal of the size that the process asks for.
    ///
    /// # Errors
    ///
    /// The system's: no more terminals.
    pub fn new(process: Option<&Process>) -> Result<Self, ContainerError> {
        let fail = |errno: rustix::io::Errno| failed("make a terminal".into())(errno.into());
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = openpt(flags).map_err(fail)?;
        unlockpt(&master).map_err(fail)?;
        let terminal = ioctl_tiocgptpeer(&master, flags).map_err(fail)?;
        // Nobody but the sandbox's kernel has this end, and it must never wait in the host's: for a terminal there is no
        // other way to write just what there is room for.
        ioctl_fionbio(&terminal, true).map_err(fail)?;
        if let Some(size) = process.and_then(|process| process.console_size()) {
            let rows = u16::try_from(size.height()).unwrap_or(u16::MAX);
            let columns = u16::try_from(size.width()).unwrap_or(u16::MAX);
            let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
            tcsetwinsize(&terminal, size).map_err(fail)?;
        }
        Ok(Self { master, terminal })
    }

    /// Sends the master end to the listener at `socket`, and keeps the container's.
    ///
    /// # Errors
    ///
    /// The system's: nobody listens.
    pub fn send(self, socket: &Path) -> Result<OwnedFd, ContainerError> {
        let action = || format!("send the terminal to --console-socket {}", socket.display());
        let stream = UnixStream::connect(socket).map_err(|error| failed(action())(error))?;
        let master = [self.master.as_fd()];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        ancillary.push(SendAncillaryMessage::ScmRights(&master));
        sendmsg(&stream, &[IoSlice::new(b"terminal")], &mut ancillary, SendFlags::NOSIGNAL)
            .map_err(|errno| failed(action())(errno.into()))?;
        Ok(self.terminal)
    }
}

fn failed(action: String) -> impl FnOnce(io::Error) -> ContainerError {
    move |source| ContainerError::Console { action, source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
    use std::os::unix::net::UnixListener;

    #[test]
    fn the_master_end_goes_over_the_socket() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("console");
        let listener = UnixListener::bind(&path).unwrap();
        let terminal = Console::new(None).unwrap().send(&path).unwrap();
        let (stream, _) = listener.accept().unwrap();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut bytes = [0; 16];
        recvmsg(&stream, &mut [io::IoSliceMut::new(&mut bytes)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)
            .unwrap();
        let Some(RecvAncillaryMessage::ScmRights(mut rights)) = ancillary.drain().next() else {
            panic!("no rights")
        };
        let master = rights.next().unwrap();
        rustix::io::write(&terminal, b"hello").unwrap();
        assert_eq!(rustix::io::read(&master, &mut bytes).unwrap(), 5);
    }

    #[test]
    fn a_terminal_that_nobody_reads_does_not_block() {
        let console = Console::new(None).unwrap();
        let full = std::iter::repeat_with(|| rustix::io::write(&console.terminal, b"line\n"));
        assert_eq!(full.take(1 << 20).find_map(Result::err), Some(rustix::io::Errno::AGAIN));
    }

    #[test]
    fn a_missing_listener_is_told() {
        let error =
            Console::new(None).unwrap().send(Path::new("/nonexistent/socket")).unwrap_err().to_string();
        assert!(error.contains("--console-socket /nonexistent/socket: No such file"), "{error}");
    }
}
