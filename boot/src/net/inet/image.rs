//! The saved forms of internet sockets.
//!
//! As [unix sockets](crate::net::unix), TCP sockets come back in two steps: [`TcpSocketImage::restore`] makes the socket
//! with its options and its port, [`TcpSocketImage::restore_links`] its connection or its backlog.

use std::net::SocketAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::endpoint::Version;
use super::options::{InetOptions, InetOptionsImage};
use super::ports::{BindingImage, Ports};
use super::tcp::{self, Connection, Role};
use super::{TcpSocket, UdpSocket};
use crate::error::Errno;
use crate::net::SocketOptions;
use crate::net::backlog::Backlog;
use crate::net::image::{BacklogImage, ChannelImage, DatagramsImage, Files};
use crate::net::options::SocketOptionsImage;
use crate::prelude::errno;

/// The saved form of a TCP socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TcpSocketImage {
    version: Version,
    options: SocketOptionsImage,
    inet_options: InetOptionsImage,
    binding: Option<BindingImage>,
    role: RoleImage,
}

/// The saved form of what a TCP socket has become.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum RoleImage {
    Unconnected,
    Listening(BacklogImage),
    Connected {
        /// What it has not received.
        receives: ChannelImage,
        other_end: OtherEnd,
        local: SocketAddr,
        peer: SocketAddr,
    },
}

/// The other end of a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum OtherEnd {
    /// The socket with this id, which saves what it has not received.
    Open(u64),
    /// It is gone, and this was sent to it.
    Gone(ChannelImage),
}

impl TcpSocketImage {
    /// Saves a socket; `id_of` tells the ids of sockets.
    pub(crate) fn of(socket: &TcpSocket, id_of: &dyn Fn(&Arc<TcpSocket>) -> u64) -> Self {
        let role = match socket.role.get() {
            None => RoleImage::Unconnected,
            Some(Role::Listening(backlog)) => RoleImage::Listening(backlog.to_image(id_of)),
            Some(Role::Connected(connection)) => RoleImage::Connected {
                receives: connection.receives.to_image(),
                other_end: match connection.peer_socket.upgrade() {
                    Some(other) => OtherEnd::Open(id_of(&other)),
                    None => OtherEnd::Gone(connection.sends.to_image()),
                },
                local: connection.local,
                peer: connection.peer,
            },
        };
        Self {
            version: socket.version,
            options: socket.options.to_image(),
            inet_options: socket.inet_options.to_image(),
            binding: socket.binding.get().map(super::ports::Binding::to_image),
            role,
        }
    }

    /// Makes the socket, without connection and backlog.
    pub(crate) fn restore(&self, ports: &Arc<Ports<TcpSocket>>) -> Arc<TcpSocket> {
        let options = Arc::new(SocketOptions::from_image(self.options));
        let inet_options = InetOptions::from_image(self.inet_options.clone());
        let socket = TcpSocket::with_options(self.version, ports, options, inet_options);
        if let Some(binding) = self.binding {
            // The socket is new: it has no port yet.
            let _ = socket.binding.set(ports.restore(Arc::downgrade(&socket), binding));
        }
        socket
    }

    /// Gives `socket`, which [`TcpSocketImage::restore`] has made in `ports`, what it lacks; `socket_of` finds sockets by
    /// their ids.
    ///
    /// # Errors
    ///
    /// `EINVAL` if something is not there, or the images contradict each other.
    pub(crate) fn restore_links(
        self,
        socket: &Arc<TcpSocket>,
        ports: &Arc<Ports<TcpSocket>>,
        socket_of: &dyn Fn(u64) -> Option<Arc<TcpSocket>>,
        files: Files<'_>,
    ) -> Result<(), Errno> {
        let role = match self.role {
            RoleImage::Unconnected => return Ok(()),
            RoleImage::Listening(backlog) => {
                Role::Listening(Backlog::from_image(backlog, socket.queue.clone(), socket_of)?)
            }
            RoleImage::Connected { receives, other_end, local, peer } => {
                let addresses = (local, peer);
                let connection = match other_end {
                    OtherEnd::Open(id) => {
                        let other = socket_of(id).filter(|other| !Arc::ptr_eq(other, socket));
                        join(socket, &other.ok_or(errno::EINVAL)?, addresses)?
                    }
                    OtherEnd::Gone(sent) => {
                        // Stands in for the other end, and is gone as soon as the channels are there.
                        let gone = TcpSocket::new(self.version, ports);
                        let sends = tcp::channel(socket, &gone);
                        sends.restore(sent, files)?;
                        Connection::new((&sends, &tcp::channel(&gone, socket)), addresses, &gone)
                    }
                };
                connection.receives.restore(receives, files)?;
                Role::Connected(connection)
            }
        };
        socket.role.set(role).map_err(|_| errno::EINVAL)
    }
}

/// Returns the end of a connection to `other`, by the channels that this has or is to get.
fn join(
    socket: &Arc<TcpSocket>,
    other: &Arc<TcpSocket>,
    addresses: (SocketAddr, SocketAddr),
) -> Result<Connection, Errno> {
    match other.role.get() {
        None => {
            let (there, back) = (tcp::channel(socket, other), tcp::channel(other, socket));
            Ok(Connection::new((&there, &back), addresses, other))
        }
        Some(Role::Connected(end)) if end.peer_socket.ptr_eq(&Arc::downgrade(socket)) => {
            Ok(Connection::new((&end.receives, &end.sends), addresses, other))
        }
        Some(_) => Err(errno::EINVAL),
    }
}

/// The saved form of a UDP socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct UdpSocketImage {
    version: Version,
    options: SocketOptionsImage,
    inet_options: InetOptionsImage,
    binding: Option<BindingImage>,
    peer: Option<SocketAddr>,
    received: DatagramsImage,
}

impl UdpSocketImage {
    /// Saves a socket.
    pub(crate) fn of(socket: &UdpSocket) -> Self {
        Self {
            version: socket.version,
            options: socket.options.to_image(),
            inet_options: socket.inet_options.to_image(),
            binding: socket.binding.get().map(super::ports::Binding::to_image),
            peer: *socket.peer.lock(),
            received: socket.received.to_image(),
        }
    }

    /// Brings the socket back.
    ///
    /// # Errors
    ///
    /// As for a message's descriptors.
    pub(crate) fn restore(
        self,
        ports: &Arc<Ports<UdpSocket>>,
        files: Files<'_>,
    ) -> Result<Arc<UdpSocket>, Errno> {
        let options = SocketOptions::from_image(self.options);
        let inet_options = InetOptions::from_image(self.inet_options);
        let socket = UdpSocket::with_options(self.version, ports, options, inet_options);
        if let Some(binding) = self.binding {
            // The socket is new: it has no port yet.
            let _ = socket.binding.set(ports.restore(Arc::downgrade(&socket), binding));
        }
        *socket.peer.lock() = self.peer;
        socket.received.restore(self.received, files)?;
        Ok(socket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Events;
    use crate::net::channel::Take;
    use crate::net::{InFlight, Outgoing, Socket, Ucred};
    use crate::testing::saved;

    fn at(text: &str) -> SocketAddr {
        text.parse().expect("a valid address")
    }

    fn send(socket: &Arc<impl Socket + 'static>, mut bytes: &[u8]) -> Result<usize, Errno> {
        let message =
            &mut Outgoing { from: &mut bytes, to: None, credentials: Ucred::NOBODY, ancillary: None };
        Arc::clone(socket).send(message)
    }

    fn receive(socket: &dyn Socket) -> Result<Vec<u8>, Errno> {
        let mut bytes = [0; 64];
        let received = socket.receive(&mut bytes.as_mut_slice(), Take::Remove)?;
        Ok(bytes.get(..received.len).unwrap_or_default().to_vec())
    }

    fn images_of(sockets: &[Arc<TcpSocket>]) -> Vec<TcpSocketImage> {
        let id_of = |socket: &Arc<TcpSocket>| {
            sockets.iter().position(|own| Arc::ptr_eq(own, socket)).expect("it is of the test") as u64
        };
        sockets.iter().map(|socket| TcpSocketImage::of(socket, &id_of)).collect()
    }

    type TcpPorts = Arc<Ports<TcpSocket>>;

    fn restore(ports: &TcpPorts, images: &[TcpSocketImage]) -> Result<Vec<Arc<TcpSocket>>, Errno> {
        let sockets: Vec<_> = images.iter().map(|image| saved(image).restore(ports)).collect();
        let files = Files { file_of: &|_| None, in_flight: &Arc::<InFlight>::default() };
        let socket_of = |id| sockets.get(usize::try_from(id).ok()?).cloned();
        for (image, socket) in images.iter().zip(&sockets) {
            image.clone().restore_links(socket, ports, &socket_of, files)?;
        }
        Ok(sockets)
    }

    /// A listening socket at port 80, a connected one, and the server's end, which was not accepted yet.
    fn connection(ports: &TcpPorts) -> (Arc<TcpSocket>, Arc<TcpSocket>) {
        let listener = TcpSocket::new(Version::V4, ports);
        listener.bind_to(at("127.0.0.1:80")).expect("the port is free");
        listener.listen_for(1).expect("nobody else listens");
        let client = TcpSocket::new(Version::V4, ports);
        client.connect_to(&listener, at("127.0.0.1:80"), true).expect("there is room");
        (listener, client)
    }

    #[test]
    fn connections_ports_and_backlogs_come_back() {
        let (listener, client) = connection(&TcpPorts::default());
        let keep_idle = (super::super::protocol::TCP, cloister_abi::net::TCP_KEEPIDLE);
        client.inet_options.set(&client.options, keep_idle.0, keep_idle.1, &[7, 0, 0, 0]).unwrap();
        assert_eq!(send(&client, b"request"), Ok(7));
        let server = client.connection().and_then(|end| end.peer_socket.upgrade()).expect("it is connected");
        assert_eq!(send(&server, b"reply"), Ok(5));
        let images = images_of(&[listener, client, server]);

        let ports = TcpPorts::default();
        let restored = restore(&ports, &images).expect("the images are sound");
        assert_eq!(images_of(&restored), images);
        let [listener, client, server] = restored.as_slice() else { panic!("three sockets") };
        assert_eq!(
            (receive(&**client), receive(&**server)),
            (Ok(b"reply".to_vec()), Ok(b"request".to_vec()))
        );
        assert_eq!(client.peer_address(), Ok(server.local_address()));
        assert_eq!(listener.poll(), Events::READABLE);
        let found = TcpSocket::find_listener(&ports, at("127.0.0.1:80"), 0);
        assert!(found.is_some_and(|found| Arc::ptr_eq(&found, listener)));
        let second = TcpSocket::new(Version::V4, &ports);
        assert_eq!(second.bind_to(at("127.0.0.1:80")), Err(errno::EADDRINUSE));
        listener.accept().unwrap();
    }

    #[test]
    fn an_end_without_another_comes_back() {
        let (listener, client) = connection(&TcpPorts::default());
        let server = client.connection().and_then(|end| end.peer_socket.upgrade()).expect("it is connected");
        assert_eq!(send(&server, b"bye"), Ok(3));
        drop((server, listener));
        let images = images_of(std::slice::from_ref(&client));
        let restored = restore(&TcpPorts::default(), &images).expect("the image is sound");
        assert_eq!(images_of(&restored), images);
        assert_eq!((receive(&*restored[0]), receive(&*restored[0])), (receive(&*client), receive(&*client)));
        assert_eq!(restored[0].poll(), client.poll());
    }

    #[test]
    fn images_that_contradict_each_other_are_refused() {
        let (listener, client) = connection(&TcpPorts::default());
        let server = client.connection().and_then(|end| end.peer_socket.upgrade()).expect("it is connected");
        let good = images_of(&[listener, client, server]);
        let ports = TcpPorts::default();
        let refused = |images: &[TcpSocketImage]| restore(&ports, images).err() == Some(errno::EINVAL);
        assert!(refused(&good[..2]), "the other end is missing");
        assert!(refused(&[good[0].clone(), good[0].clone(), good[2].clone()]), "connected to what listens");
        assert!(refused(&[good[0].clone(), good[1].clone(), good[1].clone()]), "connected with itself");
    }

    #[test]
    fn udp_sockets_come_back_with_their_datagrams() {
        let before = Arc::<Ports<UdpSocket>>::default();
        let (a, b) = (UdpSocket::new(Version::V4, &before), UdpSocket::new(Version::V6, &before));
        b.bind_to(at("[::]:53")).expect("the port is free");
        a.connect_to(at("127.0.0.1:53")).expect("a port is free");
        assert_eq!(send(&a, b"question"), Ok(8));
        let images = [UdpSocketImage::of(&a), UdpSocketImage::of(&b)];
        let ports = Arc::<Ports<UdpSocket>>::default();
        let files = Files { file_of: &|_| None, in_flight: &Arc::<InFlight>::default() };
        let [a, b] = images.clone().map(|image| saved(&image).restore(&ports, files).expect("it is sound"));
        assert_eq!([UdpSocketImage::of(&a), UdpSocketImage::of(&b)], images);
        assert_eq!(receive(&*b), Ok(b"question".to_vec()));
        assert_eq!((send(&a, b"again"), receive(&*b)), (Ok(5), Ok(b"again".to_vec())));
    }
}
