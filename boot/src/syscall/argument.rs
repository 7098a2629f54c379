//! The types of system call arguments: how a register becomes a value, and how the strace shows it.

use std::fmt;

use crate::mm::UserMemory;

/// A type that an argument of a system call can have.
pub(crate) trait Argument: Sized {
    /// How the strace shows it.
    const FORMAT: Format;

    /// Takes the value from a register, as the C prototype of the call would: `int`s ignore the upper half.
    fn from_register(raw: u64) -> Self;
}

/// How the strace shows an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// A signed number.
    Signed,
    /// A 32-bit signed number.
    Signed32,
    /// An unsigned number.
    Unsigned,
    /// An address.
    Address,
    /// A string in guest memory.
    Text,
}

impl Format {
    /// Writes the argument whose register is `raw`.
    pub(crate) fn write(self, f: &mut impl fmt::Write, raw: u64, memory: Option<&UserMemory>) -> fmt::Result {
        match self {
            Self::Signed => write!(f, "{}", raw.cast_signed()),
            Self::Signed32 => write!(f, "{}", i32::from_register(raw)),
            Self::Unsigned => write!(f, "{raw}"),
            Self::Address if raw == 0 => f.write_str("NULL"),
            Self::Address => write!(f, "{raw:#x}"),
            Self::Text => match memory.and_then(|memory| memory.read_string(raw, 256).ok()) {
                Some(text) => write!(f, "{:?}", String::from_utf8_lossy(&text)),
                None => write!(f, "{raw:#x}"),
            },
        }
    }
}

macro_rules! number_argument {
    ($($type:ty => $format:ident;)*) => {
        $(impl Argument for $type {
            const FORMAT: Format = Format::$format;

            #[expect(
                clippy::allow_attributes,
                reason = "which lint a cast trips depends on the type of this macro's instance"
            )]
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_possible_wrap,
                reason = "the call's prototype says that the upper bits are ignored"
            )]
            fn from_register(raw: u64) -> Self {
                raw as $type
            }
        })*
    };
}

/// An `int`.
pub(crate) type Int = i32;
/// An `unsigned int`.
pub(crate) type UInt = u32;
/// A `long`.
pub(crate) type Long = i64;
/// An `unsigned long`.
pub(crate) type ULong = u64;
/// A `size_t`.
pub(crate) type Size = usize;

number_argument! {
    i32 => Signed32;
    u32 => Unsigned;
    i64 => Signed;
    u64 => Unsigned;
    usize => Unsigned;
}

/// A descriptor number, or `AT_FDCWD`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fd(pub(crate) i32);

impl Fd {
    /// `AT_FDCWD`: the current directory.
    pub(crate) const CWD: Self = Self(cloister_abi::general::AT_FDCWD);
}

impl Argument for Fd {
    const FORMAT: Format = Format::Signed32;

    fn from_register(raw: u64) -> Self {
        Self(i32::from_register(raw))
    }
}

/// An address in guest memory, of a structure or a buffer; not checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Address(pub(crate) u64);

impl Address {
    /// Returns whether it is the null pointer, by which callers leave an argument out.
    pub(crate) const fn is_null(self) -> bool {
        self.0 == 0
    }
}

impl Argument for Address {
    const FORMAT: Format = Format::Address;

    fn from_register(raw: u64) -> Self {
        Self(raw)
    }
}

/// The address of a path in guest memory; not checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PathPtr(pub(crate) Address);

impl Argument for PathPtr {
    const FORMAT: Format = Format::Text;

    fn from_register(raw: u64) -> Self {
        Self(Address(raw))
    }
}

/// The address of a string that is not a path; not checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Text(pub(crate) Address);

impl Argument for Text {
    const FORMAT: Format = Format::Text;

    fn from_register(raw: u64) -> Self {
        Self(Address(raw))
    }
}
