//! Names of containers.

use std::fmt;
use std::str::FromStr;

/// A container's id: 1 to 1024 letters, digits and `_ + . -`, but neither `.` nor `..`.
///
/// So an id is always one safe component of a path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ContainerId(String);

/// A string is not a container's id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("container id {0:?} is not valid; use 1 to 1024 letters, digits, and \"_\", \"+\", \".\", \"-\"")]
pub struct InvalidId(String);

impl ContainerId {
    /// The id's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ContainerId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_+.-".contains(&byte);
        let valid =
            (1..=1024).contains(&text.len()) && text.bytes().all(allowed) && text != "." && text != "..";
        if valid { Ok(Self(text.to_owned())) } else { Err(InvalidId(text.to_owned())) }
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_safe_components_of_paths() {
        for good in ["a", "A_b+c.d-0", "...", ".a", &"x".repeat(1024)] {
            assert!(good.parse::<ContainerId>().is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "a/b", "a b", "ä", "a\n", "a\0", &"x".repeat(1025)] {
            assert!(bad.parse::<ContainerId>().is_err(), "{bad}");
        }
    }
}
