//! Connections for asynchronous programs, on `tokio-seqpacket`.
//!
//! They are the same packets by the same code as of [`Connection`](super::Connection); only the waiting differs.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::net::{RecvFlags, SendFlags};
use tokio::io::Interest;
use tokio_seqpacket::UnixSeqpacket;

use super::TransportError;
use super::frame::Frame;
use super::seqpacket::{Connection, Received, Sent, receive_from, send_to};
use crate::codec::{Decode, Encode};

/// One end of a connection, whose operations do not block.
///
/// Sending and receiving can be cancelled: a packet is sent or taken as a whole or not at all.
#[derive(Debug)]
pub struct AsyncConnection {
    socket: UnixSeqpacket,
}

impl AsyncConnection {
    /// Connects to the listener at `path`.
    ///
    /// # Errors
    ///
    /// The system's: no such socket, nobody listens, no permission.
    pub async fn connect(path: &Path) -> Result<Self, TransportError> {
        let socket = UnixSeqpacket::connect(path).await.map_err(failed("connect"))?;
        Ok(Self { socket })
    }

    /// Takes over a connection, within a runtime.
    ///
    /// # Errors
    ///
    /// The system's: the descriptor cannot be watched.
    pub fn new(connection: Connection) -> Result<Self, TransportError> {
        let socket =
            UnixSeqpacket::try_from(OwnedFd::from(connection)).map_err(failed("watch a connection"))?;
        Ok(Self { socket })
    }

    /// Sends a message and descriptors, which stay open here.
    ///
    /// # Errors
    ///
    /// As [`Connection::send`].
    pub async fn send<M: Encode>(
        &self,
        message: &M,
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<(), TransportError> {
        let frame = Frame::encode(message)?;
        let send = || match send_to(self.socket.as_fd(), &frame, descriptors, SendFlags::DONTWAIT) {
            Ok(Sent::NotYet) => Err(io::ErrorKind::WouldBlock.into()),
            Ok(Sent::Yes) => Ok(Ok(())),
            Err(error) => Ok(Err(error)),
        };
        let sent = self.socket.as_async_fd().async_io(Interest::WRITABLE, |_| send()).await;
        sent.map_err(failed("send a message"))?
    }

    /// Waits for the next message and its descriptors; `None` when the peer has closed its end.
    ///
    /// # Errors
    ///
    /// As [`Connection::receive`].
    pub async fn receive<M: Decode<()>>(&self) -> Result<Option<(M, Vec<OwnedFd>)>, TransportError> {
        let receive = || match receive_from(self.socket.as_fd(), RecvFlags::DONTWAIT) {
            Ok(Received::Nothing) => Err(io::ErrorKind::WouldBlock.into()),
            Ok(Received::Message(message, descriptors)) => Ok(Ok(Some((message, descriptors)))),
            Ok(Received::Closed) => Ok(Ok(None)),
            Err(error) => Ok(Err(error)),
        };
        let received = self.socket.as_async_fd().async_io(Interest::READABLE, |_| receive()).await;
        received.map_err(failed("receive a message"))?
    }
}

impl AsFd for AsyncConnection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn failed(action: &'static str) -> impl FnOnce(io::Error) -> TransportError {
    move |source| TransportError::Io { action, source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::Listener;
    use rustix::pipe::pipe;
    use std::time::Duration;

    #[tokio::test]
    async fn talks_to_blocking_peers() {
        let folder = std::env::temp_dir().join(format!("cloister-proto-{}", std::process::id()));
        let listener = Listener::bind(&folder).unwrap();
        let connection = AsyncConnection::connect(&folder).await.unwrap();
        std::fs::remove_file(&folder).unwrap();
        let peer = listener.accept().unwrap();
        let (reader, _writer) = pipe().unwrap();
        connection.send(&7u32, &[reader.as_fd()]).await.unwrap();
        let (message, descriptors) = peer.receive::<u32>().unwrap().unwrap();
        assert_eq!((message, descriptors.len()), (7, 1));
        let nothing = tokio::time::timeout(Duration::from_millis(5), connection.receive::<u32>()).await;
        assert!(nothing.is_err(), "a receive that is cancelled takes nothing");
        peer.send(&8u32, &[]).unwrap();
        assert_eq!(connection.receive::<u32>().await.unwrap().unwrap().0, 8);
        drop(peer);
        assert!(connection.receive::<u32>().await.unwrap().is_none());
    }

    #[tokio::test]
    async fn waits_while_the_peer_does_not_read() {
        let (ours, theirs) = Connection::pair().unwrap();
        let connection = AsyncConnection::new(ours).unwrap();
        let full = vec![0u8; 60_000];
        let flood = async {
            loop {
                connection.send(&full, &[]).await.unwrap();
            }
        };
        assert!(tokio::time::timeout(Duration::from_millis(50), flood).await.is_err());
        // Linux calls a socket writable again only when three quarters of its buffer are free.
        while let Received::Message(message, _) = theirs.try_receive::<Vec<u8>>().unwrap() {
            assert_eq!(message.len(), full.len());
        }
        connection.send(&full, &[]).await.unwrap();
    }
}
