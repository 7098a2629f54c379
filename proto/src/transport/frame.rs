//! The form of a packet: two header bytes, then the message or nothing.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, fstat, memfd_create};
use rustix::io::{pread, pwrite};

use super::TransportError;
use crate::codec::{CodecError, Decode, Encode, MAX_MESSAGE, decode, encode};

/// Largest packet in bytes, its header included.
pub const MAX_PACKET: usize = 64 << 10;

/// Most descriptors of one packet; Linux' own limit is 253 (`SCM_MAX_FD`).
pub const MAX_DESCRIPTORS: usize = 64;

const VERSION: u8 = 1;
const INLINE: u8 = 0;
const MEMORY_FILE: u8 = 1;

/// A message ready to be sent.
pub(super) struct Frame {
    /// The packet's bytes.
    pub(super) packet: Vec<u8>,
    /// The memory file that holds the message, if it does not fit the packet.
    pub(super) memory_file: Option<OwnedFd>,
}

impl Frame {
    /// Encodes a message.
    pub(super) fn encode<M: Encode>(message: &M) -> Result<Self, TransportError> {
        let body = encode(message)?;
        if body.len() > MAX_PACKET.saturating_sub(2) {
            let memory_file = Some(seal(&body).map_err(TransportError::io("fill a memory file"))?);
            return Ok(Self { packet: vec![VERSION, MEMORY_FILE], memory_file });
        }
        let mut packet = vec![VERSION, INLINE];
        packet.extend(body);
        Ok(Self { packet, memory_file: None })
    }
}

/// Decodes a packet. The memory file of a large message is taken off the end of `descriptors`.
pub(super) fn decode_packet<M: Decode<()>>(
    packet: &[u8],
    descriptors: &mut Vec<OwnedFd>,
) -> Result<M, TransportError> {
    match packet {
        [VERSION, INLINE, body @ ..] => Ok(decode(body)?),
        [VERSION, MEMORY_FILE] => {
            let memory_file = descriptors.pop().ok_or(TransportError::BadMemoryFile)?;
            Ok(decode(&unseal(&memory_file)?)?)
        }
        [version, kind, ..] => Err(TransportError::UnknownFrame { version: *version, kind: *kind }),
        _ => Err(TransportError::UnknownFrame { version: 0, kind: 0 }),
    }
}

const SEALS: SealFlags = SealFlags::SHRINK.union(SealFlags::GROW).union(SealFlags::WRITE);

fn seal(body: &[u8]) -> rustix::io::Result<OwnedFd> {
    let file = memfd_create("cloister-message", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    let mut written = 0usize;
    while let Some(rest) = body.get(written..).filter(|rest| !rest.is_empty()) {
        written = written.saturating_add(pwrite(&file, rest, written as u64)?);
    }
    fcntl_add_seals(&file, SEALS)?;
    Ok(file)
}

/// Reads a sealed memory file.
///
/// The seals do more than keep the bytes still: only memory files have them, so the read can neither block nor have
/// side effects.
fn unseal(file: &OwnedFd) -> Result<Vec<u8>, TransportError> {
    let seals = fcntl_get_seals(file).map_err(|_| TransportError::BadMemoryFile)?;
    if !seals.contains(SEALS) {
        return Err(TransportError::BadMemoryFile);
    }
    let size = fstat(file.as_fd()).map_err(TransportError::io("examine a memory file"))?.st_size;
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    if size > MAX_MESSAGE {
        return Err(CodecError::TooLarge(size).into());
    }
    let mut body = vec![0; size];
    let mut filled = 0usize;
    while let Some(rest) = body.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match pread(file, rest, filled as u64).map_err(TransportError::io("read a memory file"))? {
            0 => return Err(TransportError::BadMemoryFile),
            count => filled = filled.saturating_add(count),
        }
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn refuses_a_large_message_in_an_unsealed_file() {
        let mut file = tempfile();
        file.write_all(b"\x01").unwrap();
        let mut descriptors = vec![OwnedFd::from(file)];
        let result = decode_packet::<u8>(&[VERSION, MEMORY_FILE], &mut descriptors);
        assert!(matches!(result, Err(TransportError::BadMemoryFile)));
    }

    #[test]
    fn refuses_unknown_headers() {
        for packet in [&[][..], &[1], &[2, 0, 0], &[1, 2]] {
            let result = decode_packet::<u8>(packet, &mut Vec::new());
            assert!(matches!(result, Err(TransportError::UnknownFrame { .. })), "{packet:?}");
        }
    }

    fn tempfile() -> std::fs::File {
        memfd_create("unsealed", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).unwrap().into()
    }
}
