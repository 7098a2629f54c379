//! Random numbers: the host's.

use rustix::rand::{GetRandomFlags, getrandom};

/// Fills `bytes` with random ones.
pub(crate) fn fill(bytes: &mut [u8]) {
    let mut rest = bytes;
    while !rest.is_empty() {
        // Once it is seeded, long before a sandbox runs, the host's generator fails only if a signal interrupts it.
        let len = getrandom(&mut *rest, GetRandomFlags::empty()).unwrap_or(0);
        rest = rest.get_mut(len..).unwrap_or_default();
    }
}

/// Returns a random number.
pub(crate) fn random_u64() -> u64 {
    let mut bytes = [0; 8];
    fill(&mut bytes);
    u64::from_ne_bytes(bytes)
}

/// Makes a random UUID of version 4 (RFC 9562, 5.4) in text form.
pub(crate) fn random_uuid() -> String {
    let mut bytes = [0; 16];
    fill(&mut bytes);
    let [.., version, _, variant, _, _, _, _, _, _, _] = &mut bytes;
    *version = (*version & 0x0f) | 0x40;
    *variant = (*variant & 0x3f) | 0x80;
    let hex = bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
    let (a, rest) = hex.split_at(8);
    let (b, rest) = rest.split_at(4);
    let (c, rest) = rest.split_at(4);
    let (d, e) = rest.split_at(4);
    format!("{a}-{b}-{c}-{d}-{e}")
}
