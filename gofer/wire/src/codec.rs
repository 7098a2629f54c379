//! How fields are laid out: little-endian integers, counted strings, counted lists (`intro(5)`, "Messages").

use std::fmt;

/// Why bytes are not a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// A field reaches beyond the end of the message.
    #[error("the message ends in the middle of a field")]
    Truncated,
    /// Bytes are left after the last field.
    #[error("bytes are left over after the last field of the message")]
    Trailing,
    /// A list has more elements than its message allows.
    #[error("a list in the message is longer than allowed")]
    TooMany,
    /// A field has a value that is not defined.
    #[error("a field of the message has an undefined value")]
    Undefined,
    /// The type of the message is not one of the protocol.
    #[error("message type {0} is not known")]
    UnknownType(u8),
    /// The message's own size is smaller than a header or larger than agreed.
    #[error("a message of {0} bytes is too short or too long")]
    BadSize(u32),
}

/// A value cannot be expressed in the wire format, because it is too long for its counter or for the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a value is too long for the wire format")]
pub struct TooLong;

/// The rest of a message that is being decoded.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    /// Starts to decode `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Takes the next `len` bytes.
    pub fn take(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (head, tail) = self.0.split_at_checked(len).ok_or(Malformed::Truncated)?;
        self.0 = tail;
        Ok(head)
    }

    /// Takes the next `N` bytes as an array.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (head, tail) = self.0.split_first_chunk().ok_or(Malformed::Truncated)?;
        self.0 = tail;
        Ok(*head)
    }

    /// True when all was decoded.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Decodes all of `bytes` with `decode_fn`.
///
/// # Errors
///
/// Those of `decode_fn`, and [`Malformed::Trailing`] if it leaves bytes.
pub fn decode_all<'a, T>(
    bytes: &'a [u8],
    decode_fn: impl FnOnce(&mut Input<'a>) -> Result<T, Malformed>,
) -> Result<T, Malformed> {
    let mut input = Input(bytes);
    let value = decode_fn(&mut input)?;
    if input.is_empty() { Ok(value) } else { Err(Malformed::Trailing) }
}

/// A value that is part of a message.
pub trait Field<'a>: Sized {
    /// Takes the value from the front of `input`.
    fn get(input: &mut Input<'a>) -> Result<Self, Malformed>;

    /// Appends the value to `out`.
    fn put(&self, out: &mut Vec<u8>) -> Result<(), TooLong>;
}

/// Implements [`Field`] for unsigned and signed integers.
macro_rules! integer_fields {
    ($($int:ty),*) => {$(
        impl<'a> Field<'a> for $int {
            fn get(input: &mut Input<'a>) -> Result<Self, Malformed> {
                input.array().map(Self::from_le_bytes)
            }
            fn put(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
                out.extend_from_slice(&self.to_le_bytes());
                Ok(())
            }
        }
    )*};
}
integer_fields!(u8, u16, u32, u64, i64);

/// A string: two bytes of length, then the bytes. The standard says UTF-8, Linux says any bytes: so do we.
impl<'a> Field<'a> for &'a [u8] {
    fn get(input: &mut Input<'a>) -> Result<Self, Malformed> {
        let len = u16::get(input)?;
        input.take(usize::from(len))
    }

    fn put(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        u16::try_from(self.len()).map_err(|_| TooLong)?.put(out)?;
        out.extend_from_slice(self);
        Ok(())
    }
}

/// File contents or packed directory entries: four bytes of length, then the bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Data<'a>(pub &'a [u8]);

impl fmt::Debug for Data<'_> {
    /// Shows the length only: contents are long, and not for logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Data({} bytes)", self.0.len())
    }
}

impl<'a> Field<'a> for Data<'a> {
    fn get(input: &mut Input<'a>) -> Result<Self, Malformed> {
        let len = u32::get(input)?;
        input.take(usize::try_from(len).map_err(|_| Malformed::Truncated)?).map(Self)
    }

    fn put(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        u32::try_from(self.0.len()).map_err(|_| TooLong)?.put(out)?;
        out.extend_from_slice(self.0);
        Ok(())
    }
}

/// A list of at most `MAX` elements: two bytes of count, then the elements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List<T, const MAX: usize>(pub Vec<T>);

impl<'a, T: Field<'a>, const MAX: usize> Field<'a> for List<T, MAX> {
    fn get(input: &mut Input<'a>) -> Result<Self, Malformed> {
        let len = usize::from(u16::get(input)?);
        if len > MAX {
            return Err(Malformed::TooMany);
        }
        (0..len).map(|_| T::get(input)).collect::<Result<_, _>>().map(Self)
    }

    fn put(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        if self.0.len() > MAX {
            return Err(TooLong);
        }
        u16::try_from(self.0.len()).map_err(|_| TooLong)?.put(out)?;
        self.0.iter().try_for_each(|element| element.put(out))
    }
}

/// Implements [`Field`] for a struct as the sequence of its fields.
macro_rules! struct_field {
    ($name:ident $(<$lt:lifetime>)? { $($field:ident),* $(,)? }) => {
        impl<'a> $crate::codec::Field<'a> for $name $(<$lt>)? {
            fn get(input: &mut $crate::codec::Input<'a>) -> Result<Self, $crate::codec::Malformed> {
                Ok(Self { $($field: $crate::codec::Field::get(input)?),* })
            }
            fn put(&self, out: &mut Vec<u8>) -> Result<(), $crate::codec::TooLong> {
                $($crate::codec::Field::put(&self.$field, out)?;)*
                Ok(())
            }
        }
        #[cfg(test)]
        impl<'a> $crate::tests::Sample<'a> for $name $(<$lt>)? {
            fn sample(source: &mut $crate::tests::Source<'a>) -> Self {
                Self { $($field: $crate::tests::Sample::sample(source)),* }
            }
        }
    };
}
pub(crate) use struct_field;
