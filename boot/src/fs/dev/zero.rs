//! `/dev/zero` and `/dev/full` (`zero(4)`, `full(4)`).

use crate::error::Errno;
use crate::fs::{FileCx, FileOps, MapSource, Sink, Source};
use crate::prelude::errno;

/// Gives zeros without end.
#[derive(Debug)]
pub(super) struct Zero {
    is_full: bool,
}

/// What is written at once.
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

impl Zero {
    /// Makes `/dev/zero`, which takes everything.
    pub(super) fn endless() -> Self {
        Self { is_full: false }
    }

    /// Makes `/dev/full`, which takes nothing.
    pub(super) fn full() -> Self {
        Self { is_full: true }
    }
}

impl FileOps for Zero {
    fn is_stream(&self) -> bool {
        true
    }

    fn read(&self, _cx: &FileCx<'_>, into: &mut dyn Sink) -> Result<usize, Errno> {
        let mut done = 0;
        while into.remaining() > 0 {
            let len = into.remaining().min(ZEROS.len());
            match into.write(ZEROS.get(..len).unwrap_or(&ZEROS)) {
                Ok(0) => break,
                Ok(written) => done += written,
                Err(_) if done > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn write(&self, _cx: &FileCx<'_>, from: &mut dyn Source) -> Result<usize, Errno> {
        if self.is_full { Err(errno::ENOSPC) } else { Ok(from.remaining()) }
    }

    fn read_at(&self, cx: &FileCx<'_>, _offset: u64, into: &mut dyn Sink) -> Result<usize, Errno> {
        self.read(cx, into)
    }

    fn write_at(&self, cx: &FileCx<'_>, _offset: u64, from: &mut dyn Source) -> Result<usize, Errno> {
        self.write(cx, from)
    }

    fn map(&self, _cx: &FileCx<'_>) -> Result<MapSource, Errno> {
        if self.is_full { Err(errno::ENODEV) } else { Ok(MapSource::Anonymous) }
    }
}
