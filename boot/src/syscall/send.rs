//! `sendto(2)`, `sendmsg(2)`, `sendmmsg(2)`.

use std::sync::Arc;

use cloister_abi::net;
use smallvec::SmallVec;

use super::message_header::{MAX_MESSAGES, MessageHeader, header_at, write_message_len};
use super::{Address, Fd, Int, Size, UInt};
use crate::error::{Fail, SyscallResult, fail};
use crate::event::Events;
use crate::fs::OpenFile;
use crate::mm::{MAX_RW_COUNT, UserRange};
use crate::net::control_message::Control;
use crate::net::wait::Transfer;
use crate::net::{Ancillary, Destination, Outgoing, Socket, SocketAddress, SocketFile, SocketType, Ucred};
use crate::prelude::{SyscallCx, errno};
use crate::signal::{self, Signal, SignalInfo};

/// A message to be sent.
struct Message {
    ranges: SmallVec<[UserRange; 4]>,
    to: Option<SocketAddress>,
    control: Control,
}

/// Handles `sendto(sockfd, buf, len, flags, dest_addr, addrlen)`; without an address it is `send`.
pub(super) fn sys_sendto(
    cx: &mut SyscallCx<'_>,
    fd: Fd,
    buffer: Address,
    len: Size,
    flags: UInt,
    address: Address,
    address_len: Int,
) -> SyscallResult {
    let file = cx.file(fd)?;
    let socket = SocketFile::of(&file)?;
    let to = if address.is_null() { None } else { Some(SocketAddress::read(cx, address, address_len)?) };
    let range = UserRange { address: buffer.0, len: len.min(MAX_RW_COUNT) };
    let message = Message { ranges: SmallVec::from_elem(range, 1), to, control: Control::default() };
    let mut transfer = begin(cx, &file, &**socket, flags);
    Ok(send(cx, socket, &message, flags, &mut transfer)?.into())
}

/// Handles `sendmsg(sockfd, msg, flags)`.
pub(super) fn sys_sendmsg(cx: &mut SyscallCx<'_>, fd: Fd, header: Address, flags: UInt) -> SyscallResult {
    let file = cx.file(fd)?;
    let socket = SocketFile::of(&file)?;
    let message = read_message(cx, header)?;
    let mut transfer = begin(cx, &file, &**socket, flags);
    Ok(send(cx, socket, &message, flags, &mut transfer)?.into())
}

/// Handles `sendmmsg(sockfd, msgvec, vlen, flags)`. A message of a stream that was sent in part when the call has to wait
/// counts as sent.
pub(super) fn sys_sendmmsg(
    cx: &mut SyscallCx<'_>,
    fd: Fd,
    messages: Address,
    count: UInt,
    flags: UInt,
) -> SyscallResult {
    let file = cx.file(fd)?;
    let socket = SocketFile::of(&file)?;
    let mut sent = begin(cx, &file, &**socket, flags);
    while sent.moved < count.min(MAX_MESSAGES) as usize {
        let header = header_at(messages, sent.moved);
        let message = match read_message(cx, header) {
            Ok(message) => message,
            Err(failure) => return Ok(sent.end(failure)?.into()),
        };
        // Each message is one attempt: what waits is the call as a whole.
        let mut once = Transfer::new_non_blocking();
        match send(cx, socket, &message, flags, &mut once) {
            Ok(len) => {
                write_message_len(cx, header, len)?;
                sent.moved += 1;
            }
            Err(failure) => {
                let queue = socket.send_queue(resolve(cx, socket, &message)?.as_ref());
                if let Err(failure) = sent.retry(cx, failure, &queue, Events::WRITABLE) {
                    return Ok(sent.end(failure)?.into());
                }
            }
        }
    }
    Ok(sent.moved.into())
}

fn read_message(cx: &SyscallCx<'_>, address: Address) -> Result<Message, Fail> {
    let header = MessageHeader::read(cx, address)?;
    let to = match header.name_len {
        0 => None,
        len => Some(SocketAddress::read(cx, Address(header.name), len.cast_signed())?),
    };
    let control = match header.control_len {
        0 => Control::default(),
        len => Control::read(cx, Address(header.control), len)?,
    };
    Ok(Message { ranges: header.ranges(cx)?, to, control })
}

fn begin(cx: &SyscallCx<'_>, file: &OpenFile, socket: &dyn Socket, flags: u32) -> Transfer {
    let is_non_blocking = file.is_non_blocking() || flags & net::MSG_DONTWAIT != 0;
    Transfer::new(cx, socket.options().send_timeout(), is_non_blocking)
}

fn resolve(
    cx: &mut SyscallCx<'_>,
    socket: &Arc<dyn Socket>,
    message: &Message,
) -> Result<Option<Destination>, Fail> {
    message.to.as_ref().map(|address| socket.resolve(cx, address)).transpose()
}

/// Sends a message; all of it if it is of a stream and the call may wait. Returns how much was sent.
fn send(
    cx: &mut SyscallCx<'_>,
    socket: &Arc<dyn Socket>,
    message: &Message,
    flags: u32,
    transfer: &mut Transfer,
) -> Result<usize, Fail> {
    if flags & net::MSG_OOB != 0 {
        return Err(fail(errno::EOPNOTSUPP, "urgent data is not there"));
    }
    let to = resolve(cx, socket, message)?;
    let total: usize = message.ranges.iter().map(|range| range.len).sum();
    let credentials = message.control.credentials.unwrap_or_else(|| Ucred::real(cx.task));
    let in_flight = Arc::clone(&cx.kernel().in_flight);
    let is_stream = socket.kind() == SocketType::Stream;
    loop {
        let mut source = cx.memory().source_of(message.ranges.clone());
        source.skip(transfer.moved);
        let ancillary = match message.control.files.as_slice() {
            files if !files.is_empty() && transfer.moved == 0 => {
                Some(Ancillary::new(files.to_vec(), &in_flight)?)
            }
            _ => None,
        };
        let mut outgoing = Outgoing { from: &mut source, to: to.as_ref(), credentials, ancillary };
        match Arc::clone(socket).send(&mut outgoing) {
            Ok(sent) => {
                transfer.moved += sent;
                if !is_stream || transfer.moved >= total || !transfer.may_wait() || sent == 0 {
                    return Ok(transfer.moved);
                }
            }
            Err(errno) => {
                if errno == errno::EPIPE && is_stream && transfer.moved == 0 && flags & net::MSG_NOSIGNAL == 0
                {
                    signal::send_to_task(cx.task, SignalInfo::kernel(Signal::PIPE));
                }
                let queue = socket.send_queue(to.as_ref());
                let failure = fail(errno, "the message can't be sent");
                if let Err(failure) = transfer.retry(cx, failure, &queue, Events::WRITABLE) {
                    return transfer.end(failure);
                }
            }
        }
    }
}
