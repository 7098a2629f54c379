//! The form of netlink messages (`netlink(7)`, `netlink(3)`).

use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::error::Errno;

/// `NLM_F_MULTI`: more follows, up to [`DONE`].
pub(super) const MULTI: u16 = 2;
/// `NLM_F_ACK`: an answer is asked for even if there is nothing to tell.
pub(super) const ACKNOWLEDGE: u16 = 4;
/// `NLM_F_DUMP`: all objects are asked for.
pub(super) const DUMP: u16 = 0x300;

/// `NLMSG_ERROR`.
const ERROR: u16 = 2;
/// `NLMSG_DONE`.
const DONE: u16 = 3;
/// Types below this are of netlink itself.
pub(super) const MIN_TYPE: u16 = 16;

/// All is aligned to this.
const ALIGNMENT: usize = 4;

/// `struct nlmsghdr`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub(super) struct Header {
    pub(super) len: u32,
    pub(super) kind: u16,
    pub(super) flags: u16,
    pub(super) sequence: u32,
    pub(super) port: u32,
}

/// The requests in a message, each with what follows its header. What is cut off is left out.
pub(super) fn requests(mut bytes: &[u8]) -> impl Iterator<Item = (Header, &[u8])> {
    std::iter::from_fn(move || {
        let (header, _) = Header::read_from_prefix(bytes).ok()?;
        let len = usize::try_from(header.len).ok()?;
        let payload = bytes.get(size_of::<Header>()..len)?;
        bytes = bytes.get(len.next_multiple_of(ALIGNMENT)..).unwrap_or_default();
        Some((header, payload))
    })
}

/// Writes answers to a request.
#[derive(Debug)]
pub(super) struct Answer {
    bytes: Vec<u8>,
    request: Header,
    port: u32,
}

impl Answer {
    /// Begins the answer to `request`, for the socket with the port `port`.
    pub(super) fn new(request: Header, port: u32) -> Self {
        Self { bytes: Vec::new(), request, port }
    }

    /// Adds a message of the type `kind` with what `write` writes.
    pub(super) fn message(&mut self, kind: u16, flags: u16, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.bytes.len();
        let header = Header { len: 0, kind, flags, sequence: self.request.sequence, port: self.port };
        self.bytes.extend(header.as_bytes());
        write(&mut self.bytes);
        let len = u32::try_from(self.bytes.len() - start).unwrap_or(u32::MAX);
        if let Some(field) = self.bytes.get_mut(start..start + size_of::<u32>()) {
            field.copy_from_slice(&len.to_ne_bytes());
        }
        self.bytes.resize(self.bytes.len().next_multiple_of(ALIGNMENT), 0);
    }

    /// Adds the message that ends a list.
    pub(super) fn done(&mut self) {
        self.message(DONE, MULTI, |bytes| bytes.extend(0_i32.to_ne_bytes()));
    }

    /// Adds the message that tells how the request ended, with its header.
    pub(super) fn ended(&mut self, result: Result<(), Errno>) {
        let error = result.err().map_or(0, |errno| -errno.raw());
        let request = self.request;
        self.message(ERROR, 0, |bytes| {
            bytes.extend(error.to_ne_bytes());
            bytes.extend(request.as_bytes());
        });
    }

    /// Returns the messages.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// Appends an attribute (`struct rtattr`).
pub(super) fn attribute(bytes: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let len = u16::try_from(size_of::<[u16; 2]>() + value.len()).unwrap_or(u16::MAX);
    bytes.extend(len.to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(ALIGNMENT), 0);
}

/// Returns the value of the first attribute of the type `kind`.
pub(super) fn find_attribute(mut bytes: &[u8], kind: u16) -> Option<&[u8]> {
    loop {
        let ([len, found], _) = <[u16; 2]>::read_from_prefix(bytes).ok()?;
        let len = usize::from(len);
        let value = bytes.get(size_of::<[u16; 2]>()..len)?;
        if found == kind {
            return Some(value);
        }
        bytes = bytes.get(len.next_multiple_of(ALIGNMENT)..)?;
    }
}
