//! A server on a thread, and a client to it.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::rc::Rc;
use std::thread::JoinHandle;

use cloister_9p::client::NewFile;
use cloister_9p::{Client, ClientError};
use cloister_gofer::serve::Server;
use cloister_gofer::tree::{Access, Tree};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

/// A server that ends when its one connection is closed.
pub(crate) struct Running {
    thread: Option<JoinHandle<()>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        let result = self.thread.take().unwrap().join();
        if !std::thread::panicking() {
            result.expect("the server does not panic");
        }
    }
}

/// Two ends of a stream.
pub(crate) fn sockets() -> (OwnedFd, OwnedFd) {
    socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap()
}

/// Serves `path` on a thread. Bound in this order the socket is dropped first, which ends the server.
pub(crate) fn serve(path: &Path, access: Access) -> (Running, OwnedFd) {
    let (ours, theirs) = sockets();
    let path = path.to_owned();
    let thread = std::thread::spawn(move || {
        let tree = Rc::new(Tree::open(&path, access).unwrap());
        let mut server = Server::default();
        server.add_connection(theirs, tree);
        server.run().unwrap();
    });
    (Running { thread: Some(thread) }, ours)
}

/// The owners that this process can give a file, and these permission bits.
pub(crate) fn new_file(mode: u32) -> NewFile {
    if rustix::process::geteuid().is_root() {
        return NewFile { mode, uid: 1234, gid: 2345 };
    }
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    NewFile { mode, uid, gid }
}

/// The error number that a request failed with.
pub(crate) fn errno<T: std::fmt::Debug>(result: Result<T, ClientError>) -> Errno {
    match result.unwrap_err() {
        ClientError::Errno(errno) => number(errno),
        other => panic!("{other:?}"),
    }
}

/// An error number of the protocol.
pub(crate) fn number(errno: u32) -> Errno {
    Errno::from_raw_os_error(errno.cast_signed())
}

/// Connects with the extensions, and gives the root.
pub(crate) fn connect(socket: OwnedFd) -> (Client, cloister_9p::client::Fid) {
    let mut client = Client::connect(socket).unwrap();
    assert!(client.has_extensions());
    let root = client.attach(b"", 0).unwrap();
    (client, root)
}
