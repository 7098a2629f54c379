//! Where bytes come from and go to: guest buffers, or the kernel's own.

use std::os::fd::BorrowedFd;

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
