//! Which families there are.

use std::sync::Arc;

use cloister_abi::net;

use super::unix::UnixSocket;
use super::{Socket, SocketType};
use crate::context::{Because, SyscallCx};
use crate::error::{Fail, fail};
use crate::prelude::errno;

/// Makes a socket.
///
/// # Errors
///
/// `EAFNOSUPPORT` if there is no such family, `EPROTONOSUPPORT` if it has no such protocol, `ESOCKTNOSUPPORT` if it has no
/// such type.
pub(crate) fn create(
    _cx: &SyscallCx<'_>,
    domain: u32,
    kind: SocketType,
    protocol: u32,
) -> Result<Arc<dyn Socket>, Fail> {
    match domain {
        net::AF_UNIX => {
            if protocol != 0 && protocol != net::AF_UNIX {
                return Err(fail(errno::EPROTONOSUPPORT, "unknown `protocol`"));
            }
            Ok(UnixSocket::new(kind).because("unix sockets have no such type")?)
        }
        _ => Err(fail(errno::EAFNOSUPPORT, "unknown `domain`")),
    }
}
