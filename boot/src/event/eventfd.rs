//! `eventfd(2)`: a counter that can be waited for.

use cloister_sync::{Lock, class};
use serde::{Deserialize, Serialize};

use super::{Events, WaitQueue};
use crate::error::Errno;
use crate::fs::{FileCx, FileOps, OpenFile, Sink, Source};
use crate::prelude::errno;

/// What a read takes from the counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum EventFdMode {
    /// All of it.
    Counter,
    /// One (`EFD_SEMAPHORE`).
    Semaphore,
}

/// The counter's largest value.
const MAX: u64 = u64::MAX - 1;

/// A counter that can be waited for.
#[derive(Debug)]
pub(crate) struct EventFd {
    mode: EventFdMode,
    count: Lock<u64, { class::STREAM }>,
    queue: WaitQueue,
}

/// The saved form of an [`EventFd`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EventFdImage {
    mode: EventFdMode,
    count: u64,
}

impl EventFd {
    /// Makes a counter.
    pub(crate) fn new(count: u64, mode: EventFdMode) -> Self {
        Self { mode, count: Lock::new(count), queue: WaitQueue::new() }
    }

    /// Makes a counter as it was saved.
    pub(crate) fn from_image(image: EventFdImage) -> Self {
        Self::new(image.count, image.mode)
    }

    /// Returns its saved form.
    pub(crate) fn to_image(&self) -> EventFdImage {
        EventFdImage { mode: self.mode, count: *self.count.lock() }
    }

    /// Takes from the counter what a read gives.
    ///
    /// # Errors
    ///
    /// `EAGAIN` if it is zero.
    pub(crate) fn take(&self) -> Result<u64, Errno> {
        let mut count = self.count.lock();
        let taken = match (*count, self.mode) {
            (0, _) => return Err(errno::EAGAIN),
            (count, EventFdMode::Counter) => count,
            (_, EventFdMode::Semaphore) => 1,
        };
        *count -= taken;
        let has_more = *count > 0;
        drop(count);
        self.queue.wake_one(Events::WRITABLE);
        if has_more {
            self.queue.wake_next(Events::READABLE);
        }
        Ok(taken)
    }

    /// Adds `value` to the counter.
    ///
    /// # Errors
    ///
    /// `EINVAL` if it is larger than the counter can be, `EAGAIN` if the sum is.
    pub(crate) fn add(&self, value: u64) -> Result<(), Errno> {
        if value > MAX {
            return Err(errno::EINVAL);
        }
        let mut count = self.count.lock();
        if value > MAX - *count {
            return Err(errno::EAGAIN);
        }
        *count += value;
        let is_writable = *count < MAX;
        drop(count);
        self.queue.wake_one(Events::READABLE);
        if is_writable {
            self.queue.wake_next(Events::WRITABLE);
        }
        Ok(())
    }

    fn conditions(&self) -> Events {
        let count = *self.count.lock();
        let mut events = Events::empty();
        events.set(Events::READABLE, count > 0);
        events.set(Events::WRITABLE, count < MAX);
        events
    }
}

impl FileOps for EventFd {
    fn is_stream(&self) -> bool {
        true
    }

    fn read(&self, _cx: &FileCx<'_>, into: &mut dyn Sink) -> Result<usize, Errno> {
        if into.remaining() < size_of::<u64>() {
            return Err(errno::EINVAL);
        }
        into.write(&self.take()?.to_ne_bytes())
    }

    fn write(&self, _cx: &FileCx<'_>, from: &mut dyn Source) -> Result<usize, Errno> {
        if from.remaining() < size_of::<u64>() {
            return Err(errno::EINVAL);
        }
        let mut value = [0; size_of::<u64>()];
        if from.read(&mut value)? < value.len() {
            return Err(errno::EFAULT);
        }
        self.add(u64::from_ne_bytes(value))?;
        Ok(value.len())
    }

    fn poll(&self, _file: &OpenFile) -> Events {
        self.conditions()
    }

    fn poll_queue(&self) -> Option<&WaitQueue> {
        Some(&self.queue)
    }

    fn fd_info(&self) -> String {
        let semaphore = i32::from(self.mode == EventFdMode::Semaphore);
        format!("eventfd-count: {:16x}\neventfd-id: 0\neventfd-semaphore: {semaphore}\n", *self.count.lock())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_gives_all_and_a_semaphore_one() {
        let counter = EventFd::new(2, EventFdMode::Counter);
        counter.add(3).expect("there is room");
        assert_eq!((counter.take(), counter.take()), (Ok(5), Err(errno::EAGAIN)));
        let semaphore = EventFd::new(2, EventFdMode::Semaphore);
        assert_eq!([(); 3].map(|()| semaphore.take()), [Ok(1), Ok(1), Err(errno::EAGAIN)]);
    }

    #[test]
    fn it_never_overflows() {
        let counter = EventFd::new(0, EventFdMode::Counter);
        assert_eq!(counter.add(u64::MAX), Err(errno::EINVAL));
        assert_eq!(counter.add(u64::MAX - 1), Ok(()));
        assert_eq!(counter.conditions(), Events::READABLE);
        assert_eq!(counter.add(1), Err(errno::EAGAIN));
        assert_eq!(counter.add(0), Ok(()));
        counter.take().expect("it is not zero");
        assert_eq!(counter.conditions(), Events::WRITABLE);
    }

    #[test]
    fn an_image_brings_it_back() {
        let image = EventFd::new(7, EventFdMode::Semaphore).to_image();
        assert_eq!(EventFd::from_image(image).to_image(), image);
    }
}
