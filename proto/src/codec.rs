//! Messages to bytes and back.
//!
//! The encoding is bincode's standard one. This is the only module that names that crate (besides a helper of the
//! kernel's tests), so another encoding is a change of one file. Decoding has a byte limit, which also bounds what a length prefix can make it allocate, and
//! refuses trailing bytes.

pub use bincode::{Decode, Encode};

/// Largest encoded message in bytes.
///
/// Messages above [`crate::transport::MAX_PACKET`] travel in a memory file (see [`crate::transport`]); the limit is that
/// of `execve(2)`'s arguments on Linux (2 MiB with the usual stack limit) with room for the rest of a container's
/// description.
pub const MAX_MESSAGE: usize = 4 << 20;

/// A message could not be encoded or decoded.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// The message has no encoding, or its encoding is above the limit.
    #[error("cannot encode the message: {0}")]
    Encode(String),
    /// The bytes are not an encoding of the expected message.
    #[error("cannot decode the message: {0}")]
    Decode(String),
    /// The message is larger than [`MAX_MESSAGE`].
    #[error("the message of {0} bytes is above the limit of {MAX_MESSAGE} bytes")]
    TooLarge(usize),
    /// Bytes are left over behind the message.
    #[error("{0} bytes are left over behind the message")]
    TrailingBytes(usize),
}

fn config() -> impl bincode::config::Config {
    bincode::config::standard().with_limit::<MAX_MESSAGE>()
}

/// Encodes a message.
///
/// # Errors
///
/// [`CodecError::TooLarge`] if the encoding is above [`MAX_MESSAGE`].
pub fn encode<T: Encode>(message: &T) -> Result<Vec<u8>, CodecError> {
    let bytes =
        bincode::encode_to_vec(message, config()).map_err(|error| CodecError::Encode(error.to_string()))?;
    if bytes.len() > MAX_MESSAGE {
        return Err(CodecError::TooLarge(bytes.len()));
    }
    Ok(bytes)
}

/// Decodes a message, which must take up all of `bytes`.
///
/// # Errors
///
/// Bytes that are no encoding of `T`, are above [`MAX_MESSAGE`], or are left over.
pub fn decode<T: Decode<()>>(bytes: &[u8]) -> Result<T, CodecError> {
    if bytes.len() > MAX_MESSAGE {
        return Err(CodecError::TooLarge(bytes.len()));
    }
    let (message, used) =
        bincode::decode_from_slice(bytes, config()).map_err(|error| CodecError::Decode(error.to_string()))?;
    match bytes.len().saturating_sub(used) {
        0 => Ok(message),
        left => Err(CodecError::TrailingBytes(left)),
    }
}

/// Largest encoded image of a kernel in bytes: it holds the contents of memory file systems.
pub const MAX_IMAGE: usize = 16 << 30;

fn image_config() -> impl bincode::config::Config {
    bincode::config::standard().with_limit::<MAX_IMAGE>()
}

/// Encodes what a snapshot holds besides memory.
///
/// # Errors
///
/// [`CodecError::TooLarge`] if the encoding is above [`MAX_IMAGE`].
pub fn encode_image<T: serde::Serialize>(image: &T) -> Result<Vec<u8>, CodecError> {
    let bytes = bincode::serde::encode_to_vec(image, image_config())
        .map_err(|error| CodecError::Encode(error.to_string()))?;
    if bytes.len() > MAX_IMAGE {
        return Err(CodecError::TooLarge(bytes.len()));
    }
    Ok(bytes)
}

/// Decodes what [`encode_image`] encoded, which must take up all of `bytes`.
///
/// # Errors
///
/// Bytes that are no encoding of `T`, or are left over.
pub fn decode_image<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    let (image, used) = bincode::serde::decode_from_slice(bytes, image_config())
        .map_err(|error| CodecError::Decode(error.to_string()))?;
    match bytes.len().saturating_sub(used) {
        0 => Ok(image),
        left => Err(CodecError::TrailingBytes(left)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn refuses_trailing_bytes() {
        let mut bytes = encode(&7u32).unwrap();
        bytes.push(0);
        assert!(matches!(decode::<u32>(&bytes), Err(CodecError::TrailingBytes(1))));
    }

    #[test]
    fn refuses_a_length_prefix_above_the_limit() {
        // A vector that claims 2^60 elements, in bincode's variable-length form.
        let mut bytes = vec![253];
        bytes.extend((1u64 << 60).to_le_bytes());
        assert!(matches!(decode::<Vec<u8>>(&bytes), Err(CodecError::Decode(_))));
        assert!(matches!(decode::<Vec<u64>>(&bytes), Err(CodecError::Decode(_))));
    }

    #[test]
    fn refuses_an_encoding_above_the_limit() {
        assert!(matches!(encode(&vec![0u8; MAX_MESSAGE]), Err(CodecError::TooLarge(_))));
    }

    proptest! {
        #[test]
        fn round_trips(message: (u64, i32, Vec<Vec<u8>>, Option<String>)) {
            prop_assert_eq!(decode::<(u64, i32, Vec<Vec<u8>>, Option<String>)>(&encode(&message).unwrap()).unwrap(), message);
        }
    }
}
