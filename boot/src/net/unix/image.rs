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
use crate::fs::Inode;
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
mod tests {
    use super::*;
    use crate::event::Events;
    use crate::fs::anon::AnonFiles;
    use crate::fs::{OpenFile, OpenFlags};
    use crate::net::channel::Take;
    use crate::net::{Ancillary, InFlight, Outgoing, Received, Socket, SocketAddress, SocketFile, Ucred};
    use crate::testing::saved;

    /// What the images of a test refer to.
    #[derive(Default)]
    struct World {
        in_flight: Arc<InFlight>,
        names: Names,
        files: Vec<Arc<OpenFile>>,
    }

    type Sockets = Vec<Arc<UnixSocket>>;

    fn id_in(sockets: &[Arc<UnixSocket>]) -> impl Fn(&Arc<UnixSocket>) -> u64 {
        |socket| sockets.iter().position(|own| Arc::ptr_eq(own, socket)).expect("it is of the test") as u64
    }

    fn images_of(sockets: &[Arc<UnixSocket>]) -> Vec<UnixSocketImage> {
        let image = |socket: &Arc<UnixSocket>| UnixSocketImage::of(socket, &id_in(sockets), &|_| 0);
        sockets.iter().map(image).collect()
    }

    fn restore(world: &World, images: &[UnixSocketImage]) -> Result<Sockets, Errno> {
        let sockets: Sockets = images.iter().map(|image| saved(image).restore()).collect();
        let links = UnixLinks {
            socket_of: &|id| sockets.get(usize::try_from(id).ok()?).cloned(),
            inode_of: &|_| None,
            names: &world.names,
            files: Files {
                file_of: &|id| world.files.iter().find(|file| file.id() == id).cloned(),
                in_flight: &world.in_flight,
            },
        };
        for (image, socket) in images.iter().zip(&sockets) {
            image.clone().restore_links(socket, links)?;
        }
        Ok(sockets)
    }

    /// Saves `sockets` and brings them back; the images must be the same again.
    fn round_trip(world: &World, sockets: &[Arc<UnixSocket>]) -> Sockets {
        let images = images_of(sockets);
        let restored = restore(world, &images).expect("the images are sound");
        assert_eq!(images_of(&restored), images);
        restored
    }

    fn pair(kind: SocketType) -> [Arc<UnixSocket>; 2] {
        UnixSocket::pair(kind, &Identity::for_test(3)).expect("the type is one of unix sockets")
    }

    fn send(
        socket: &Arc<UnixSocket>,
        mut bytes: &[u8],
        ancillary: Option<Ancillary>,
    ) -> Result<usize, Errno> {
        let mut message = Outgoing { from: &mut bytes, to: None, credentials: Ucred::NOBODY, ancillary };
        Arc::clone(socket).send(&mut message)
    }

    fn receive(socket: &UnixSocket) -> Result<(Vec<u8>, Received), Errno> {
        let mut bytes = vec![0; 64];
        let received = socket.receive(&mut bytes.as_mut_slice(), Take::Remove)?;
        bytes.truncate(received.len);
        Ok((bytes, received))
    }

    fn bytes_from(socket: &UnixSocket) -> Result<Vec<u8>, Errno> {
        receive(socket).map(|(bytes, _)| bytes)
    }

    #[test]
    fn a_connection_comes_back_with_what_is_on_its_way() {
        let [a, b] = pair(SocketType::Stream);
        let file = AnonFiles::default().open_object(
            "test",
            Box::new(SocketFile::new(pair(SocketType::Datagram)[0].clone())),
            OpenFlags::READ_WRITE,
        );
        let world = World { files: vec![Arc::clone(&file)], ..World::default() };
        let ancillary = Ancillary::new(vec![Arc::clone(&file)], &world.in_flight).ok();
        assert_eq!((send(&a, b"there", ancillary), send(&b, b"back", None)), (Ok(5), Ok(4)));
        let restored = round_trip(&world, &[a, b]);
        let [a, b] = restored.as_slice() else { panic!("two sockets") };
        let (bytes, received) = receive(b).expect("it was sent");
        assert_eq!(bytes, b"there");
        assert!(received.ancillary.is_some_and(|ancillary| Arc::ptr_eq(&ancillary.files()[0], &file)));
        assert_eq!(bytes_from(a), Ok(b"back".to_vec()));
        assert_eq!((send(a, b"more", None), bytes_from(b)), (Ok(4), Ok(b"more".to_vec())));
        let b = Arc::clone(b);
        drop(restored);
        assert_eq!(bytes_from(&b), Ok(vec![]), "the other end is closed");
    }

    #[test]
    fn an_end_without_another_comes_back() {
        let [a, b] = pair(SocketType::SeqPacket);
        assert_eq!((send(&b, b"last", None), send(&a, b"lost", None)), (Ok(4), Ok(4)));
        drop(b);
        let restored = round_trip(&World::default(), &[a]);
        assert!(restored[0].poll().contains(Events::HUP | Events::ERR));
        assert_eq!(bytes_from(&restored[0]), Ok(b"last".to_vec()));
        assert_eq!(bytes_from(&restored[0]).map(drop), Err(errno::ECONNRESET));
        assert_eq!(send(&restored[0], b"x", None), Err(errno::EPIPE));
    }

    #[test]
    fn a_listening_socket_comes_back_with_those_that_wait() {
        let (before, server) = (Names::default(), UnixSocket::new(SocketType::Stream).unwrap());
        server.bind_abstract(&before, Some(b"name")).expect("the name is free");
        let body = server.stream().expect("it is one for connections");
        body.listen(&server.queue, Identity::for_test(7), 0).unwrap();
        let (client, accepted) =
            (UnixSocket::new(SocketType::Stream).unwrap(), UnixSocket::accepted(&server));
        let connect = || {
            let client_end = (&client, client.stream().expect("as above"), Identity::for_test(8));
            let server_end = (&accepted, accepted.stream().expect("as above"), Identity::for_test(7));
            stream::join(client_end, server_end)?;
            Ok(Arc::clone(&accepted))
        };
        body.backlog().expect("it listens").add(connect).expect("there is room");
        send(&client, b"early", None).expect("there is room");

        let world = World::default();
        let restored = round_trip(&world, &[server, client, accepted]);
        let found = world.names.find(b"name").expect("the name is bound again");
        assert!(Arc::ptr_eq(&found, &restored[0]));
        let accepted = found.accept().expect("one waits");
        let mut bytes = [0; 5];
        accepted.receive(&mut bytes.as_mut_slice(), Take::Remove).expect("there are bytes");
        assert_eq!(&bytes, b"early");
        let name = SocketAddress::Unix(UnixAddress::Abstract(b"name".to_vec()));
        assert_eq!((accepted.local_address(), restored[1].peer_address()), (name.clone(), Ok(name)));
    }

    #[test]
    fn datagram_sockets_come_back_connected() {
        let [a, b] = pair(SocketType::Datagram);
        let [lonely, gone] = pair(SocketType::Datagram);
        drop(gone);
        for _ in 0..11 {
            send(&a, b"datagram", None).expect("there is room");
        }
        let restored = round_trip(&World::default(), &[a, b, lonely]);
        assert_eq!(restored[0].poll(), Events::empty(), "the receiver is full");
        assert_eq!(bytes_from(&restored[1]), Ok(b"datagram".to_vec()));
        assert_eq!(
            (restored[0].poll(), restored[1].poll()),
            (Events::WRITABLE, Events::READABLE | Events::WRITABLE)
        );
        assert_eq!(send(&restored[2], b"x", None), Err(errno::ECONNREFUSED));
    }

    #[test]
    fn images_that_contradict_each_other_are_refused() {
        let world = World::default();
        let [a, b] = pair(SocketType::Stream);
        let [datagram, _other] = pair(SocketType::Datagram);
        let refused = |images: &[UnixSocketImage]| restore(&world, images).err() == Some(errno::EINVAL);
        let good = images_of(&[a, b]);
        assert!(refused(&good[..1]), "the other end is missing");
        assert!(refused(&[good[1].clone()]), "connected with itself");
        assert!(refused(&[good[0].clone(), good[1].clone(), good[0].clone()]), "two have the same other end");
        let body = UnixSocketImage::of(&datagram, &|_| 0, &|_| 0).body;
        assert!(refused(&[UnixSocketImage { body, ..good[0].clone() }]), "another kind of socket");
    }
}
