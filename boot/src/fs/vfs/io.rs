//! Where bytes come from and go to: guest buffers, or the kernel's own.

use std::os::fd::{AsFd, BorrowedFd};

use crate::error::Errno;

/// A place to write bytes to.
pub(crate) trait Sink {
    /// Returns how many bytes it takes at most.
    fn remaining(&self) -> usize;

    /// Writes as many of `bytes` as there is room for, and returns their number.
    ///
    /// # Errors
    ///
    /// `EFAULT` if the first byte can't be written.
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Errno>;

    /// Writes bytes from `offset` of a regular file of the host's, as far as there is a better way than to read them and
    /// [write](Sink::write) them. Returns how many; the rest is for the caller to write.
    fn write_file(&mut self, _file: BorrowedFd<'_>, _offset: u64) -> usize {
        0
    }
}

/// How much is to be read for it to be worth looking for a way around the kernel's own memory.
const DIRECT_MIN: usize = 8 << 10;

/// Reads from `offset` of a regular file of the host's: what goes [directly](Sink::write_file), then what `rest` reads from
/// where that ended.
///
/// # Errors
///
/// Those of `rest`, if nothing was read before.
pub(crate) fn read_direct(
    file: impl AsFd,
    offset: u64,
    into: &mut dyn Sink,
    rest: impl FnOnce(u64, &mut dyn Sink) -> Result<usize, Errno>,
) -> Result<usize, Errno> {
    let direct = if into.remaining() >= DIRECT_MIN { into.write_file(file.as_fd(), offset) } else { 0 };
    if direct > 0 && into.remaining() == 0 {
        return Ok(direct);
    }
    match rest(offset.saturating_add(direct as u64), into) {
        Ok(len) => Ok(direct.saturating_add(len)),
        Err(_) if direct > 0 => Ok(direct),
        Err(errno) => Err(errno),
    }
}

/// A place to read bytes from.
pub(crate) trait Source {
    /// Returns how many bytes it has.
    fn remaining(&self) -> usize;

    /// Fills as much of `into` as it can, and returns how much.
    ///
    /// # Errors
    ///
    /// `EFAULT` if the first byte can't be read.
    fn read(&mut self, into: &mut [u8]) -> Result<usize, Errno>;
}

/// The kernel's own bytes: for `sendfile`, file systems that build on others, and tests.
impl Source for &[u8] {
    fn remaining(&self) -> usize {
        self.len()
    }

    fn read(&mut self, into: &mut [u8]) -> Result<usize, Errno> {
        std::io::Read::read(self, into).map_err(Errno::from)
    }
}

/// The kernel's own buffer.
impl Sink for &mut [u8] {
    fn remaining(&self) -> usize {
        self.len()
    }

    fn write(&mut self, bytes: &[u8]) -> Result<usize, Errno> {
        std::io::Write::write(self, bytes).map_err(Errno::from)
    }
}
