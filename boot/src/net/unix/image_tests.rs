//! Tests of the saved form of unix sockets.

use super::*;
use crate::event::Events;
use crate::fs::OpenFlags;
use crate::fs::anon::AnonFiles;
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

fn send(socket: &Arc<UnixSocket>, mut bytes: &[u8], ancillary: Option<Ancillary>) -> Result<usize, Errno> {
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
    let (client, accepted) = (UnixSocket::new(SocketType::Stream).unwrap(), UnixSocket::accepted(&server));
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
