//! Connections and listeners that block, or are polled.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use rustix::io::{Errno, retry_on_intr};
use rustix::net::sockopt::{Timeout, set_socket_timeout, socket_type};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, connect,
    listen, recvmsg, sendmsg, socket_with, socketpair,
};

use super::TransportError;
use super::frame::{Frame, MAX_DESCRIPTORS, MAX_PACKET, decode_packet};
use crate::codec::{Decode, Encode};

/// One end of a connection.
#[derive(Debug)]
pub struct Connection {
    socket: OwnedFd,
}

/// What [`Connection::try_receive`] found.
#[derive(Debug)]
pub enum Received<M> {
    /// A message with its descriptors.
    Message(M, Vec<OwnedFd>),
    /// Nothing yet.
    Nothing,
    /// The peer has closed its end.
    Closed,
}

impl Connection {
    /// Connects to the listener at `path`.
    ///
    /// # Errors
    ///
    /// The system's: no such socket, nobody listens, no permission, a path above 107 bytes.
    pub fn connect(path: &Path) -> Result<Self, TransportError> {
        let address = SocketAddrUnix::new(path).map_err(TransportError::io("use the socket's path"))?;
        let socket = new_socket()?;
        retry_on_intr(|| connect(&socket, &address)).map_err(TransportError::io("connect"))?;
        Ok(Self { socket })
    }

    /// Takes over a connected socket, such as one inherited or received.
    ///
    /// # Errors
    ///
    /// [`TransportError::WrongSocketType`] if it is not a sequenced-packet socket.
    pub fn from_fd(socket: OwnedFd) -> Result<Self, TransportError> {
        Ok(Self { socket: checked(socket)? })
    }

    /// Makes two connected ends.
    ///
    /// # Errors
    ///
    /// The system's: no free descriptors.
    pub fn pair() -> Result<(Self, Self), TransportError> {
        let (a, b) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
            .map_err(TransportError::io("make a socket pair"))?;
        Ok((Self { socket: a }, Self { socket: b }))
    }

    /// Limits how long [`receive`](Self::receive) waits; `None` is for ever.
    ///
    /// # Errors
    ///
    /// The system's: a zero time-out.
    pub fn set_receive_timeout(&self, timeout: Option<Duration>) -> Result<(), TransportError> {
        set_socket_timeout(&self.socket, Timeout::Recv, timeout).map_err(TransportError::io("set a time-out"))
    }

    /// Sends a message and descriptors, which stay open here.
    ///
    /// # Errors
    ///
    /// More than [`MAX_DESCRIPTORS`] descriptors, an encoding above the limit, or the system's error; `EPIPE` when the
    /// peer has closed its end.
    pub fn send<M: Encode>(&self, message: &M, descriptors: &[BorrowedFd<'_>]) -> Result<(), TransportError> {
        match send_to(self.as_fd(), &Frame::encode(message)?, descriptors, SendFlags::empty())? {
            Sent::Yes => Ok(()),
            Sent::NotYet => {
                Err(TransportError::Io { action: "send a message", source: io::ErrorKind::WouldBlock.into() })
            }
        }
    }

    /// Waits for the next message and its descriptors; `None` when the peer has closed its end.
    ///
    /// The descriptors are closed on exec.
    ///
    /// # Errors
    ///
    /// A packet that does not keep to the protocol, or the system's error; `EAGAIN` after the time-out.
    pub fn receive<M: Decode<()>>(&self) -> Result<Option<(M, Vec<OwnedFd>)>, TransportError> {
        match receive_from(self.as_fd(), RecvFlags::empty())? {
            Received::Message(message, descriptors) => Ok(Some((message, descriptors))),
            Received::Closed => Ok(None),
            Received::Nothing => Err(TransportError::Io {
                action: "receive a message",
                source: io::ErrorKind::TimedOut.into(),
            }),
        }
    }

    /// Takes the next message if there is one, and does not wait for it.
    ///
    /// # Errors
    ///
    /// As [`receive`](Self::receive).
    pub fn try_receive<M: Decode<()>>(&self) -> Result<Received<M>, TransportError> {
        receive_from(self.as_fd(), RecvFlags::DONTWAIT)
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl From<Connection> for OwnedFd {
    fn from(connection: Connection) -> Self {
        connection.socket
    }
}

/// A socket at which connections arrive.
#[derive(Debug)]
pub struct Listener {
    socket: OwnedFd,
}

impl Listener {
    /// Binds to `path`, which must not exist yet. Its mode is set by the umask.
    ///
    /// # Errors
    ///
    /// The system's: the path exists, is above 107 bytes, or its folder cannot be written.
    pub fn bind(path: &Path) -> Result<Self, TransportError> {
        let address = SocketAddrUnix::new(path).map_err(TransportError::io("use the socket's path"))?;
        let socket = new_socket()?;
        bind(&socket, &address).map_err(TransportError::io("bind the socket"))?;
        listen(&socket, 128).map_err(TransportError::io("listen"))?;
        Ok(Self { socket })
    }

    /// Takes over a listening socket, such as one inherited.
    ///
    /// # Errors
    ///
    /// [`TransportError::WrongSocketType`] if it is not a sequenced-packet socket.
    pub fn from_fd(socket: OwnedFd) -> Result<Self, TransportError> {
        Ok(Self { socket: checked(socket)? })
    }

    /// Waits for the next connection.
    ///
    /// # Errors
    ///
    /// The system's: no free descriptors; `EAGAIN` if the socket was set non-blocking and nobody waits.
    pub fn accept(&self) -> Result<Connection, TransportError> {
        let socket = retry_on_intr(|| accept_with(&self.socket, SocketFlags::CLOEXEC))
            .map_err(TransportError::io("accept a connection"))?;
        Ok(Connection { socket })
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl From<Listener> for OwnedFd {
    fn from(listener: Listener) -> Self {
        listener.socket
    }
}

/// Whether a packet was sent.
pub(super) enum Sent {
    Yes,
    /// The socket's buffer is full.
    NotYet,
}

/// Sends a packet.
pub(super) fn send_to(
    socket: BorrowedFd<'_>,
    frame: &Frame,
    descriptors: &[BorrowedFd<'_>],
    flags: SendFlags,
) -> Result<Sent, TransportError> {
    let mut all = descriptors.to_vec();
    all.extend(frame.memory_file.as_ref().map(AsFd::as_fd));
    if all.len() > MAX_DESCRIPTORS {
        return Err(TransportError::TooManyDescriptors(all.len()));
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !all.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(&all)) {
        return Err(TransportError::TooManyDescriptors(all.len()));
    }
    let packet = [IoSlice::new(&frame.packet)];
    match retry_on_intr(|| sendmsg(socket, &packet, &mut ancillary, flags | SendFlags::NOSIGNAL)) {
        Ok(_) => Ok(Sent::Yes),
        Err(Errno::AGAIN) => Ok(Sent::NotYet),
        Err(errno) => Err(TransportError::io("send a message")(errno)),
    }
}

/// Receives a packet.
pub(super) fn receive_from<M: Decode<()>>(
    socket: BorrowedFd<'_>,
    flags: RecvFlags,
) -> Result<Received<M>, TransportError> {
    let mut packet = vec![0; MAX_PACKET];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let result = retry_on_intr(|| {
        let mut buffers = [IoSliceMut::new(&mut packet)];
        recvmsg(socket, &mut buffers, &mut ancillary, flags | RecvFlags::CMSG_CLOEXEC)
    });
    let received = match result {
        Ok(received) => received,
        Err(Errno::AGAIN) => return Ok(Received::Nothing),
        Err(Errno::CONNRESET) => return Ok(Received::Closed),
        Err(errno) => return Err(TransportError::io("receive a message")(errno)),
    };
    // Taken out before any check, so that they are closed whatever becomes of the packet.
    let mut descriptors = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    if received.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
        return Err(TransportError::Truncated);
    }
    if received.bytes == 0 {
        return Ok(Received::Closed);
    }
    let message = decode_packet(packet.get(..received.bytes).unwrap_or_default(), &mut descriptors)?;
    Ok(Received::Message(message, descriptors))
}

fn new_socket() -> Result<OwnedFd, TransportError> {
    socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
        .map_err(TransportError::io("make a socket"))
}

fn checked(socket: OwnedFd) -> Result<OwnedFd, TransportError> {
    match socket_type(&socket) {
        Ok(SocketType::SEQPACKET) => Ok(socket),
        _ => Err(TransportError::WrongSocketType),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::io::{FdFlags, fcntl_getfd, read, write};
    use rustix::net::send;
    use rustix::pipe::pipe;

    #[test]
    fn descriptors_travel_and_are_closed_on_exec() {
        let (a, b) = Connection::pair().unwrap();
        let (reader, writer) = pipe().unwrap();
        a.send(&42u32, &[writer.as_fd()]).unwrap();
        let (message, descriptors) = b.receive::<u32>().unwrap().unwrap();
        assert_eq!((message, descriptors.len()), (42, 1));
        let received = descriptors.first().unwrap();
        assert!(fcntl_getfd(received).unwrap().contains(FdFlags::CLOEXEC));
        write(received, b"x").unwrap();
        assert_eq!(read(&reader, &mut [0; 8]).unwrap(), 1);
    }

    #[test]
    fn large_messages_travel_in_a_memory_file() {
        let (a, b) = Connection::pair().unwrap();
        let (_reader, writer) = pipe().unwrap();
        let large = vec![7u8; 3 * MAX_PACKET];
        a.send(&large, &[writer.as_fd()]).unwrap();
        let (message, descriptors) = b.receive::<Vec<u8>>().unwrap().unwrap();
        assert_eq!((message, descriptors.len()), (large, 1));
    }

    #[test]
    fn tells_silence_from_the_end() {
        let (a, b) = Connection::pair().unwrap();
        assert!(matches!(b.try_receive::<u32>().unwrap(), Received::Nothing));
        b.set_receive_timeout(Some(Duration::from_millis(1))).unwrap();
        let error = b.receive::<u32>().unwrap_err();
        assert!(
            matches!(error, TransportError::Io { source, .. } if source.kind() == io::ErrorKind::TimedOut)
        );
        drop(a);
        assert!(matches!(b.try_receive::<u32>().unwrap(), Received::Closed));
        assert!(b.receive::<u32>().unwrap().is_none());
    }

    #[test]
    fn refuses_what_does_not_fit() {
        let (a, b) = Connection::pair().unwrap();
        send(&a, &vec![1; MAX_PACKET + 1], SendFlags::empty()).unwrap();
        assert!(matches!(b.receive::<u32>(), Err(TransportError::Truncated)));
        let many = vec![a.as_fd(); MAX_DESCRIPTORS + 1];
        assert!(matches!(a.send(&1u8, &many), Err(TransportError::TooManyDescriptors(65))));
    }

    #[test]
    fn refuses_sockets_of_another_type() {
        let (a, _b) =
            socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
        assert!(matches!(Connection::from_fd(a), Err(TransportError::WrongSocketType)));
    }
}
