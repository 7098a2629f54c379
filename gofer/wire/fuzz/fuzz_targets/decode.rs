//! Any bytes are a message or are refused.

#![no_main]

use cloister_9p::{Tmessage, frame};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(Some((frame, len))) = frame::split(bytes, 65536) {
        assert!(len <= bytes.len());
        let _ = Tmessage::decode(frame.kind, frame.body);
    }
});
