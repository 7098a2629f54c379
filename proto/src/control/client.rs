//! The client's end of a control connection.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use super::{Envelope, Failure, Hello, Method, Request, Response};
use crate::transport::{Connection, Received, TransportError};
use crate::version::{Handshake, Mismatch};

/// A control connection, after the handshake.
///
/// It has no thread of its own: [`call`](Self::call) waits for its reply and puts replies to earlier requests aside;
/// [`start`](Self::start) and [`poll`](Self::poll) do not wait, for clients that poll the descriptor with others.
#[derive(Debug)]
pub struct Client {
    connection: Connection,
    next_id: u64,
    /// Replies that arrived while another was waited for.
    aside: BTreeMap<u64, Response>,
}

/// A request that is not answered yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket(u64);

/// What [`Client::poll`] found.
#[derive(Debug)]
pub enum Event<R> {
    /// The reply.
    Reply(R),
    /// Nothing yet.
    Nothing,
}

/// A request could not be made, or failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The connection failed.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The kernel is of another version.
    #[error(transparent)]
    Version(#[from] Mismatch),
    /// The kernel has closed the connection: the sandbox ended.
    #[error("the sandbox's kernel has closed the control connection")]
    Closed,
    /// The kernel's answer is none that the method can have.
    #[error("the sandbox's kernel gave an unexpected answer to {0}")]
    UnexpectedReply(&'static str),
    /// The kernel could not do what was asked.
    #[error(transparent)]
    Failed(#[from] Failure),
}

impl Client {
    /// Shakes hands over a fresh connection. `timeout` limits this and all later waits; `None` is for ever.
    ///
    /// # Errors
    ///
    /// [`ClientError::Version`] if the kernel is of another version.
    pub fn new(connection: Connection, timeout: Option<Duration>) -> Result<Self, ClientError> {
        connection.set_receive_timeout(timeout)?;
        let mut client = Self { connection, next_id: 0, aside: BTreeMap::new() };
        let theirs: Handshake = client.call(Hello { handshake: Handshake::ours() }, &[])?;
        theirs.check()?;
        Ok(client)
    }

    /// Changes the limit of waits; `None` is for ever.
    ///
    /// # Errors
    ///
    /// The system's: a zero time-out.
    pub fn set_timeout(&self, timeout: Option<Duration>) -> Result<(), ClientError> {
        Ok(self.connection.set_receive_timeout(timeout)?)
    }

    /// Makes a request and waits for its reply.
    ///
    /// # Errors
    ///
    /// The connection's, or [`ClientError::Failed`] with the kernel's reason.
    pub fn call<M: Method>(
        &mut self,
        request: M,
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<M::Reply, ClientError> {
        let request = request.into();
        let name = request.name();
        let ticket = self.send(request, descriptors)?;
        self.finish(ticket, name)
    }

    /// Makes a request whose reply is taken later by [`poll`](Self::poll) or [`wait`](Self::wait).
    ///
    /// # Errors
    ///
    /// The connection's.
    pub fn start<M: Method>(
        &mut self,
        request: M,
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<Ticket, ClientError> {
        self.send(request.into(), descriptors)
    }

    /// Waits for the reply to an earlier request of method `M`.
    ///
    /// # Errors
    ///
    /// As [`call`](Self::call).
    pub fn wait<M: Method>(&mut self, ticket: Ticket) -> Result<M::Reply, ClientError> {
        self.finish(ticket, std::any::type_name::<M>())
    }

    /// Takes the reply to an earlier request of method `M` if it is there.
    ///
    /// # Errors
    ///
    /// As [`call`](Self::call).
    pub fn poll<M: Method>(&mut self, ticket: Ticket) -> Result<Event<M::Reply>, ClientError> {
        loop {
            if let Some(response) = self.aside.remove(&ticket.0) {
                return reply(response, std::any::type_name::<M>()).map(Event::Reply);
            }
            match self.connection.try_receive::<Envelope<Response>>()? {
                Received::Message(envelope, _) => self.put_aside(envelope),
                Received::Nothing => return Ok(Event::Nothing),
                Received::Closed => return Err(ClientError::Closed),
            }
        }
    }

    fn send(&mut self, body: Request, descriptors: &[BorrowedFd<'_>]) -> Result<Ticket, ClientError> {
        let id = self.next_id;
        self.next_id = id.wrapping_add(1);
        self.connection.send(&Envelope { id, body }, descriptors)?;
        Ok(Ticket(id))
    }

    fn finish<R: TryFrom<Response>>(&mut self, ticket: Ticket, name: &'static str) -> Result<R, ClientError> {
        loop {
            if let Some(response) = self.aside.remove(&ticket.0) {
                return reply(response, name);
            }
            match self.connection.receive::<Envelope<Response>>()? {
                Some((envelope, _)) => self.put_aside(envelope),
                None => return Err(ClientError::Closed),
            }
        }
    }

    /// Keeps a reply, unless it answers nothing that was asked: a hostile kernel must not fill our memory.
    fn put_aside(&mut self, envelope: Envelope<Response>) {
        if envelope.id < self.next_id && self.aside.len() < 1024 {
            self.aside.insert(envelope.id, envelope.body);
        }
    }
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.connection.as_fd()
    }
}

fn reply<R: TryFrom<Response>>(response: Response, name: &'static str) -> Result<R, ClientError> {
    match response {
        Response::Error(failure) => Err(failure.into()),
        other => R::try_from(other).map_err(|_| ClientError::UnexpectedReply(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::{Done, ErrorKind, ExitStatus, OnHangUp, Pause, Wait};
    use std::thread;

    fn answer(peer: &Connection, id: u64, body: impl Into<Response>) {
        peer.send(&Envelope { id, body: body.into() }, &[]).unwrap();
    }

    fn pause() -> Pause {
        Pause { id: "c".into() }
    }

    fn serve(peer: &Connection) -> Option<Envelope<Request>> {
        peer.receive::<Envelope<Request>>().unwrap().map(|(envelope, _)| envelope)
    }

    fn connect(kernel: impl FnOnce(Connection) + Send + 'static) -> Result<Client, ClientError> {
        let (ours, theirs) = Connection::pair().unwrap();
        thread::spawn(move || kernel(theirs));
        Client::new(ours, Some(Duration::from_secs(10)))
    }

    #[test]
    fn later_requests_overtake_a_wait() {
        let mut client = connect(|peer| {
            answer(&peer, serve(&peer).unwrap().id, Handshake::ours());
            let wait = serve(&peer).unwrap();
            let pause = serve(&peer).unwrap();
            assert_eq!((wait.body.name(), pause.body.name()), ("Wait", "Pause"));
            answer(&peer, pause.id, Done);
            answer(&peer, wait.id, ExitStatus::Signaled(9));
            assert!(serve(&peer).is_none());
        })
        .unwrap();
        let ticket = client.start(Wait { id: "c".into(), on_hang_up: OnHangUp::GoOn }, &[]).unwrap();
        assert_eq!(client.call(pause(), &[]).unwrap(), Done);
        assert_eq!(client.wait::<Wait>(ticket).unwrap().code(), 137);
    }

    #[test]
    fn another_version_is_refused() {
        let error = connect(|peer| {
            let other = Handshake { protocol: 0, build: "old".into() };
            answer(&peer, serve(&peer).unwrap().id, other);
        })
        .unwrap_err();
        assert!(matches!(error, ClientError::Version(_)), "{error}");
    }

    #[test]
    fn failures_and_hang_ups_are_told_apart() {
        let mut client = connect(|peer| {
            answer(&peer, serve(&peer).unwrap().id, Handshake::ours());
            let id = serve(&peer).unwrap().id;
            answer(&peer, id, Failure::new(ErrorKind::InvalidState, "the sandbox is frozen"));
            let id = serve(&peer).unwrap().id;
            answer(&peer, id, ExitStatus::Exited(0));
            serve(&peer);
        })
        .unwrap();
        let error = client.call(pause(), &[]).unwrap_err();
        assert_eq!(error.to_string(), "the sandbox is frozen");
        assert!(matches!(client.call(pause(), &[]), Err(ClientError::UnexpectedReply("Pause"))));
        assert!(matches!(client.call(pause(), &[]), Err(ClientError::Closed)));
    }
}
