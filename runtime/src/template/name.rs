//! Names of templates.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use crate::state::ContainerId;

/// A template's name: as a container's id, but it does not begin with a dot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct TemplateName(String);

/// A string is not a template's name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "template name {0:?} is not valid; use 1 to 128 letters, digits, and \"_\", \"+\", \".\", \"-\", the first no dot"
)]
pub struct InvalidName(String);

impl TemplateName {
    /// Most bytes: names of containers are made of it.
    const MOST: usize = 128;

    /// The name's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TemplateName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let is_id = text.parse::<ContainerId>().is_ok();
        let valid = is_id && !text.starts_with('.') && text.len() <= Self::MOST;
        if valid { Ok(Self(text.to_owned())) } else { Err(InvalidName(text.to_owned())) }
    }
}

impl fmt::Display for TemplateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_ids_that_are_not_hidden() {
        for good in ["a", "python-3.13", &"x".repeat(128)] {
            assert!(good.parse::<TemplateName>().is_ok(), "{good}");
        }
        for bad in ["", ".a", "..", "a/b", &"x".repeat(129)] {
            assert!(bad.parse::<TemplateName>().is_err(), "{bad}");
        }
    }
}
