//! Signals that are read (`signalfd(2)`).

use std::sync::{Arc, Weak};

use cloister_abi::signal::SignalFdInfo;
use cloister_sync::{Lock, class};
use serde::{Deserialize, Serialize};
use zerocopy::IntoBytes;

use super::info::{SI_QUEUE, low};
use super::{Signal, SignalInfo, SignalSet, take_for};
use crate::error::Errno;
use crate::event::{Events, WaitQueue};
use crate::fs::{FileCx, FileOps, OpenFile, Sink};
use crate::prelude::errno;
use crate::task::{Pid, Task};

/// A file that reads the signals of who reads.
///
/// What is told of its conditions, and who is woken, is by the signals of the task that made it: a child that inherits it
/// and polls it learns of its parent's.
#[derive(Debug)]
pub(crate) struct SignalFd {
    set: Lock<SignalSet, { class::STREAM }>,
    maker: Weak<Task>,
    queue: WaitQueue,
}

/// What a checkpoint keeps of a [`SignalFd`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SignalFdImage {
    set: SignalSet,
    /// Whose signals wake it; `None` if that task has ended.
    pub(crate) maker: Option<Pid>,
}

impl SignalFd {
    /// Makes a file that reads the signals in `set`.
    pub(crate) fn new(set: SignalSet, maker: &Arc<Task>) -> Self {
        let queue = maker.group().signal_events.clone();
        Self { set: Lock::new(set), maker: Arc::downgrade(maker), queue }
    }

    /// Returns what a checkpoint keeps.
    pub(crate) fn to_image(&self) -> SignalFdImage {
        let maker = self.maker.upgrade().map(|maker| maker.tid());
        SignalFdImage { set: *self.set.lock(), maker }
    }

    /// Makes it anew; `maker` is the task that the image names, if it is there.
    pub(crate) fn from_image(image: &SignalFdImage, maker: Option<&Arc<Task>>) -> Self {
        match maker {
            Some(maker) => Self::new(image.set, maker),
            None => Self { set: Lock::new(image.set), maker: Weak::new(), queue: WaitQueue::default() },
        }
    }

    /// Changes which signals it reads.
    pub(crate) fn set(&self, set: SignalSet) {
        *self.set.lock() = set;
        self.queue.wake(Events::READABLE);
    }
}

impl FileOps for SignalFd {
    fn is_stream(&self) -> bool {
        true
    }

    fn read(&self, cx: &FileCx<'_>, into: &mut dyn Sink) -> Result<usize, Errno> {
        const BYTES: usize = size_of::<SignalFdInfo>();
        if into.remaining() < BYTES {
            return Err(errno::EINVAL);
        }
        let set = *self.set.lock();
        let mut done = 0;
        while into.remaining() >= BYTES {
            let Some(info) = take_for(cx.task, set) else { break };
            done += into.write(to_read(&info).as_bytes())?;
        }
        if done == 0 { Err(errno::EAGAIN) } else { Ok(done) }
    }

    fn poll(&self, _file: &OpenFile) -> Events {
        let Some(maker) = self.maker.upgrade() else { return Events::empty() };
        let set = *self.set.lock();
        let shared = maker.group().state().signals.pending.set();
        let pending = maker.signals.lock().pending.set().or(shared);
        if pending.and(set).is_empty() { Events::empty() } else { Events::READABLE }
    }

    fn poll_queue(&self) -> Option<&WaitQueue> {
        Some(&self.queue)
    }

    fn fd_info(&self) -> String {
        format!("sigmask:\t{:016x}\n", self.set.lock().0)
    }
}

/// Returns what is read of a signal: which fields there are is told by its code and its number (`signalfd(2)`).
fn to_read(info: &SignalInfo) -> SignalFdInfo {
    let [first, second, third, fourth, ..] = info.fields;
    let mut read = SignalFdInfo {
        signal: u32::from(info.signal.number()),
        errno: info.errno,
        code: info.code,
        ..SignalFdInfo::default()
    };
    match info.signal {
        _ if info.timer.is_some() => {
            (read.tid, read.overrun) = (low(first), low(first >> 32));
            (read.int, read.ptr) = (low(second).cast_signed(), second);
        }
        Signal::CHLD if info.code > 0 => {
            (read.pid, read.uid) = (low(first), low(first >> 32));
            read.status = low(second).cast_signed();
            (read.user_time, read.system_time) = (third, fourth);
        }
        _ if SignalSet::SYNCHRONOUS.contains(info.signal) && info.code > 0 => read.address = first,
        Signal::IO if info.code > 0 => (read.band, read.fd) = (low(first), low(second).cast_signed()),
        _ => {
            (read.pid, read.uid) = (low(first), low(first >> 32));
            if info.code <= SI_QUEUE {
                (read.int, read.ptr) = (low(second).cast_signed(), second);
            }
        }
    }
    read
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{TestKernel, saved};

    #[test]
    fn fields_are_those_of_the_kind() {
        let user = to_read(&SignalInfo::user(Signal::USR1, 3, 4));
        assert_eq!((user.signal, user.pid, user.uid, user.code), (10, 3, 4, 0));
        let timer = to_read(&SignalInfo::timer(Signal::ALRM, 5, 0x1_0000_0007).with_overrun(2));
        assert_eq!((timer.tid, timer.overrun, timer.int, timer.ptr), (5, 2, 7, 0x1_0000_0007));
        let fault = to_read(&SignalInfo::fault(Signal::SEGV, 1, 0x1234));
        assert_eq!((fault.address, fault.pid), (0x1234, 0));
        let mut queued = SignalInfo::new(Signal::USR2, SI_QUEUE).with_sender(1, 2);
        queued.fields[1] = u64::MAX;
        assert_eq!((to_read(&queued).pid, to_read(&queued).int), (1, -1));
    }

    #[test]
    fn an_image_brings_it_back_with_its_maker_and_without() {
        let fixture = TestKernel::new();
        let test = fixture.root_task();
        let maker = &test.task;
        let made = SignalFd::new(SignalSet(0b1010), maker);
        let image = saved(&made.to_image());
        assert_eq!(image.maker, Some(maker.tid()));
        for found in [Some(maker), None] {
            let again = SignalFd::from_image(&image, found);
            assert_eq!(again.fd_info(), made.fd_info());
            assert_eq!(again.to_image().maker, found.map(|maker| maker.tid()));
        }
    }
}
