//! `recvfrom(2)`, `recvmsg(2)`, `recvmmsg(2)`.

use cloister_abi::net;
use smallvec::SmallVec;

use super::message_header::{MAX_MESSAGES, MessageHeader, header_at, write_message_len};
use super::{Address, Fd, Size, UInt};
use crate::error::{Fail, SyscallResult, fail};
use crate::event::{Events, TimeUnit};
use crate::fs::{OpenFile, OpenFlags};
use crate::mm::{MAX_RW_COUNT, UserRange};
use crate::net::channel::Take;
use crate::net::control_message::ControlWriter;
use crate::net::options::Switches;
use crate::net::wait::Transfer;
use crate::net::{Received, Socket, SocketAddress, SocketFile, SocketType, Ucred};
use crate::prelude::{SyscallCx, errno};

/// `MSG_WAITFORONE` of `recvmmsg`: only the first message is waited for.
const MSG_WAITFORONE: u32 = 0x1_0000;

/// Handles `recvfrom(sockfd, buf, len, flags, src_addr, addrlen)`; without an address it is `recv`.
pub(super) fn sys_recvfrom(
    cx: &mut SyscallCx<'_>,
    fd: Fd,
    buffer: Address,
    len: Size,
    flags: UInt,
    address: Address,
    address_len: Address,
) -> SyscallResult {
    let file = cx.file(fd)?;
    let socket = SocketFile::of(&file)?;
    let range = UserRange { address: buffer.0, len: len.min(MAX_RW_COUNT) };
    let ranges = SmallVec::from_elem(range, 1);
    let mut transfer = begin(cx, &file, &**socket, flags);
    let received = receive(cx, &**socket, &ranges, flags, &mut transfer)?;
    if !address.is_null() {
        match &received.address {
            Some(from) if has_name(from) => from.write_with_len(cx, address, address_len)?,
            _ => cx.memory().write(address_len, &0_i32)?,
        }
    }
    Ok(received.returned_len(flags).into())
}

/// Handles `recvmsg(sockfd, msg, flags)`.
pub(super) fn sys_recvmsg(cx: &mut SyscallCx<'_>, fd: Fd, address: Address, flags: UInt) -> SyscallResult {
    let file = cx.file(fd)?;
    let socket = SocketFile::of(&file)?;
    let mut transfer = begin(cx, &file, &**socket, flags);
    Ok(receive_message(cx, &**socket, address, flags, &mut transfer)?.into())
}

/// Handles `recvmmsg(sockfd, msgvec, vlen, flags, timeout)`. The time-out is looked at only between messages in Linux;
/// here it ends the wait.
pub(super) fn sys_recvmmsg(
    cx: &mut SyscallCx<'_>,
    fd: Fd,
    messages: Address,
    count: UInt,
    flags: UInt,
    timeout: Address,
) -> SyscallResult {
    let file = cx.file(fd)?;
    let socket = SocketFile::of(&file)?;
    let timeout = TimeUnit::Nanoseconds.read(cx, timeout)?;
    let is_non_blocking = file.is_non_blocking() || flags & net::MSG_DONTWAIT != 0;
    let mut received =
        Transfer::new(cx, timeout.or_else(|| socket.options().receive_timeout()), is_non_blocking);
    while received.moved < count.min(MAX_MESSAGES) as usize {
        let header = header_at(messages, received.moved);
        let mut once = Transfer::new_non_blocking();
        match receive_message(cx, &**socket, header, flags & !MSG_WAITFORONE, &mut once) {
            Ok(len) => {
                write_message_len(cx, header, len)?;
                received.moved += 1;
            }
            Err(failure) if received.moved > 0 && flags & MSG_WAITFORONE != 0 => {
                return Ok(received.end(failure)?.into());
            }
            Err(failure) => {
                if let Err(failure) = received.retry(cx, failure, socket.queue(), Events::READABLE) {
                    return Ok(received.end(failure)?.into());
                }
            }
        }
    }
    Ok(received.moved.into())
}

impl Received {
    /// Returns what the call returns: with `MSG_TRUNC` the whole length of a message that was cut off.
    fn returned_len(&self, flags: u32) -> usize {
        if flags & net::MSG_TRUNC != 0 { self.full_len } else { self.len }
    }
}

/// As in Linux a sender without a name is reported as none at all.
fn has_name(address: &SocketAddress) -> bool {
    address.to_bytes().len() > size_of::<u16>()
}

fn receive_message(
    cx: &mut SyscallCx<'_>,
    socket: &dyn Socket,
    address: Address,
    flags: u32,
    transfer: &mut Transfer,
) -> Result<usize, Fail> {
    let mut header = MessageHeader::read(cx, address)?;
    let ranges = header.ranges(cx)?;
    let received = receive(cx, socket, &ranges, flags, transfer)?;
    let room = std::mem::take(&mut header.name_len) as usize;
    if let Some(from) = received.address.as_ref().filter(|from| header.name != 0 && has_name(from)) {
        header.name_len = from.write(cx, Address(header.name), room)?;
    }
    let mut control = ControlWriter::new(header.control_len);
    if socket.options().has(Switches::PASS_CREDENTIALS) {
        let credentials = received.credentials.unwrap_or(Ucred::NOBODY).as_seen_by(cx);
        control.add(net::SOL_SOCKET, net::SCM_CREDENTIALS, zerocopy::IntoBytes::as_bytes(&credentials));
    }
    if let Some(ancillary) = &received.ancillary {
        let mut fd_flags = OpenFlags::empty();
        fd_flags.set(OpenFlags::CLOSE_ON_EXEC, flags & net::MSG_CMSG_CLOEXEC != 0);
        control.add_files(cx, ancillary, fd_flags);
    }
    header.control_len = control.write(cx, Address(header.control))?;
    header.flags = flags & net::MSG_CMSG_CLOEXEC;
    if received.full_len > received.len {
        header.flags |= net::MSG_TRUNC;
    }
    if control.is_truncated {
        header.flags |= net::MSG_CTRUNC;
    }
    header.write_back(cx, address)?;
    Ok(received.returned_len(flags))
}

fn begin(cx: &SyscallCx<'_>, file: &OpenFile, socket: &dyn Socket, flags: u32) -> Transfer {
    let is_non_blocking = file.is_non_blocking() || flags & net::MSG_DONTWAIT != 0;
    Transfer::new(cx, socket.options().receive_timeout(), is_non_blocking)
}

/// Receives a message, or what there is of a stream: with `MSG_WAITALL` as much as there is room for.
fn receive(
    cx: &mut SyscallCx<'_>,
    socket: &dyn Socket,
    ranges: &SmallVec<[UserRange; 4]>,
    flags: u32,
    transfer: &mut Transfer,
) -> Result<Received, Fail> {
    if flags & net::MSG_ERRQUEUE != 0 {
        return Err(fail(errno::EAGAIN, "no error ever comes from a network"));
    }
    if flags & net::MSG_OOB != 0 {
        let errno = if socket.domain() == net::AF_UNIX { errno::EOPNOTSUPP } else { errno::EINVAL };
        return Err(fail(errno, "urgent data is not there"));
    }
    let take = if flags & net::MSG_PEEK != 0 { Take::Peek } else { Take::Remove };
    let fills = flags & net::MSG_WAITALL != 0
        && socket.kind() == SocketType::Stream
        && take == Take::Remove
        && transfer.may_wait();
    let total: usize = ranges.iter().map(|range| range.len).sum();
    loop {
        let mut sink = cx.memory().sink_of(ranges.clone());
        sink.skip(transfer.moved);
        let mut received = match socket.receive(&mut sink, take) {
            Ok(received) => received,
            Err(errno) => {
                let failure = fail(errno, "nothing can be received");
                if let Err(failure) = transfer.retry(cx, failure, socket.queue(), Events::READABLE) {
                    let len = transfer.end(failure)?;
                    return Ok(Received { len, full_len: len, ..Received::default() });
                }
                continue;
            }
        };
        transfer.moved += received.len;
        let goes_on = fills && received.len > 0 && received.ancillary.is_none() && transfer.moved < total;
        if !goes_on {
            if fills {
                received.len = transfer.moved;
                received.full_len = transfer.moved;
            }
            return Ok(received);
        }
    }
}
