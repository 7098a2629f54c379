//! `getsockopt(2)`, `setsockopt(2)`.

use cloister_abi::net;

use super::{Address, Fd, Int};
use crate::error::{Fail, SyscallResult, fail};
use crate::net::{Socket, SocketFile};
use crate::prelude::{SyscallCx, errno};

/// No option is longer.
const MAX_BYTES: usize = 1024;

/// Handles `getsockopt(sockfd, level, optname, optval, optlen)`: gives as much of the value as there is room for.
pub(super) fn sys_getsockopt(
    cx: &mut SyscallCx<'_>,
    fd: Fd,
    level: Int,
    name: Int,
    value: Address,
    len: Address,
) -> SyscallResult {
    let file = cx.file(fd)?;
    let socket = SocketFile::of(&file)?;
    let room: i32 = cx.memory().read(len)?;
    let room = usize::try_from(room).map_err(|_| fail(errno::EINVAL, "`optlen` is negative"))?;
    let (level, name) = (level.cast_unsigned(), name.cast_unsigned());
    let bytes = get(cx, &**socket, level, name)?;
    let whole = i32::try_from(bytes.len()).unwrap_or(i32::MAX);
    if (level, name) == (net::SOL_SOCKET, net::SO_PEERGROUPS) && room < bytes.len() {
        // The one option that is not cut off: the caller learns how much room it needs.
        cx.memory().write(len, &whole)?;
        return Err(fail(errno::ERANGE, "`optlen` is too small"));
    }
    cx.memory().write_bytes(value, bytes.get(..room).unwrap_or(&bytes))?;
    cx.memory().write(len, &whole.min(i32::try_from(room).unwrap_or(i32::MAX)))?;
    Ok(().into())
}

fn get(cx: &SyscallCx<'_>, socket: &dyn Socket, level: u32, name: u32) -> Result<Vec<u8>, Fail> {
    if level != net::SOL_SOCKET {
        return socket.get_option(cx, level, name);
    }
    let value = match name {
        net::SO_TYPE => socket.kind().to_raw(),
        net::SO_DOMAIN => socket.domain(),
        net::SO_PROTOCOL => socket.protocol(),
        net::SO_ACCEPTCONN => u32::from(socket.is_listening()),
        net::SO_PEERCRED | net::SO_PEERGROUPS => return socket.get_option(cx, level, name),
        _ => return socket.options().get(name),
    };
    Ok(value.to_ne_bytes().to_vec())
}

/// Handles `setsockopt(sockfd, level, optname, optval, optlen)`.
pub(super) fn sys_setsockopt(
    cx: &mut SyscallCx<'_>,
    fd: Fd,
    level: Int,
    name: Int,
    value: Address,
    len: Int,
) -> SyscallResult {
    let file = cx.file(fd)?;
    let socket = SocketFile::of(&file)?;
    let len = usize::try_from(len).map_err(|_| fail(errno::EINVAL, "`optlen` is negative"))?;
    let value: Vec<u8> = cx.memory().read_array(value, len.min(MAX_BYTES))?;
    let (level, name) = (level.cast_unsigned(), name.cast_unsigned());
    if level == net::SOL_SOCKET {
        socket.options().set(name, &value)?;
    } else {
        socket.set_option(cx, level, name, &value)?;
    }
    Ok(().into())
}
