//! The handshake: both ends of a connection say which protocol they speak and which build they are of.
//!
//! Cloister's programs are installed and replaced together, so there is no negotiation: different versions do not talk.

use std::fmt;

use crate::codec::{Decode, Encode};

/// Number of this version of all messages: a fingerprint of this crate's sources, which nobody can forget to raise.
pub const PROTOCOL: u32 = match u32::from_str_radix(env!("CLOISTER_PROTOCOL"), 10) {
    Ok(number) => number,
    Err(_) => panic!("`build.rs` makes a number"),
};

/// Build identity: the source revision when `CLOISTER_REVISION` was set at build time, else the crate's version.
pub const BUILD: &str = match option_env!("CLOISTER_REVISION") {
    Some(revision) => revision,
    None => env!("CARGO_PKG_VERSION"),
};

/// What each end says of itself first.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Handshake {
    /// The speaker's [`PROTOCOL`].
    pub protocol: u32,
    /// The speaker's [`BUILD`].
    pub build: String,
}

impl Handshake {
    /// This program's own handshake.
    #[must_use]
    pub fn ours() -> Self {
        Self { protocol: PROTOCOL, build: BUILD.to_owned() }
    }

    /// Checks the peer's handshake against our own.
    ///
    /// # Errors
    ///
    /// [`Mismatch`] unless protocol and build are the same.
    pub fn check(&self) -> Result<(), Mismatch> {
        let ours = Self::ours();
        if *self == ours { Ok(()) } else { Err(Mismatch { ours, theirs: self.clone() }) }
    }
}

impl fmt::Display for Handshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "build {} (protocol {:x})", self.build.escape_default(), self.protocol)
    }
}

/// The two ends are of different versions.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the peer is {theirs}, this program is {ours}; install all of Cloister's programs from one build")]
pub struct Mismatch {
    /// What this program is.
    pub ours: Handshake,
    /// What the peer is.
    pub theirs: Handshake,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_itself_and_refuses_others() {
        assert_eq!(Handshake::ours().check(), Ok(()));
        let other = Handshake { protocol: PROTOCOL ^ 1, ..Handshake::ours() };
        let error = other.check().unwrap_err();
        assert!(error.to_string().contains("install all of Cloister's programs from one build"), "{error}");
        assert!(Handshake { build: "other".into(), ..Handshake::ours() }.check().is_err());
    }
}
