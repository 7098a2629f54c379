//! Files of text that is made when they are read.

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cloister_sync::{Lock, class};

use crate::error::Errno;
use crate::event::{Events, WaitQueue};
use crate::fs::{FileCx, FileOps, OpenFile, Sink, Source};
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

    /// Returns what tells that the text has changed, if that can be waited for.
    fn changes(&self) -> Option<&Changes> {
        None
    }
}

/// Changes of a text that can be waited for.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    count: AtomicU64,
    queue: WaitQueue,
}

impl Changes {
    /// Returns how many there were.
    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::Acquire)
    }

    /// Takes note of one, and tells those who wait.
    pub(crate) fn note(&self) {
        self.count.fetch_add(1, Ordering::Release);
        self.queue.wake(CHANGED);
    }
}

/// What `poll(2)` tells of a text that has changed since it was read, as for files of `/sys` (`sysfs_notify`).
const CHANGED: Events = Events::PRI.union(Events::ERR);

/// An open file of text. The text is made when it is read from the start, and again when the reader goes back to the
/// start; so a reader in pieces sees one state.
#[derive(Debug)]
pub(super) struct OpenText {
    text: Arc<dyn Text>,
    made: Lock<Arc<[u8]>, { class::STREAM }>,
    /// The changes that there were when it was read or opened.
    seen: AtomicU64,
}

impl OpenText {
    pub(super) fn new(text: Arc<dyn Text>) -> Self {
        let seen = AtomicU64::new(text.changes().map_or(0, Changes::count));
        Self { text, made: Lock::new(Arc::default()), seen }
    }
}

impl FileOps for OpenText {
    fn read_at(&self, cx: &FileCx<'_>, offset: u64, into: &mut dyn Sink) -> Result<usize, Errno> {
        if offset == 0 {
            if let Some(changes) = self.text.changes() {
                // Before it is made: a change that comes in between is told once more.
                self.seen.store(changes.count(), Ordering::Relaxed);
            }
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

    fn poll(&self, _file: &OpenFile) -> Events {
        let seen = self.seen.load(Ordering::Relaxed);
        let has_changed = self.text.changes().is_some_and(|changes| changes.count() != seen);
        let changed = if has_changed { CHANGED } else { Events::empty() };
        Events::READABLE | Events::WRITABLE | changed
    }

    fn poll_queue(&self) -> Option<&WaitQueue> {
        self.text.changes().map(|changes| &changes.queue)
    }

    fn sync(&self, _data_only: bool) -> Result<(), Errno> {
        Err(errno::EINVAL)
    }
}
