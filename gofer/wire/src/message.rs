//! What a message is: a type number, and fields in a fixed order.

use crate::codec::{Malformed, TooLong};
use crate::{base, ext};

/// A message of the protocol.
pub trait Message {
    /// The number that stands for this message in its header.
    const TYPE: u8;
}

/// A message that can be appended to bytes.
pub trait Encode: Message {
    /// Appends the fields, without a header.
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), TooLong>;
}

/// A message that can be taken from bytes, borrowing strings and contents from them.
pub trait Decode<'a>: Message + Sized {
    /// Takes the message from all of `body`, which is what follows the header.
    fn decode(body: &'a [u8]) -> Result<Self, Malformed>;
}

/// A request: a T-message, and the R-message that answers it.
pub trait Request: Encode {
    /// The answer.
    type Reply<'r>: Decode<'r>;
}

/// Declares a request and its reply, each with a number and fields in the order of the wire format.
///
/// Borrowed fields of the request have the lifetime `'a`, those of the reply `'r`.
macro_rules! exchange {
    (
        $(#[$tdoc:meta])*
        $treq:ident $(<$a:lifetime>)? = $tnum:literal { $($(#[$tfdoc:meta])* $tf:ident: $tty:ty,)* }
        $(#[$rdoc:meta])*
        $rep:ident $(<$r:lifetime>)? = $rnum:literal { $($(#[$rfdoc:meta])* $rf:ident: $rty:ty,)* }
    ) => {
        $crate::message::message! {
            'a $(#[$tdoc])* $treq $(<$a>)? = $tnum { $($(#[$tfdoc])* $tf: $tty,)* }
        }
        $crate::message::message! {
            'r $(#[$rdoc])* $rep $(<$r>)? = $rnum { $($(#[$rfdoc])* $rf: $rty,)* }
        }
        impl<'a> $crate::message::Request for $treq $(<$a>)? {
            type Reply<'r> = $rep $(<$r>)?;
        }
        #[cfg(test)]
        mod round_trip {
            use super::*;

            #[test]
            fn of_the_request() {
                $crate::message::assert_round_trip!($treq);
            }

            #[test]
            fn of_the_reply() {
                $crate::message::assert_round_trip!($rep);
            }
        }
    };
}
pub(crate) use exchange;

/// Asserts that a message is decoded to what was encoded, and that no shorter or longer bytes are.
#[cfg(test)]
macro_rules! assert_round_trip {
    ($name:ident) => {
        $crate::tests::for_samples(|source| {
            use $crate::message::{Decode, Encode};
            let message: $name = $crate::tests::Sample::sample(source);
            let mut bytes = Vec::new();
            message.encode(&mut bytes).unwrap();
            proptest::prop_assert_eq!($name::decode(&bytes), Ok(message));
            for len in 0..bytes.len() {
                let part = bytes.get(..len).unwrap();
                proptest::prop_assert_eq!($name::decode(part), Err($crate::Malformed::Truncated));
            }
            bytes.push(0);
            proptest::prop_assert_eq!($name::decode(&bytes), Err($crate::Malformed::Trailing));
            Ok(())
        });
    };
}
#[cfg(test)]
pub(crate) use assert_round_trip;

/// Declares one message; `$life` is the lifetime of the bytes that it is decoded from.
macro_rules! message {
    (
        $life:lifetime $(#[$doc:meta])*
        $name:ident $(<$lt:lifetime>)? = $num:literal { $($(#[$fdoc:meta])* $field:ident: $ty:ty,)* }
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $name $(<$lt>)? {
            $($(#[$fdoc])* pub $field: $ty,)*
        }
        impl<$life> $crate::message::Message for $name $(<$lt>)? {
            const TYPE: u8 = $num;
        }
        impl<$life> $crate::message::Encode for $name $(<$lt>)? {
            fn encode(&self, _out: &mut Vec<u8>) -> Result<(), $crate::codec::TooLong> {
                $($crate::codec::Field::put(&self.$field, _out)?;)*
                Ok(())
            }
        }
        impl<$life> $crate::message::Decode<$life> for $name $(<$lt>)? {
            fn decode(body: &$life [u8]) -> Result<Self, $crate::codec::Malformed> {
                $crate::codec::decode_all(body, |_input| {
                    Ok(Self { $($field: $crate::codec::Field::get(_input)?),* })
                })
            }
        }
        #[cfg(test)]
        impl<$life> $crate::tests::Sample<$life> for $name $(<$lt>)? {
            fn sample(_source: &mut $crate::tests::Source<$life>) -> Self {
                Self { $($field: $crate::tests::Sample::sample(_source)),* }
            }
        }
    };
}
pub(crate) use message;

/// Declares [`Tmessage`] and its decoding from a list of all requests.
macro_rules! requests {
    ($($module:ident :: $file:ident :: $name:ident $(<$lt:lifetime>)?,)*) => {
        /// Any request, as a server takes it from the wire.
        #[derive(Debug, Clone, PartialEq, Eq)]
        #[expect(missing_docs, reason = "each variant is named like the message that it holds")]
        pub enum Tmessage<'a> {
            $($name($module::$file::$name $(<$lt>)?),)*
        }

        impl<'a> Tmessage<'a> {
            /// Decodes the request of type number `kind` from `body`, which is what follows the header.
            pub fn decode(kind: u8, body: &'a [u8]) -> Result<Self, Malformed> {
                match kind {
                    $($module::$file::$name::TYPE => Decode::decode(body).map(Self::$name),)*
                    unknown => Err(Malformed::UnknownType(unknown)),
                }
            }

            /// True for the messages of [`crate::ext`], which are valid only after both sides agreed on them.
            pub fn is_extension(&self) -> bool {
                let number = match self {
                    $(Self::$name(_) => $module::$file::$name::TYPE,)*
                };
                number >= ext::FIRST_TYPE
            }
        }
    };
}

requests! {
    base::version::Tversion<'a>,
    base::auth::Tauth<'a>,
    base::attach::Tattach<'a>,
    base::flush::Tflush,
    base::walk::Twalk<'a>,
    base::clunk::Tclunk,
    base::remove::Tremove,
    base::read::Tread,
    base::write::Twrite<'a>,
    base::statfs::Tstatfs,
    base::lopen::Tlopen,
    base::lcreate::Tlcreate<'a>,
    base::symlink::Tsymlink<'a>,
    base::mknod::Tmknod<'a>,
    base::rename::Trename<'a>,
    base::readlink::Treadlink,
    base::getattr::Tgetattr,
    base::setattr::Tsetattr,
    base::xattrwalk::Txattrwalk<'a>,
    base::xattrcreate::Txattrcreate<'a>,
    base::readdir::Treaddir,
    base::fsync::Tfsync,
    base::lock::Tlock<'a>,
    base::getlock::Tgetlock<'a>,
    base::link::Tlink<'a>,
    base::mkdir::Tmkdir<'a>,
    base::renameat::Trenameat<'a>,
    base::unlinkat::Tunlinkat<'a>,
    ext::walk_attr::TwalkAttr<'a>,
    ext::open_fd::TopenFd,
    ext::create_fd::TcreateFd<'a>,
    ext::make::Tmake<'a>,
    ext::readdir_attr::TreaddirAttr<'a>,
    ext::statx::Tstatx,
    ext::clunk_many::TclunkMany,
    ext::rename2::Trename2<'a>,
    ext::getxattr::Tgetxattr<'a>,
    ext::setxattr::Tsetxattr<'a>,
    ext::listxattr::Tlistxattr,
    ext::removexattr::Tremovexattr<'a>,
    ext::syncfs::Tsyncfs,
    ext::run_on::TrunOn,
}
