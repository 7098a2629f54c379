//! How unix sockets are named and found.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use cloister_sync::{Lock, class};

use super::UnixSocket;
use crate::context::SyscallCx;
use crate::error::{Errno, Fail};
use crate::fs::permission;
use crate::fs::{Access, FileKind, Follow, Inode, NewInodeKind, NewName, Walker, names};
use crate::net::address::UnixAddress;
use crate::prelude::errno;

/// The abstract names of the sandbox. Clones are the same table.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    table: Arc<Lock<Table, { class::SOCKET_NAMES }>>,
}

#[derive(Debug, Default)]
struct Table {
    sockets: BTreeMap<Vec<u8>, Weak<UnixSocket>>,
    next_automatic: u32,
}

/// Automatic names are five hexadecimal digits.
const AUTOMATIC_NAMES: u32 = 1 << 20;

/// What the anchor of a bound inode refers to.
#[derive(Debug)]
struct BoundSocket(Weak<UnixSocket>);

impl Names {
    /// Gives `socket` the abstract name `name`.
    ///
    /// # Errors
    ///
    /// `EADDRINUSE` if another socket has it.
    pub(super) fn bind(&self, name: &[u8], socket: &Arc<UnixSocket>) -> Result<(), Errno> {
        let mut table = self.table.lock();
        if table.is_used(name) {
            return Err(errno::EADDRINUSE);
        }
        table.sockets.insert(name.to_vec(), Arc::downgrade(socket));
        Ok(())
    }

    /// Gives `socket` an abstract name that no other one has, and returns it.
    ///
    /// # Errors
    ///
    /// `ENOSPC` if all are used.
    pub(super) fn bind_automatically(&self, socket: &Arc<UnixSocket>) -> Result<Vec<u8>, Errno> {
        let mut table = self.table.lock();
        for _ in 0..AUTOMATIC_NAMES {
            let name = format!("{:05x}", table.next_automatic).into_bytes();
            table.next_automatic = (table.next_automatic + 1) % AUTOMATIC_NAMES;
            if !table.is_used(&name) {
                table.sockets.insert(name.clone(), Arc::downgrade(socket));
                return Ok(name);
            }
        }
        Err(errno::ENOSPC)
    }

    /// Frees a name whose socket is being dropped.
    pub(super) fn unbind(&self, name: &[u8]) {
        let mut table = self.table.lock();
        if !table.is_used(name) {
            table.sockets.remove(name);
        }
    }

    /// Returns the socket with an abstract name.
    pub(super) fn find(&self, name: &[u8]) -> Option<Arc<UnixSocket>> {
        self.table.lock().sockets.get(name).and_then(Weak::upgrade)
    }
}

impl Table {
    fn is_used(&self, name: &[u8]) -> bool {
        self.sockets.get(name).is_some_and(|socket| socket.strong_count() > 0)
    }
}

/// Makes the name `path` in the file system for `socket`, which is to keep the inode: a file system that forgets what nobody
/// uses would forget that the socket is bound to it.
///
/// # Errors
///
/// `EADDRINUSE` if the name exists, and as `mknod(2)`.
pub(super) fn bind_path(
    cx: &SyscallCx<'_>,
    path: &[u8],
    socket: &Arc<UnixSocket>,
) -> Result<Arc<dyn Inode>, Fail> {
    let mut walker = Walker::new(cx.task);
    let (directory, last) = walker.walk_to_last(cx.task.fs().cwd(), path)?;
    let at = NewName { directory, last };
    let made = names::create(&walker, &at, NewInodeKind::Socket, 0o777);
    let made = made.map_err(|errno| if errno == errno::EEXIST { errno::EADDRINUSE } else { errno })?;
    bind_inode(&**made.inode(), socket);
    Ok(Arc::clone(made.inode()))
}

/// Lets `inode` stand for `socket`.
pub(super) fn bind_inode(inode: &dyn Inode, socket: &Arc<UnixSocket>) {
    let bound = Arc::new(BoundSocket(Arc::downgrade(socket)));
    *inode.anchors().get_or_init().object.lock() = Some(bound);
}

/// Returns the socket that is bound to `address`.
///
/// # Errors
///
/// `ECONNREFUSED` if none is, `EACCES` if the caller may not write to the name, and as `stat(2)`.
pub(super) fn find(cx: &SyscallCx<'_>, address: &UnixAddress) -> Result<Arc<UnixSocket>, Fail> {
    match address {
        UnixAddress::Unnamed => Err(errno::EINVAL.into()),
        UnixAddress::Abstract(name) => Ok(cx.task.net().unix_names.find(name).ok_or(errno::ECONNREFUSED)?),
        UnixAddress::Path(path) => {
            let mut walker = Walker::new(cx.task);
            let found = walker.lookup(cx.task.fs().cwd(), path, Follow::Yes)?;
            permission::check(walker.credentials(), &found, Access::WRITE)?;
            if found.inode().kind() != FileKind::Socket {
                return Err(errno::ECONNREFUSED.into());
            }
            let object = found.inode().anchors().get().and_then(|anchors| anchors.object.lock().clone());
            let bound = object.and_then(|object| object.downcast::<BoundSocket>().ok());
            Ok(bound.and_then(|bound| bound.0.upgrade()).ok_or(errno::ECONNREFUSED)?)
        }
    }
}
