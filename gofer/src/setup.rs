//! From the command line to a server that can run.

use std::collections::HashSet;
use std::io;
use std::os::fd::{OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use crate::cli::{Args, Listen, Serve};
use crate::sandbox::{self, FilterError};
use crate::serve::Server;
use crate::sys;
use crate::tree::{Access, Tree};

/// Why nothing can be served.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// Neither `--serve` nor `--listen` was given.
    #[error("nothing to serve: give `--serve FD:PATH` or `--listen SOCKET:PATH` (see `--help`)")]
    Nothing,
    /// A descriptor is not there.
    #[error("descriptor {number} was not inherited, or is given twice: {source}")]
    Descriptor {
        /// Its number.
        number: RawFd,
        /// The cause.
        source: Errno,
    },
    /// A descriptor is not a socket to serve over.
    #[error("descriptor {0} is not a connected stream socket")]
    NotASocket(RawFd),
    /// A connection cannot be set up.
    #[error("cannot set the time-out of a connection: {0}")]
    Connection(io::Error),
    /// A socket cannot be made.
    #[error("cannot listen at `{path}` (remove it if no other process uses it): {source}")]
    Listen {
        /// Where.
        path: PathBuf,
        /// The cause.
        source: Errno,
    },
    /// What is to be served cannot be opened.
    #[error("cannot open `{path}` to serve it: {source}")]
    Tree {
        /// What.
        path: PathBuf,
        /// The cause.
        source: Errno,
    },
    /// The root cannot be changed.
    #[error("cannot make `{path}` the root directory: {source}")]
    Root {
        /// What.
        path: PathBuf,
        /// The cause.
        source: Errno,
    },
    /// Capabilities cannot be dropped.
    #[error("cannot drop capabilities: {0}")]
    Capabilities(Errno),
    /// The filter cannot be installed.
    #[error("{0}")]
    Filter(#[from] FilterError),
}

/// The descriptors named on the command line, taken over once each.
#[derive(Debug, Default)]
pub struct Inherited(HashSet<RawFd>);

impl Inherited {
    /// Takes a descriptor over, which no program that this one could start inherits again.
    pub fn take(&mut self, number: RawFd) -> Result<OwnedFd, SetupError> {
        let error = |source| SetupError::Descriptor { number, source };
        if !self.0.insert(number) {
            return Err(error(Errno::EXIST));
        }
        let fd = sys::adopt(number).map_err(error)?;
        rustix::io::fcntl_setfd(&fd, rustix::io::FdFlags::CLOEXEC).map_err(error)?;
        Ok(fd)
    }
}

/// Makes the server, and shuts the process in.
///
/// Sockets are made before the root is changed, and trees are opened after it.
pub fn prepare(args: &Args, inherited: &mut Inherited) -> Result<Server, SetupError> {
    if args.serve.is_empty() && args.listen.is_empty() {
        return Err(SetupError::Nothing);
    }
    sandbox::raise_descriptor_limit();
    // Files are to get exactly the permission bits that clients name.
    rustix::process::umask(Mode::empty());
    let sockets =
        args.serve.iter().map(|serve| connection(serve, inherited)).collect::<Result<Vec<_>, _>>()?;
    let listeners = args.listen.iter().map(listen).collect::<Result<Vec<_>, _>>()?;
    if let Some(path) = &args.chroot {
        sandbox::enter_root(path).map_err(|source| SetupError::Root { path: path.clone(), source })?;
    }
    let mut server = Server::default();
    for (Serve { path, access, .. }, socket) in args.serve.iter().zip(sockets) {
        server.add_connection(socket, open_tree(path, *access)?);
    }
    for (Listen { path, access, .. }, socket) in args.listen.iter().zip(listeners) {
        server.add_listener(socket, open_tree(path, *access)?);
    }
    server.watch_for_idleness().map_err(SetupError::Connection)?;
    if !args.no_sandbox {
        sandbox::keep_file_capabilities().map_err(SetupError::Capabilities)?;
        sandbox::install()?;
    }
    Ok(server)
}

fn open_tree(path: &Path, access: Access) -> Result<Rc<Tree>, SetupError> {
    let tree =
        Tree::open(path, access).map_err(|source| SetupError::Tree { path: path.to_owned(), source })?;
    Ok(Rc::new(tree))
}

fn connection(serve: &Serve, inherited: &mut Inherited) -> Result<OwnedFd, SetupError> {
    let number = serve.fd;
    let socket = inherited.take(number)?;
    if rustix::net::sockopt::socket_type(&socket) != Ok(SocketType::STREAM) {
        return Err(SetupError::NotASocket(number));
    }
    // The loop waits in receives.
    rustix::io::ioctl_fionbio(&socket, false).map_err(|source| SetupError::Descriptor { number, source })?;
    Ok(socket)
}

fn listen(listen: &Listen) -> Result<OwnedFd, SetupError> {
    let make_fn = || {
        let address = SocketAddrUnix::new(&*listen.socket)?;
        let socket =
            rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        let umask = rustix::process::umask(Mode::from_raw_mode(0o177));
        let bound = rustix::net::bind(&socket, &address);
        rustix::process::umask(umask);
        bound?;
        rustix::net::listen(&socket, 16)?;
        Ok(socket)
    };
    make_fn().map_err(|source| SetupError::Listen { path: listen.socket.clone(), source })
}

/// Runs the server.
pub fn run(mut server: Server) -> io::Result<()> {
    server.run()
}
