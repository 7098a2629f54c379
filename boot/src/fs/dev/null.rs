//! `/dev/null` (`null(4)`).

use crate::error::Errno;
use crate::fs::{FileCx, FileOps, Sink, Source};

/// Takes everything and gives nothing.
#[derive(Debug)]
pub(super) struct Null;

impl FileOps for Null {
    fn is_stream(&self) -> bool {
        true
    }

    fn read(&self, _cx: &FileCx<'_>, _into: &mut dyn Sink) -> Result<usize, Errno> {
        Ok(0)
    }

    fn write(&self, _cx: &FileCx<'_>, from: &mut dyn Source) -> Result<usize, Errno> {
        Ok(from.remaining())
    }

    fn read_at(&self, _cx: &FileCx<'_>, _offset: u64, _into: &mut dyn Sink) -> Result<usize, Errno> {
        Ok(0)
    }

    fn write_at(&self, _cx: &FileCx<'_>, _offset: u64, from: &mut dyn Source) -> Result<usize, Errno> {
        Ok(from.remaining())
    }
}
