//! The loop that serves all connections.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

use cloister_footprint::Footprint;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{SocketFlags, accept_with};

use crate::connection::{Connection, Next, Wait};
use crate::session::Session;
use crate::tree::Tree;

/// The most connections that are served at a time. Those that wait to be accepted wait on.
const MAX_CONNECTIONS: usize = 256;

/// What a process serves.
#[derive(Debug, Default)]
pub struct Server {
    listeners: Vec<(OwnedFd, Rc<Tree>)>,
    connections: Vec<Connection>,
    footprint: Footprint,
}

impl Server {
    /// Serves `tree` to the client at the other end of a connected stream socket.
    pub fn add_connection(&mut self, socket: OwnedFd, tree: Rc<Tree>) {
        self.connections.push(Connection::new(socket, Session::new(tree)));
    }

    /// Has the present connections notice when they are idle, so that memory is given back then.
    ///
    /// # Errors
    ///
    /// The host's.
    pub fn watch_for_idleness(&self) -> io::Result<()> {
        let Some(patience) = self.footprint.patience() else { return Ok(()) };
        self.connections.iter().try_for_each(|connection| connection.set_patience(patience))
    }

    /// Serves `tree` to all who connect to a listening socket.
    pub fn add_listener(&mut self, socket: OwnedFd, tree: Rc<Tree>) {
        self.listeners.push((socket, tree));
    }

    /// Serves until all connections are closed, and for ever if there are listening sockets.
    ///
    /// # Errors
    ///
    /// Of the loop itself. What goes wrong with a connection closes that connection.
    pub fn run(&mut self) -> io::Result<()> {
        while !(self.listeners.is_empty() && self.connections.is_empty()) {
            match self.connections.as_mut_slice() {
                // The usual sandbox has one connection, to which a receive that waits saves a system call per request.
                [only] if self.listeners.is_empty() && !only.is_sending() => {
                    match only.advance(Wait::ForBytes) {
                        Next::Continue => {}
                        Next::Idle => self.wait_and_advance()?,
                        Next::Close => self.connections.clear(),
                    }
                }
                _ => self.wait_and_advance()?,
            }
        }
        Ok(())
    }

    fn wait_and_advance(&mut self) -> io::Result<()> {
        let ready = self.wait()?;
        let (listeners_ready, connections_ready) = ready.split_at(self.listeners.len());
        let mut is_ready = connections_ready.iter();
        self.connections.retain_mut(|connection| {
            !is_ready.next().is_some_and(|&ready| ready) || connection.advance(Wait::Never) != Next::Close
        });
        for (index, _) in listeners_ready.iter().enumerate().filter(|(_, ready)| **ready) {
            self.accept(index);
        }
        Ok(())
    }

    /// Waits until something can be done, and says for which sockets: listening ones first. Gives memory back meanwhile.
    fn wait(&self) -> io::Result<Vec<bool>> {
        let accepting =
            if self.connections.len() < MAX_CONNECTIONS { PollFlags::IN } else { PollFlags::empty() };
        let listeners = self.listeners.iter().map(|(socket, _)| (socket.as_fd(), accepting));
        let connections = self.connections.iter().map(Connection::interest);
        let mut fds: Vec<_> = listeners
            .chain(connections)
            .map(|(socket, interest)| PollFd::from_borrowed_fd(socket, interest))
            .collect();
        let patience = self.footprint.patience().and_then(|patience| Timespec::try_from(patience).ok());
        match poll(&mut fds, patience.as_ref()) {
            Ok(0) => {
                self.footprint.reduce();
                Ok(vec![false; fds.len()])
            }
            Ok(_) | Err(Errno::INTR) => Ok(fds.iter().map(|fd| !fd.revents().is_empty()).collect()),
            Err(errno) => Err(errno.into()),
        }
    }

    fn accept(&mut self, index: usize) {
        let Some((socket, tree)) = self.listeners.get(index) else { return };
        match accept_with(socket, SocketFlags::CLOEXEC) {
            Ok(connection) => self.add_connection(connection, Rc::clone(tree)),
            Err(error) => tracing::warn!(%error, "cannot accept a connection"),
        }
    }
}
