//! Files of text that is made when they are read.

use std::fmt::Debug;
use std::sync::Arc;

use cloister_sync::{Lock, class};

use crate::error::Errno;
use crate::fs::{FileCx, FileOps, Sink, Source};
use crate::prelude::errno;
use crate::task::Task;

/// The most bytes that one write takes: more than any value that can be set.
const MAX_WRITE: usize = 64 << 10;

/// The text of a file.
pub(crate) trait Text: Send + Sync + Debug {
    /// Makes the text as `task` sees it.
    fn read(&self, task: &Arc<Task>) -> Result<Vec<u8>, Errno>;

    /// Sets a value from the text `value`.
    fn write(&self, _task: &Arc<Task>, _value: &[u8]) -> Result<(), Errno> {
        Err(errno::EIO)
    }
}

/// An open file of text. The text is made when it is read from the start, and again when the reader goes back to the
/// start; so a reader in pieces sees one state.
#[derive(Debug)]
pub(super) struct OpenText {
    text: Arc<dyn Text>,
    made: Lock<Arc<[u8]>, { class::STREAM }>,
}

impl OpenText {
    pub(super) fn new(text: Arc<dyn Text>) -> Self {
        Self { text, made: Lock::new(Arc::default()) }
    }
}

impl FileOps for OpenText {
    fn read_at(&self, cx: &FileCx<'_>, offset: u64, into: &mut dyn Sink) -> Result<usize, Errno> {
        if offset == 0 {
            let made = self.text.read(cx.task)?;
            *self.made.lock() = made.into();
        }
        let made = Arc::clone(&self.made.lock());
        let rest = usize::try_from(offset).ok().and_then(|offset| made.get(offset..)).unwrap_or_default();
        into.write(rest)
    }

    fn write_at(&self, cx: &FileCx<'_>, _offset: u64, from: &mut dyn Source) -> Result<usize, Errno> {
        let mut value = vec![0; from.remaining().min(MAX_WRITE)];
        let len = from.read(&mut value)?;
        value.truncate(len);
        self.text.write(cx.task, &value)?;
        Ok(len)
    }

    fn append(&self, cx: &FileCx<'_>, from: &mut dyn Source) -> Result<(u64, usize), Errno> {
        let len = self.write_at(cx, 0, from)?;
        Ok((len as u64, len))
    }

    fn sync(&self, _data_only: bool) -> Result<(), Errno> {
        Err(errno::EINVAL)
    }
}
