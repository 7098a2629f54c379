//! Tests of unix sockets without tasks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::error::Errno;
use crate::event::{Events, Wake};
use crate::fs::anon::AnonFiles;
use crate::fs::{OpenFile, OpenFlags};
use crate::net::channel::Take;
use crate::net::socket::Shutdown;
use crate::net::{Ancillary, InFlight, Outgoing, Received, Socket, SocketFile, SocketType, Ucred};
use crate::prelude::errno;

fn pair(kind: SocketType) -> [Arc<UnixSocket>; 2] {
    UnixSocket::pair(kind, &Identity::for_test(1)).expect("the type is one of unix sockets")
}

fn send_with(
    socket: &Arc<UnixSocket>,
    mut bytes: &[u8],
    ancillary: Option<Ancillary>,
) -> Result<usize, Errno> {
    let credentials = Ucred { pid: 1, uid: 2, gid: 3 };
    let mut message = Outgoing { from: &mut bytes, to: None, credentials, ancillary };
    Arc::clone(socket).send(&mut message)
}

fn send(socket: &Arc<UnixSocket>, bytes: &[u8]) -> Result<usize, Errno> {
    send_with(socket, bytes, None)
}

fn receive_message(socket: &UnixSocket, max: usize, take: Take) -> Result<(Vec<u8>, Received), Errno> {
    let mut bytes = vec![0; max];
    let received = socket.receive(&mut bytes.as_mut_slice(), take)?;
    bytes.truncate(received.len);
    Ok((bytes, received))
}

fn receive(socket: &UnixSocket, max: usize) -> Result<Vec<u8>, Errno> {
    receive_message(socket, max, Take::Remove).map(|(bytes, _)| bytes)
}

fn file_of(socket: Arc<UnixSocket>) -> Arc<OpenFile> {
    open_in(&AnonFiles::default(), socket)
}

fn open_in(files: &AnonFiles, socket: Arc<UnixSocket>) -> Arc<OpenFile> {
    files.open_object("test", Box::new(SocketFile::new(socket)), OpenFlags::READ_WRITE)
}

/// Counts how often it was told.
#[derive(Default)]
struct Waiter(AtomicU32);

impl Wake for Waiter {
    fn wake(self: Arc<Self>, _events: Events) -> bool {
        self.0.fetch_add(1, Ordering::Relaxed);
        true
    }
}

#[test]
fn streams_have_no_borders() {
    let [a, b] = pair(SocketType::Stream);
    assert_eq!(receive(&b, 4), Err(errno::EAGAIN));
    assert_eq!((send(&a, b"hel"), send(&a, b"lo")), (Ok(3), Ok(2)));
    assert_eq!(receive_message(&b, 9, Take::Peek).map(|(bytes, _)| bytes), Ok(b"hello".to_vec()));
    assert_eq!((receive(&b, 4), receive(&b, 4)), (Ok(b"hell".to_vec()), Ok(b"o".to_vec())));
}

#[test]
fn packets_have_borders() {
    let [a, b] = pair(SocketType::SeqPacket);
    for packet in [b"first".as_slice(), b"", b"second"] {
        assert_eq!(send(&a, packet), Ok(packet.len()));
    }
    let (bytes, received) = receive_message(&b, 2, Take::Remove).expect("there is a packet");
    assert_eq!((bytes.as_slice(), received.full_len), (b"fi".as_slice(), 5));
    assert_eq!((receive(&b, 9), receive(&b, 9)), (Ok(vec![]), Ok(b"second".to_vec())));
    assert_eq!(send(&a, &vec![0; 300_000]), Err(errno::EMSGSIZE));
}

#[test]
fn a_full_buffer_makes_senders_wait_until_most_is_free() {
    let [a, b] = pair(SocketType::Stream);
    let sent = send(&a, &vec![1; 300_000]).expect("there is room for some");
    assert_eq!(sent, a.options().send_buffer());
    assert_eq!((send(&a, b"x"), a.poll()), (Err(errno::EAGAIN), Events::empty()));
    let waiter = Arc::new(Waiter::default());
    let _registration = a.queue().register_exclusive(Events::WRITABLE, Arc::clone(&waiter) as Arc<_>);
    assert_eq!(receive(&b, sent / 2).map(|bytes| bytes.len()), Ok(sent / 2));
    assert_eq!(waiter.0.load(Ordering::Relaxed), 0);
    assert_eq!(receive(&b, sent / 2 - 9).map(|bytes| bytes.len()), Ok(sent / 2 - 9));
    assert_eq!(waiter.0.load(Ordering::Relaxed), 1);
}

#[test]
fn the_end_comes_after_what_was_sent() {
    let [a, b] = pair(SocketType::Stream);
    assert_eq!(send(&a, b"last"), Ok(4));
    a.shutdown(Shutdown::Send).expect("unix sockets can always be shut down");
    assert_eq!(send(&a, b"x"), Err(errno::EPIPE));
    assert_eq!((receive(&b, 9), receive(&b, 9)), (Ok(b"last".to_vec()), Ok(vec![])));
    let expected = Events::READABLE | Events::RDHUP | Events::WRITABLE;
    assert_eq!(b.poll(), expected);
    drop(a);
    assert_eq!(b.poll(), expected | Events::HUP);
    assert_eq!(send(&b, b"x"), Err(errno::EPIPE));
}

#[test]
fn what_was_not_received_resets_the_other_end() {
    let [a, b] = pair(SocketType::Stream);
    assert_eq!((send(&a, b"x"), send(&b, b"y")), (Ok(1), Ok(1)));
    drop(a);
    assert!(b.poll().contains(Events::ERR | Events::HUP));
    assert_eq!(receive(&b, 9), Ok(b"x".to_vec()));
    assert_eq!((receive(&b, 9), receive(&b, 9)), (Err(errno::ECONNRESET), Ok(vec![])));
}

#[test]
fn files_come_with_the_bytes_that_they_were_sent_with() {
    let [a, b] = pair(SocketType::Stream);
    let in_flight = Arc::new(InFlight::default());
    let [sent, _other] = pair(SocketType::Stream);
    let file = file_of(sent);
    let ancillary = Ancillary::new(vec![Arc::clone(&file)], &in_flight).expect("there is room");
    assert_eq!(send(&a, b"before"), Ok(6));
    assert_eq!(send_with(&a, b"with", Some(ancillary)), Ok(4));
    assert_eq!(send(&a, b"after"), Ok(5));
    let (bytes, received) = receive_message(&b, 99, Take::Remove).expect("there are bytes");
    assert_eq!(bytes, b"beforewith");
    let ancillary = received.ancillary.expect("the file came along");
    assert!(Arc::ptr_eq(&ancillary.files()[0], &file));
    assert_eq!(received.credentials, Some(Ucred { pid: 1, uid: 2, gid: 3 }));
    assert_eq!(receive(&b, 99), Ok(b"after".to_vec()));
}

#[test]
fn files_on_their_way_are_bounded_and_dropped_without_recursion() {
    let (files, in_flight) = (AnonFiles::default(), Arc::new(InFlight::default()));
    let mut outermost = file_of(pair(SocketType::Stream)[0].clone());
    for _ in 0..16384 {
        let [a, b] = pair(SocketType::Stream);
        let ancillary = Ancillary::new(vec![outermost], &in_flight).expect("there is room");
        assert_eq!(send_with(&a, b"x", Some(ancillary)), Ok(1));
        outermost = open_in(&files, b);
    }
    let refused = Ancillary::new(vec![Arc::clone(&outermost)], &in_flight);
    assert_eq!(refused.map(drop), Err(errno::ETOOMANYREFS));
    drop(outermost);
    let again = Ancillary::new(vec![file_of(pair(SocketType::Stream)[0].clone())], &in_flight);
    drop(again.expect("there is room again"));
}

#[test]
fn connections_wait_to_be_accepted() {
    let (names, server) = (Names::default(), UnixSocket::new(SocketType::Stream).expect("the type is known"));
    server.bind_abstract(&names, Some(b"name")).expect("the name is free");
    let body = server.stream().expect("it is one for connections");
    body.listen(&server.queue, Identity::for_test(7), 0).expect("it is unconnected");
    let backlog = body.backlog().expect("it listens");
    let connect = |client: &Arc<UnixSocket>| {
        backlog.add(|| {
            let accepted = UnixSocket::accepted(&server);
            let client_end = (client, client.stream().expect("as above"), Identity::for_test(8));
            let server_end = (&accepted, accepted.stream().expect("as above"), Identity::for_test(7));
            stream::join(client_end, server_end)?;
            Ok(accepted)
        })
    };
    let [first, second] = [(); 2].map(|()| UnixSocket::new(SocketType::Stream).expect("the type is known"));
    assert_eq!((connect(&first), connect(&second)), (Ok(()), Err(errno::EAGAIN)));
    assert_eq!(send(&first, b"early"), Ok(5));
    assert_eq!(server.poll(), Events::READABLE);
    let accepted = server.accept().expect("one waits");
    let mut bytes = [0; 5];
    let received = accepted.receive(&mut bytes.as_mut_slice(), Take::Remove).expect("there are bytes");
    assert_eq!((received.len, &bytes), (5, b"early"));
    assert_eq!(accepted.local_address(), first.peer_address().expect("it is connected"));
    assert_eq!(connect(&second), Ok(()));
    drop(server);
    assert_eq!(receive(&second, 9), Ok(vec![]), "it was never accepted");
    assert!(names.find(b"name").is_none());
}

#[test]
fn abstract_names_are_taken_once_and_freed() {
    let names = Names::default();
    let [first, second] = [(); 2].map(|()| UnixSocket::new(SocketType::Datagram).expect("the type is known"));
    first.bind_abstract(&names, Some(b"a")).expect("the name is free");
    assert_eq!(second.bind_abstract(&names, Some(b"a")), Err(errno::EADDRINUSE));
    drop(first);
    second.bind_abstract(&names, Some(b"a")).expect("the name is free again");
    let third = UnixSocket::new(SocketType::Datagram).expect("the type is known");
    third.bind_abstract(&names, None).expect("most names are free");
    assert_eq!(third.name(), crate::net::address::UnixAddress::Abstract(b"00000".to_vec()));
}

#[test]
fn datagrams_wait_for_room_and_know_their_sender() {
    let [a, b] = pair(SocketType::Datagram);
    let mut sent = 0;
    while send(&a, b"datagram").is_ok() {
        sent += 1;
    }
    assert_eq!((sent, a.poll()), (11, Events::empty()));
    let waiter = Arc::new(Waiter::default());
    let _registration = a.queue().register(Events::WRITABLE, Arc::clone(&waiter) as Arc<_>);
    let (bytes, received) = receive_message(&b, 4, Take::Remove).expect("there is one");
    assert_eq!((bytes.as_slice(), received.full_len), (b"data".as_slice(), 8));
    assert_eq!(waiter.0.load(Ordering::Relaxed), 1);
    let stranger = UnixSocket::new(SocketType::Datagram).expect("the type is known");
    let body = stranger.datagram().expect("it is one for datagrams");
    assert_eq!(body.connect(&stranger, &b), Err(errno::EPERM));
    drop(b);
    assert_eq!(send(&a, b"x"), Err(errno::ECONNREFUSED));
}

#[test]
fn a_socket_that_is_not_connected_says_so() {
    let socket = UnixSocket::new(SocketType::Stream).expect("the type is known");
    assert_eq!((send(&socket, b"x"), receive(&socket, 1)), (Err(errno::ENOTCONN), Err(errno::EINVAL)));
    assert_eq!(socket.poll(), Events::WRITABLE | Events::HUP);
    assert_eq!(socket.accept().map(drop), Err(errno::EINVAL));
    assert_eq!(socket.peer_address(), Err(errno::ENOTCONN));
}
