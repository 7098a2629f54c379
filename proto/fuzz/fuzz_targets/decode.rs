//! Any bytes are a message or are refused; a message has one encoding, which is read as the same message.

#![no_main]

use cloister_proto::codec::{self, Decode, Encode};
use cloister_proto::control::{Envelope, Request, Response};
use libfuzzer_sys::fuzz_target;

fn check<T: Encode + Decode<()> + PartialEq + std::fmt::Debug>(bytes: &[u8]) {
    if let Ok(message) = codec::decode::<T>(bytes) {
        let encoded = codec::encode(&message).unwrap();
        assert_eq!(codec::decode::<T>(&encoded).unwrap(), message);
    }
}

fuzz_target!(|bytes: &[u8]| {
    check::<Envelope<Request>>(bytes);
    check::<Envelope<Response>>(bytes);
});
