//! The saved form of a unix socket.
//!
//! It comes back in two steps: [`UnixSocketImage::restore`] makes the socket with its options, and once all sockets and
//! descriptions are there, [`UnixSocketImage::restore_links`] its name, connection and messages.

use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock, Weak};

use serde::{Deserialize, Serialize};

use super::stream::{self, Connection, Role, StreamBody};
use super::{Identity, Names, UnixSocket, names};
use crate::error::Errno;
use crate::event::WaitQueue;
use crate::fs::{Inode, OpenFile};
use crate::net::address::UnixAddress;
use crate::net::backlog::Backlog;
use crate::net::image::{BacklogImage, ChannelImage, DatagramsImage, Files};
use crate::net::options::SocketOptionsImage;
use crate::net::{SocketOptions, SocketType};
use crate::prelude::errno;
use crate::task::{Credentials, Pid};

/// The saved form of a unix socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct UnixSocketImage {
    kind: SocketType,
    options: SocketOptionsImage,
    name: NameImage,
    body: BodyImage,
}

/// The saved form of a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum NameImage {
    /// None, or one that is another socket's: of the one that listened for it.
    Shown(UnixAddress),
    /// In the table of abstract names.
    Abstract(Vec<u8>),
    /// An inode, by its id, that was made at this path.
    Inode(Vec<u8>, u64),
}

/// The saved form of what it is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum BodyImage {
    Unconnected,
    Listening(BacklogImage, IdentityImage),
    Connected {
        /// What it has not received.
        receives: ChannelImage,
        other_end: OtherEnd,
        peer: IdentityImage,
    },
    Datagram {
        received: DatagramsImage,
        peer: PeerImage,
        is_ended: bool,
    },
}

/// The saved form of who made a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct IdentityImage {
    pid: Pid,
    credentials: Credentials,
}

/// The other end of a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum OtherEnd {
    /// The socket with this id, which saves what it has not received.
    Open(u64),
    /// It is gone: its name, and what was sent to it.
    Gone(UnixAddress, ChannelImage),
}

/// What a datagram socket is connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum PeerImage {
    Nothing,
    Open(u64),
    Gone,
}

/// Where what an image refers to is found again.
#[derive(Clone, Copy)]
pub(crate) struct UnixLinks<'a> {
    /// Finds sockets by their ids.
    pub(crate) socket_of: &'a dyn Fn(u64) -> Option<Arc<UnixSocket>>,
    /// Finds inodes by their ids.
    pub(crate) inode_of: &'a dyn Fn(u64) -> Option<Arc<dyn Inode>>,
    /// The abstract names.
    pub(crate) names: &'a Names,
    /// The descriptions of messages.
    pub(crate) files: Files<'a>,
}

impl IdentityImage {
    fn of(identity: &Identity) -> Self {
        Self { pid: identity.pid, credentials: (*identity.credentials).clone() }
    }

    fn restore(self) -> Identity {
        Identity { pid: self.pid, credentials: Arc::new(self.credentials) }
    }
}

impl UnixSocket {
    /// Returns the descriptions that are on their way to it, or from it to an end that is gone: what a snapshot has to save
    /// besides those that have descriptors.
    pub(crate) fn files_in_flight(&self) -> Vec<Arc<OpenFile>> {
        let mut files = self.datagram().map(|body| body.received.files()).unwrap_or_default();
        if let Some(Role::Connected(connection)) = self.stream().and_then(|body| body.role.get()) {
            files.extend(connection.receives.files());
            if connection.peer_socket.strong_count() == 0 {
                files.extend(connection.sends.files());
            }
        }
        files
    }
}

impl UnixSocketImage {
    /// Saves a socket; `id_of` tells the ids of sockets, `inode_id_of` those of inodes.
    pub(crate) fn of(
        socket: &UnixSocket,
        id_of: &dyn Fn(&Arc<UnixSocket>) -> u64,
        inode_id_of: &dyn Fn(&Arc<dyn Inode>) -> u64,
    ) -> Self {
        let name = match (socket.name(), socket.names.get(), socket.inode.get()) {
            (UnixAddress::Abstract(name), Some(_), _) => NameImage::Abstract(name),
            (UnixAddress::Path(path), _, Some(inode)) => NameImage::Inode(path, inode_id_of(inode)),
            (shown, ..) => NameImage::Shown(shown),
        };
        let body = match (socket.datagram(), socket.stream().and_then(|body| body.role.get())) {
            (Some(body), _) => BodyImage::Datagram {
                received: body.received.to_image(),
                peer: match body.peer() {
                    Ok(peer) => PeerImage::Open(id_of(&peer)),
                    Err(errno::ENOTCONN) => PeerImage::Nothing,
                    Err(_) => PeerImage::Gone,
                },
                is_ended: body.is_ended.load(Ordering::Relaxed),
            },
            (None, None) => BodyImage::Unconnected,
            (None, Some(Role::Listening { backlog, identity })) => {
                BodyImage::Listening(backlog.to_image(id_of), IdentityImage::of(identity))
            }
            (None, Some(Role::Connected(connection))) => BodyImage::Connected {
                receives: connection.receives.to_image(),
                other_end: match connection.peer_socket.upgrade() {
                    Some(peer) => OtherEnd::Open(id_of(&peer)),
                    None => OtherEnd::Gone(connection.peer_name(), connection.sends.to_image()),
                },
                peer: IdentityImage::of(&connection.peer),
            },
        };
        Self { kind: socket.kind, options: socket.options.to_image(), name, body }
    }

    /// Makes the socket, without name, connection and messages.
    pub(crate) fn restore(&self) -> Arc<UnixSocket> {
        let options = Arc::new(SocketOptions::from_image(self.options));
        UnixSocket::with_options(self.kind, Arc::default(), options)
    }

    /// Gives `socket`, which [`UnixSocketImage::restore`] has made, what it lacks.
    ///
    /// # Errors
    ///
    /// `EINVAL` if something is not there or the images contradict each other, `EADDRINUSE` if two have one name.
    pub(crate) fn restore_links(self, socket: &Arc<UnixSocket>, links: UnixLinks<'_>) -> Result<(), Errno> {
        restore_name(self.name, socket, links)?;
        match (self.body, socket.stream(), socket.datagram()) {
            (BodyImage::Unconnected, Some(_), _) => Ok(()),
            (BodyImage::Listening(backlog, identity), Some(body), _) => {
                let backlog = Backlog::from_image(backlog, socket.queue.clone(), links.socket_of)?;
                let role = Role::Listening { backlog, identity: identity.restore() };
                body.role.set(role).map_err(|_| errno::EINVAL)
            }
            (BodyImage::Connected { receives, other_end, peer }, Some(body), _) => {
                let connection = restore_connection(socket, other_end, peer.restore(), links)?;
                connection.receives.restore(receives, links.files)?;
                body.role.set(Role::Connected(connection)).map_err(|_| errno::EINVAL)
            }
            (BodyImage::Datagram { received, peer, is_ended }, _, Some(body)) => {
                match peer {
                    PeerImage::Nothing => {}
                    PeerImage::Gone => body.set_peer(socket, Weak::new(), &WaitQueue::new()),
                    PeerImage::Open(id) => {
                        let peer = (links.socket_of)(id).ok_or(errno::EINVAL)?;
                        let senders = peer.datagram().ok_or(errno::EINVAL)?.received.senders();
                        body.set_peer(socket, Arc::downgrade(&peer), senders);
                    }
                }
                body.is_ended.store(is_ended, Ordering::Relaxed);
                body.received.restore(received, links.files)
            }
            _ => Err(errno::EINVAL),
        }
    }
}

fn restore_name(name: NameImage, socket: &Arc<UnixSocket>, links: UnixLinks<'_>) -> Result<(), Errno> {
    let name = match name {
        NameImage::Shown(UnixAddress::Unnamed) => return Ok(()),
        NameImage::Shown(name) => name,
        NameImage::Abstract(name) => return socket.bind_abstract(links.names, Some(&name)),
        NameImage::Inode(path, inode) => {
            let inode = (links.inode_of)(inode).ok_or(errno::EINVAL)?;
            names::bind_inode(&*inode, socket);
            socket.inode.set(inode).map_err(|_| errno::EINVAL)?;
            UnixAddress::Path(path)
        }
    };
    socket.name.set(name).map_err(|_| errno::EINVAL)
}

/// Returns the end of a connection, by the channels that its other end has or is to get.
fn restore_connection(
    socket: &Arc<UnixSocket>,
    other_end: OtherEnd,
    peer: Identity,
    links: UnixLinks<'_>,
) -> Result<Connection, Errno> {
    match other_end {
        OtherEnd::Gone(name, sent) => {
            // Stands in for the other end, and is gone as soon as the channels are there.
            let name = Arc::new(OnceLock::from(name));
            let gone = UnixSocket::with_options(socket.kind, name, Arc::default());
            let sends = stream::channel(socket, &gone);
            sends.restore(sent, links.files)?;
            Ok(Connection::new(&sends, &stream::channel(&gone, socket), &gone, peer))
        }
        OtherEnd::Open(id) => {
            let other = (links.socket_of)(id).filter(|other| other.kind == socket.kind);
            let other = other.filter(|other| !Arc::ptr_eq(other, socket)).ok_or(errno::EINVAL)?;
            let own = Arc::downgrade(socket);
            let (sends, receives) = match other.stream().map(StreamBody::connection) {
                Some(Some(end)) if end.peer_socket.ptr_eq(&own) => {
                    (Arc::clone(&end.receives), Arc::clone(&end.sends))
                }
                Some(None) => (stream::channel(socket, &other), stream::channel(&other, socket)),
                _ => return Err(errno::EINVAL),
            };
            Ok(Connection::new(&sends, &receives, &other, peer))
        }
    }
}

#[cfg(test)]
#[path = "image_tests.rs"]
mod tests;
