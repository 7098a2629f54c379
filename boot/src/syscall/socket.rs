//! Making, naming and connecting sockets: `socket(2)`, `socketpair(2)`, `bind(2)`, `listen(2)`, `accept(2)`,
//! `connect(2)`, `getsockname(2)`, `getpeername(2)`, `shutdown(2)`.

use std::sync::Arc;

use cloister_abi::net;

use super::{Address, Fd, Int};
use crate::context::Because;
use crate::error::{Fail, SyscallResult, fail};
use crate::event::Events;
use crate::fs::{OpenFile, OpenFlags, anon};
use crate::net::socket::Shutdown;
use crate::net::unix::{Identity, UnixSocket};
use crate::net::wait::Transfer;
use crate::net::{self as sockets, Socket, SocketAddress, SocketFile, SocketType};
use crate::prelude::{SyscallCx, errno};

/// The flags among the bits of a type: `SOCK_CLOEXEC` and `SOCK_NONBLOCK` are those of `open`.
const FLAGS: OpenFlags = OpenFlags::CLOSE_ON_EXEC.union(OpenFlags::NON_BLOCKING);

/// The bits of a type that are the type.
const TYPE_MASK: u32 = 0xf;

fn parse_type(raw: i32) -> Result<(SocketType, OpenFlags), Fail> {
    let raw = raw.cast_unsigned();
    let flags = OpenFlags::from_bits_retain(raw & !TYPE_MASK);
    if !FLAGS.contains(flags) {
        return Err(fail(errno::EINVAL, "unknown flags in `type`"));
    }
    Ok((SocketType::from_raw(raw & TYPE_MASK).because("unknown `type`")?, flags))
}

fn open(cx: &SyscallCx<'_>, socket: Arc<dyn Socket>, flags: OpenFlags) -> Arc<OpenFile> {
    anon::open_socket(cx, Box::new(SocketFile::new(socket)), flags & OpenFlags::NON_BLOCKING)
}

/// Handles `socket(domain, type, protocol)`.
pub(super) fn sys_socket(cx: &mut SyscallCx<'_>, domain: Int, kind: Int, protocol: Int) -> SyscallResult {
    let (kind, flags) = parse_type(kind)?;
    let socket = sockets::create(cx, domain.cast_unsigned(), kind, protocol.cast_unsigned())?;
    let file = open(cx, socket, flags);
    Ok(anon::install(cx, file, flags)?.into())
}

/// Handles `socketpair(domain, type, protocol, sv)`.
pub(super) fn sys_socketpair(
    cx: &mut SyscallCx<'_>,
    domain: Int,
    kind: Int,
    protocol: Int,
    fds: Address,
) -> SyscallResult {
    let (kind, flags) = parse_type(kind)?;
    match (domain.cast_unsigned(), protocol.cast_unsigned()) {
        (net::AF_UNIX, 0 | net::AF_UNIX) => {}
        (net::AF_UNIX, _) => return Err(fail(errno::EPROTONOSUPPORT, "unknown `protocol`")),
        (net::AF_INET | net::AF_INET6, _) => {
            return Err(fail(errno::EOPNOTSUPP, "only unix sockets come in pairs"));
        }
        _ => return Err(fail(errno::EAFNOSUPPORT, "only unix sockets come in pairs")),
    }
    let pair = UnixSocket::pair(kind, &Identity::of(cx.task)).because("unix sockets have no such type")?;
    let files = pair.map(|socket| open(cx, socket, flags));
    anon::install_pair(cx, files, fds, flags)
}

/// Handles `bind(sockfd, addr, addrlen)`.
pub(super) fn sys_bind(cx: &mut SyscallCx<'_>, fd: Fd, address: Address, len: Int) -> SyscallResult {
    let file = cx.file(fd)?;
    let socket = SocketFile::of(&file)?;
    let address = SocketAddress::read(cx, address, len)?;
    Arc::clone(socket).bind(cx, &address)?;
    Ok(().into())
}

/// Handles `listen(sockfd, backlog)`.
pub(super) fn sys_listen(cx: &mut SyscallCx<'_>, fd: Fd, backlog: Int) -> SyscallResult {
    let file = cx.file(fd)?;
    // A negative number is a large one.
    let most = i32::try_from(cx.kernel().parameters.backlog.get()).unwrap_or(i32::MAX);
    let backlog = if backlog < 0 { most } else { backlog.min(most) };
    Arc::clone(SocketFile::of(&file)?).listen(cx, backlog)?;
    Ok(().into())
}

/// Handles `connect(sockfd, addr, addrlen)`.
pub(super) fn sys_connect(cx: &mut SyscallCx<'_>, fd: Fd, address: Address, len: Int) -> SyscallResult {
    let file = cx.file(fd)?;
    let socket = SocketFile::of(&file)?;
    let address = SocketAddress::read(cx, address, len)?;
    Arc::clone(socket).connect(cx, &address, file.is_non_blocking())?;
    Ok(().into())
}

/// Handles `accept(sockfd, addr, addrlen)`.
pub(super) fn sys_accept(cx: &mut SyscallCx<'_>, fd: Fd, address: Address, len: Address) -> SyscallResult {
    sys_accept4(cx, fd, address, len, 0)
}

/// Handles `accept4(sockfd, addr, addrlen, flags)`.
pub(super) fn sys_accept4(
    cx: &mut SyscallCx<'_>,
    fd: Fd,
    address: Address,
    len: Address,
    raw_flags: Int,
) -> SyscallResult {
    let flags = OpenFlags::from_bits_retain(raw_flags.cast_unsigned());
    if !FLAGS.contains(flags) {
        return Err(fail(errno::EINVAL, "unknown `flags`"));
    }
    let file = cx.file(fd)?;
    let socket = SocketFile::of(&file)?;
    let mut transfer = Transfer::new(cx, socket.options().receive_timeout(), file.is_non_blocking());
    let accepted = loop {
        match socket.accept().because("no connection") {
            Ok(accepted) => break accepted,
            Err(failure) => transfer.retry(cx, failure, socket.queue(), Events::READABLE)?,
        }
    };
    let peer = accepted.peer_address();
    let accepted = open(cx, accepted, flags);
    let new_fd = anon::install(cx, accepted, flags)?;
    if !address.is_null() {
        let written = match peer {
            Ok(peer) => peer.write_with_len(cx, address, len),
            // It was closed before it was accepted.
            Err(errno) => Err(if errno == errno::ENOTCONN { errno::ECONNABORTED } else { errno }.into()),
        };
        written.inspect_err(|_| drop(cx.files().remove(new_fd)))?;
    }
    Ok(new_fd.into())
}

/// Handles `getsockname(sockfd, addr, addrlen)`.
pub(super) fn sys_getsockname(
    cx: &mut SyscallCx<'_>,
    fd: Fd,
    address: Address,
    len: Address,
) -> SyscallResult {
    let file = cx.file(fd)?;
    SocketFile::of(&file)?.local_address().write_with_len(cx, address, len)?;
    Ok(().into())
}

/// Handles `getpeername(sockfd, addr, addrlen)`.
pub(super) fn sys_getpeername(
    cx: &mut SyscallCx<'_>,
    fd: Fd,
    address: Address,
    len: Address,
) -> SyscallResult {
    let file = cx.file(fd)?;
    let peer = SocketFile::of(&file)?.peer_address().because("not connected")?;
    peer.write_with_len(cx, address, len)?;
    Ok(().into())
}

/// Handles `shutdown(sockfd, how)`.
pub(super) fn sys_shutdown(cx: &mut SyscallCx<'_>, fd: Fd, how: Int) -> SyscallResult {
    let how = match how.cast_unsigned() {
        net::SHUT_RD => Shutdown::Receive,
        net::SHUT_WR => Shutdown::Send,
        net::SHUT_RDWR => Shutdown::Both,
        _ => return Err(fail(errno::EINVAL, "unknown `how`")),
    };
    let file = cx.file(fd)?;
    SocketFile::of(&file)?.shutdown(how).because("not connected")?;
    Ok(().into())
}
