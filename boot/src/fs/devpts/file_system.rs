//! The file system object, and what it is mounted with.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::Errno;
use crate::fs::{FileSystem, FileSystemStatistics, NameCache};
use crate::prelude::{errno, uapi};

/// What a devpts is mounted with (`mount(8)`, "Mount options for devpts").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DevptsOptions {
    /// The owner of new terminals, if not who makes them.
    pub(crate) uid: Option<u32>,
    /// The group of new terminals, if not that of who makes them.
    pub(crate) gid: Option<u32>,
    /// The permissions of new terminals.
    pub(crate) mode: u32,
    /// The permissions of `ptmx`.
    pub(crate) ptmx_mode: u32,
    /// The most terminals.
    pub(crate) max: u32,
}

impl Default for DevptsOptions {
    fn default() -> Self {
        Self { uid: None, gid: None, mode: 0o600, ptmx_mode: 0, max: 4096 }
    }
}

impl DevptsOptions {
    /// Reads the options of a mount, with commas between them.
    ///
    /// # Errors
    ///
    /// `EINVAL` for an unknown option or a bad value.
    pub(crate) fn parse(self, options: &str) -> Result<Self, Errno> {
        let mut parsed = self;
        for option in options.split(',').filter(|option| !option.is_empty()) {
            let (key, value) = option.split_once('=').unwrap_or((option, ""));
            let number = |radix| u32::from_str_radix(value, radix).map_err(|_| errno::EINVAL);
            match key {
                "uid" => parsed.uid = Some(number(10)?),
                "gid" => parsed.gid = Some(number(10)?),
                "mode" => parsed.mode = number(8)? & 0o777,
                "ptmxmode" => parsed.ptmx_mode = number(8)? & 0o777,
                "max" => parsed.max = number(10)?.min(MOST_NUMBERS),
                // Every mount is new.
                "newinstance" => {}
                _ => return Err(errno::EINVAL),
            }
        }
        Ok(parsed)
    }
}

/// The most numbers that the devices of terminals have (`NR_UNIX98_PTY_MAX`).
const MOST_NUMBERS: u32 = 1 << 20;

/// As in `/proc/mounts`: `gid=5,mode=620,ptmxmode=666`.
impl fmt::Display for DevptsOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, id) in [("uid", self.uid), ("gid", self.gid)] {
            if let Some(id) = id {
                write!(f, "{name}={id},")?;
            }
        }
        write!(f, "mode={:03o},ptmxmode={:03o}", self.mode, self.ptmx_mode)
    }
}

/// An instance of devpts.
#[derive(Debug)]
pub(crate) struct Devpts {
    pub(super) device: (u32, u32),
    pub(super) options: DevptsOptions,
}

impl FileSystem for Devpts {
    fn type_name(&self) -> &'static str {
        "devpts"
    }

    fn device(&self) -> (u32, u32) {
        self.device
    }

    fn statistics(&self) -> Result<FileSystemStatistics, Errno> {
        Ok(FileSystemStatistics {
            magic: u64::from(uapi::DEVPTS_SUPER_MAGIC),
            block_bytes: 4096,
            name_max: 255,
            ..FileSystemStatistics::default()
        })
    }

    fn name_cache(&self) -> NameCache {
        NameCache::Never
    }

    fn opens_special(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_and_shown() {
        let parse = |text| DevptsOptions::default().parse(text);
        let options = parse("newinstance,ptmxmode=0666,mode=0620,gid=5").unwrap();
        assert_eq!(options.to_string(), "gid=5,mode=620,ptmxmode=666");
        assert_eq!(parse("").unwrap().to_string(), "mode=600,ptmxmode=000");
        for bad in ["mode=9", "gid=x", "what", "max="] {
            assert_eq!(parse(bad), Err(errno::EINVAL), "{bad}");
        }
    }
}
