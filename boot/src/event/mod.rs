//! Readiness: what can be waited for, who is told, and the objects that are about nothing else.

mod epoll;
mod eventfd;
mod events;
mod inotify;
mod look;
mod timeout;
mod wait_queue;

pub(crate) use epoll::{Epoll, EpollImage, Nesting, Report, Setting};
pub(crate) use eventfd::{EventFd, EventFdImage, EventFdMode};
pub(crate) use events::Events;
pub(crate) use inotify::{Inotify, InotifyImage, WatchMask};
pub(crate) use look::{Look, wait_for_any};
pub(crate) use timeout::{TimeUnit, set_signal_mask};
pub(crate) use wait_queue::{Registration, WaitQueue, Wake};
