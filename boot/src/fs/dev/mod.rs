//! Devices, and the files of `/dev`.
//!
//! | device | file |
//! |---|---|
//! | `null`, `zero`, `full` | `null.rs`, `zero.rs` |
//! | `random`, `urandom` | `random.rs` |
//! | `tty`, `console` | `tty.rs` |
//! | `ptmx` | [`devpts`] |

mod nodes;
mod null;
mod random;
mod tty;
mod zero;

pub(crate) use nodes::populate;

use crate::error::{Fail, fail};
use crate::fs::{FileOps, OpenCx, devpts};
use crate::prelude::errno;

/// The major number of memory devices.
const MEM_MAJOR: u32 = 1;
/// The major number of the terminal devices that are not one terminal.
const TTYAUX_MAJOR: u32 = 5;

/// Opens a character device by its numbers (`linux/Documentation/admin-guide/devices.txt`).
///
/// # Errors
///
/// `ENXIO` if there is no such device, or what its own opening says.
pub(crate) fn open_char(device: (u32, u32), cx: &OpenCx<'_>) -> Result<Box<dyn FileOps>, Fail> {
    match device {
        (MEM_MAJOR, 3) => Ok(Box::new(null::Null)),
        (MEM_MAJOR, 5) => Ok(Box::new(zero::Zero::endless())),
        (MEM_MAJOR, 7) => Ok(Box::new(zero::Zero::full())),
        (MEM_MAJOR, 8 | 9) => Ok(Box::new(random::Random)),
        (TTYAUX_MAJOR, 0 | 1) => tty::open(cx),
        (TTYAUX_MAJOR, 2) => devpts::open_ptmx(cx),
        // As in Linux: terminals are opened in devpts only, by whatever names.
        (136..=143, _) => Err(fail(errno::EIO, "a terminal outside of devpts")),
        _ => Err(fail(errno::ENXIO, "there is no such device")),
    }
}
