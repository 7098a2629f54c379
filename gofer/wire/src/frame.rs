//! Whole messages: a header of size, type and tag, then the body.

use crate::codec::{Field, Malformed, TooLong};
use crate::message::Encode;

/// The bytes of a header.
pub const HEADER_SIZE: usize = 7;

/// A whole message, borrowed from a receive buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The type number.
    pub kind: u8,
    /// The number by which an answer finds its request.
    pub tag: u16,
    /// What follows the header.
    pub body: &'a [u8],
}

/// Splits the first whole message off `bytes`, and says how many bytes it took.
///
/// `None` means that more bytes are needed.
///
/// # Errors
///
/// [`Malformed::BadSize`] if the message says to be smaller than its header or larger than `msize`. Where the next
/// message begins is then not known, and the connection is lost.
pub fn split(bytes: &[u8], msize: u32) -> Result<Option<(Frame<'_>, usize)>, Malformed> {
    let Some((size, _)) = bytes.split_first_chunk() else { return Ok(None) };
    let size = u32::from_le_bytes(*size);
    let len = usize::try_from(size).map_err(|_| Malformed::BadSize(size))?;
    if len < HEADER_SIZE || size > msize {
        return Err(Malformed::BadSize(size));
    }
    let Some((&[_, _, _, _, kind, tag_low, tag_high, ref body @ ..], _)) = bytes.split_at_checked(len) else {
        return Ok(None);
    };
    Ok(Some((Frame { kind, tag: u16::from_le_bytes([tag_low, tag_high]), body }, len)))
}

/// Puts a whole message into `out`, in place of what is there.
///
/// # Errors
///
/// [`TooLong`] if a field does not fit its counter, or the message does not fit `msize`.
pub fn encode<M: Encode>(message: &M, tag: u16, msize: u32, out: &mut Vec<u8>) -> Result<(), TooLong> {
    out.clear();
    0_u32.put(out)?;
    M::TYPE.put(out)?;
    tag.put(out)?;
    message.encode(out)?;
    let size = u32::try_from(out.len()).map_err(|_| TooLong)?;
    if size > msize {
        return Err(TooLong);
    }
    if let Some(header) = out.first_chunk_mut() {
        *header = size.to_le_bytes();
    }
    Ok(())
}
