//! Names that a client gave.

use rustix::io::Errno;

use crate::Result;

/// The name of an entry: one component, and not `.` or `..`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Name<'a>(&'a [u8]);

impl<'a> Name<'a> {
    /// The longest name (`NAME_MAX`).
    const MAX: usize = 255;

    /// Checks a name from a message.
    ///
    /// # Errors
    ///
    /// `ENAMETOOLONG` as of the host's file systems; `EINVAL` for what no client's kernel would ask for.
    pub(crate) fn new(raw_name: &'a [u8]) -> Result<Self> {
        match raw_name {
            b"" | b"." | b".." => Err(Errno::INVAL),
            name if name.iter().any(|byte| matches!(byte, 0 | b'/')) => Err(Errno::INVAL),
            name if name.len() > Self::MAX => Err(Errno::NAMETOOLONG),
            name => Ok(Self(name)),
        }
    }

    /// The bytes.
    pub(crate) fn bytes(self) -> &'a [u8] {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_single_components_are_names() {
        for bad in [&b""[..], b".", b"..", b"a/b", b"/", b"a\0b", b"../x"] {
            assert_eq!(Name::new(bad).unwrap_err(), Errno::INVAL, "{bad:?}");
        }
        assert_eq!(Name::new(&[b'x'; 256]).unwrap_err(), Errno::NAMETOOLONG);
        for good in [&b"..."[..], b".a", b"\xff", &[b'x'; 255]] {
            assert_eq!(Name::new(good).unwrap().bytes(), good);
        }
    }
}
