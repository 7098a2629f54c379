//! Tests of internet sockets without tasks.

use std::net::SocketAddr;
use std::sync::Arc;

use super::*;
use crate::error::Errno;
use crate::event::Events;
use crate::net::channel::Take;
use crate::net::options::Switches;
use crate::net::socket::Shutdown;
use crate::net::{Destination, Outgoing, Socket, SocketAddress, Ucred};
use crate::prelude::errno;

fn at(text: &str) -> SocketAddr {
    text.parse().expect("a valid address")
}

fn send(
    socket: &Arc<impl Socket + 'static>,
    mut bytes: &[u8],
    to: Option<SocketAddr>,
) -> Result<usize, Errno> {
    let to = to.map(|to| Destination::Address(SocketAddress::Inet(to)));
    let message =
        &mut Outgoing { from: &mut bytes, to: to.as_ref(), credentials: Ucred::NOBODY, ancillary: None };
    Arc::clone(socket).send(message)
}

fn receive(socket: &dyn Socket) -> Result<(Vec<u8>, Option<SocketAddress>), Errno> {
    let mut bytes = [0; 64];
    let received = socket.receive(&mut bytes.as_mut_slice(), Take::Remove)?;
    Ok((bytes.get(..received.len).unwrap_or_default().to_vec(), received.address))
}

fn address_of(socket: &dyn Socket) -> SocketAddr {
    match socket.local_address() {
        SocketAddress::Inet(address) => address,
        other => panic!("{other:?} is no internet address"),
    }
}

/// A listening socket, one that is connected to it, and the server's end of that.
fn connection(inet: &Inet) -> (Arc<TcpSocket>, Arc<TcpSocket>, Arc<dyn Socket>) {
    let listener = TcpSocket::new(Version::V4, &inet.tcp);
    listener.bind_to(at("127.0.0.1:0")).expect("a port is free");
    listener.listen_for(1).expect("nobody else listens");
    let client = TcpSocket::new(Version::V4, &inet.tcp);
    client.connect_to(&listener, address_of(&*listener), true).expect("there is room");
    let server = listener.accept().expect("a connection waits");
    (listener, client, server)
}

#[test]
fn connections_carry_bytes_both_ways() {
    let (_listener, client, server) = connection(&Inet::default());
    assert_eq!(server.peer_address(), Ok(client.local_address()));
    assert_eq!(client.peer_address(), Ok(server.local_address()));
    assert_eq!(send(&client, b"there", None), Ok(5));
    assert_eq!(receive(&*server).map(|(bytes, _)| bytes), Ok(b"there".to_vec()));
    client.shutdown(Shutdown::Send).expect("it is connected");
    assert_eq!(receive(&*server).map(|(bytes, _)| bytes), Ok(vec![]));
    let conditions = server.poll();
    assert!(conditions.contains(Events::RDHUP | Events::WRITABLE) && !conditions.contains(Events::HUP));
}

#[test]
fn an_end_that_stopped_receiving_sees_the_end() {
    let (_listener, client, server) = connection(&Inet::default());
    server.shutdown(Shutdown::Receive).expect("it is connected");
    assert_eq!(receive(&*server).map(|(bytes, _)| bytes), Ok(vec![]));
    assert_eq!(send(&client, b"ignored", None), Ok(7));
}

#[test]
fn unread_bytes_reset_a_connection() {
    let (_listener, client, server) = connection(&Inet::default());
    assert_eq!(send(&client, b"unread", None), Ok(6));
    drop(server);
    assert!(client.poll().contains(Events::ERR));
    assert_eq!(receive(&*client).map(drop), Err(errno::ECONNRESET));
}

#[test]
fn the_first_bytes_to_a_closed_end_are_lost() {
    let (_listener, client, server) = connection(&Inet::default());
    drop(server);
    assert_eq!(receive(&*client).map(|(bytes, _)| bytes), Ok(vec![]));
    assert!(!client.poll().contains(Events::HUP));
    assert_eq!((send(&client, b"lost", None), send(&client, b"x", None)), (Ok(4), Err(errno::EPIPE)));
}

#[test]
fn a_port_is_had_by_one_unless_all_agree() {
    let inet = Inet::default();
    let [first, second, third] = [(); 3].map(|()| TcpSocket::new(Version::V4, &inet.tcp));
    first.options().set_switches(Switches::REUSE_ADDRESS, true);
    second.options().set_switches(Switches::REUSE_ADDRESS, true);
    first.bind_to(at("127.0.0.1:4000")).expect("the port is free");
    second.bind_to(at("0.0.0.0:4000")).expect("both agree");
    assert_eq!(third.bind_to(at("127.0.0.1:4000")), Err(errno::EADDRINUSE));
    first.listen_for(1).expect("nobody else listens");
    assert_eq!(second.listen_for(1), Err(errno::EADDRINUSE));
    drop((first, second));
    third.bind_to(at("127.0.0.1:4000")).expect("the port is free again");
}

#[test]
fn a_version_6_socket_takes_both_versions() {
    let inet = Inet::default();
    let server = TcpSocket::new(Version::V6, &inet.tcp);
    server.bind_to(at("[::]:4000")).expect("the port is free");
    server.listen_for(1).expect("nobody else listens");
    let found = TcpSocket::find_listener(&inet.tcp, at("127.0.0.1:4000"), 0).expect("it listens");
    let client = TcpSocket::new(Version::V4, &inet.tcp);
    client.connect_to(&found, at("127.0.0.1:4000"), true).expect("there is room");
    let accepted = server.accept().expect("a connection waits");
    assert_eq!(address_of(&*accepted), at("[::ffff:127.0.0.1]:4000"));
    assert!(TcpSocket::find_listener(&inet.tcp, at("127.0.0.1:4001"), 0).is_none());
}

#[test]
fn datagrams_find_their_receiver() {
    let inet = Inet::default();
    let [server, client] = [(); 2].map(|()| UdpSocket::new(Version::V4, &inet.udp));
    server.bind_to(at("0.0.0.0:53")).expect("the port is free");
    assert_eq!(send(&client, b"ask", Some(at("127.0.0.1:53"))), Ok(3));
    let (bytes, from) = receive(&*server).expect("it has arrived");
    let SocketAddress::Inet(from) = from.expect("it has a sender") else { panic!("no internet address") };
    assert_eq!((bytes.as_slice(), from.port()), (b"ask".as_slice(), address_of(&*client).port()));
    assert_eq!(send(&server, b"tell", Some(from)), Ok(4));
    assert_eq!(receive(&*client).map(|(bytes, _)| bytes), Ok(b"tell".to_vec()));
    assert_eq!(send(&client, b"x", None), Err(errno::EDESTADDRREQ));
}

#[test]
fn a_connected_socket_learns_that_nobody_is_there() {
    let inet = Inet::default();
    let client = UdpSocket::new(Version::V4, &inet.udp);
    client.connect_to(at("127.0.0.1:9")).expect("a port is free");
    assert_eq!((send(&client, b"x", None), send(&client, b"x", None)), (Ok(1), Err(errno::ECONNREFUSED)));
}
