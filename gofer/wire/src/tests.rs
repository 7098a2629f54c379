//! Fixed examples of the wire format, and properties of decoding that hold for any bytes.
//!
//! The round trip of every message is tested where the message is declared, with the samples made here.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::base::getattr::Rgetattr;
use crate::base::lopen::Tlopen;
use crate::base::walk::{Rwalk, Twalk};
use crate::codec::{Data, List, Malformed};
use crate::frame::{self, Frame};
use crate::message::{Decode, Encode, Tmessage};
use crate::qid::Qid;

/// Random bytes from which a message is made.
pub(crate) struct Source<'a>(&'a [u8]);

impl<'a> Source<'a> {
    fn integer<const N: usize>(&mut self) -> [u8; N] {
        let part = self.string(N);
        let mut bytes = [0; N];
        bytes[..part.len()].copy_from_slice(part);
        bytes
    }

    fn string(&mut self, len: usize) -> &'a [u8] {
        let (head, tail) = self.0.split_at(len.min(self.0.len()));
        self.0 = tail;
        head
    }
}

/// A value that can be made from random bytes.
pub(crate) trait Sample<'a> {
    fn sample(source: &mut Source<'a>) -> Self;
}

macro_rules! sample_integers {
    ($($int:ty),*) => {$(
        impl<'a> Sample<'a> for $int {
            fn sample(source: &mut Source<'a>) -> Self {
                Self::from_le_bytes(source.integer())
            }
        }
    )*};
}
sample_integers!(u8, u16, u32, u64, i64);

impl<'a> Sample<'a> for &'a [u8] {
    fn sample(source: &mut Source<'a>) -> Self {
        let len = u8::sample(source);
        source.string(usize::from(len))
    }
}

impl<'a> Sample<'a> for Data<'a> {
    fn sample(source: &mut Source<'a>) -> Self {
        Self(Sample::sample(source))
    }
}

impl<'a, T: Sample<'a>, const MAX: usize> Sample<'a> for List<T, MAX> {
    fn sample(source: &mut Source<'a>) -> Self {
        let len = usize::from(u8::sample(source)).min(MAX);
        Self((0..len).map(|_| T::sample(source)).collect())
    }
}

/// Calls `check_fn` with many random sources.
pub(crate) fn for_samples(check_fn: impl Fn(&mut Source<'_>) -> Result<(), TestCaseError>) {
    let bytes = proptest::collection::vec(any::<u8>(), 0..600);
    TestRunner::new(Config { cases: 64, ..Config::default() })
        .run(&bytes, |bytes| check_fn(&mut Source(&bytes)))
        .unwrap();
}

#[test]
fn a_walk_is_laid_out_as_the_manual_says() {
    let walk = Twalk { fid: 1, newfid: 2, names: List(vec![b"usr", b"bin"]) };
    let mut bytes = Vec::new();
    frame::encode(&walk, 7, 8192, &mut bytes).unwrap();
    let expected = b"\x1b\0\0\0\x6e\x07\0\x01\0\0\0\x02\0\0\0\x02\0\x03\0usr\x03\0bin";
    assert_eq!(bytes, expected);
    let (frame, len) = frame::split(&bytes, 8192).unwrap().unwrap();
    assert_eq!((frame.kind, frame.tag, len), (110, 7, bytes.len()));
    assert_eq!(Tmessage::decode(frame.kind, frame.body), Ok(Tmessage::Twalk(walk)));

    let reply = Rwalk { qids: List(vec![Qid { kind: Qid::DIR, version: 1, path: 2 }]) };
    let mut bytes = Vec::new();
    reply.encode(&mut bytes).unwrap();
    assert_eq!(bytes, b"\x01\0\x80\x01\0\0\0\x02\0\0\0\0\0\0\0");
}

#[test]
fn fixed_sizes_are_those_of_the_standard() {
    // The kernel's v9fs reads Rgetattr as "qQdddqqqqqqqqqqqqqqq" (net/9p/client.c): 8 + 13 + 3*4 + 15*8 bytes.
    assert_eq!(Rgetattr::decode(&[0; 153]).unwrap().mode, 0);
    assert_eq!(Tlopen::decode(&[1, 0, 0, 0, 2, 0, 0, 0]), Ok(Tlopen { fid: 1, flags: 2 }));
}

#[test]
fn lists_are_bounded() {
    let mut body = vec![0; 8];
    body.extend_from_slice(&17_u16.to_le_bytes());
    body.extend_from_slice(&[0; 34]);
    assert_eq!(Twalk::decode(&body), Err(Malformed::TooMany));
    let names = List(vec![&b"x"[..]; 17]);
    assert!(Twalk { fid: 0, newfid: 1, names }.encode(&mut Vec::new()).is_err());
}

#[test]
fn sizes_of_messages_are_checked() {
    assert_eq!(frame::split(&[], 8192), Ok(None));
    assert_eq!(frame::split(&[6, 0, 0, 0, 0, 0, 0], 8192), Err(Malformed::BadSize(6)));
    assert_eq!(frame::split(&[1, 32, 0, 0], 8192), Err(Malformed::BadSize(8193)));
    assert_eq!(frame::split(&[7, 0, 0, 0, 1, 0], 8192), Ok(None));
    let whole = Frame { kind: 1, tag: 0x302, body: &[] };
    assert_eq!(frame::split(&[7, 0, 0, 0, 1, 2, 3, 9], 8192), Ok(Some((whole, 7))));
    let long = Twalk { fid: 0, newfid: 1, names: List(vec![&[b'x'; 200]; 16]) };
    assert!(frame::encode(&long, 0, 2048, &mut Vec::new()).is_err());
}

proptest! {
    #[test]
    fn any_bytes_are_decoded_or_refused(kind: u8, body in proptest::collection::vec(any::<u8>(), 0..300)) {
        // The point is that nothing panics, which with checked arithmetic includes every overflow.
        let _ = Tmessage::decode(kind, &body);
        let _ = frame::split(&body, 8192);
    }
}
