//! Tests of host descriptors against pipes and files of the host.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::event::{Events, Wake};
use crate::fs::FileOps;
use crate::kernel::Reactor;
use crate::prelude::errno;

#[derive(Default)]
struct Waiter(AtomicU32);

impl Wake for Waiter {
    fn wake(self: Arc<Self>, _events: Events) -> bool {
        self.0.fetch_add(1, Ordering::Relaxed);
        true
    }
}

fn host_pipe() -> (OwnedFd, OwnedFd) {
    let (reader, writer) = std::io::pipe().expect("the host has descriptors");
    (reader.into(), writer.into())
}

fn reactor() -> Arc<Reactor> {
    Arc::new(Reactor::new().expect("the host has descriptors"))
}

#[test]
fn reads_never_wait_and_the_reactor_wakes() {
    let (reactor, (reader, writer)) = (reactor(), host_pipe());
    let reader = HostDescriptor::new(reader, None, &reactor).expect("a pipe can be watched");
    let waiter = Arc::new(Waiter::default());
    let queue = reader.queue().expect("a pipe is not always ready");
    let _registration = queue.register(Events::READABLE, Arc::clone(&waiter) as Arc<_>);
    let mut bytes = [0; 8];
    assert_eq!(reader.read(&mut bytes), Err(errno::EAGAIN));
    assert_eq!(rustix::io::write(&writer, b"abc"), Ok(3));
    reactor.dispatch();
    assert_eq!(waiter.0.load(Ordering::Relaxed), 1);
    assert!(reader.poll().contains(Events::READABLE));
    assert_eq!((reader.read(&mut bytes), bytes.get(..3)), (Ok(3), Some(b"abc".as_slice())));
    drop(writer);
    reactor.dispatch();
    assert_eq!(waiter.0.load(Ordering::Relaxed), 2);
    assert!(reader.poll().contains(Events::HUP));
    assert_eq!(reader.read(&mut bytes), Ok(0));
}

#[test]
fn writes_never_wait() {
    let (reactor, (reader, writer)) = (reactor(), host_pipe());
    let writer = HostDescriptor::new(writer, None, &reactor).expect("a pipe can be watched");
    let mut total = 0;
    while let Ok(written) = writer.write(&[0; 5000]) {
        total += written;
    }
    assert!(total >= 4096, "the pipe was never empty");
    assert_eq!(writer.write(&[0; 5000]), Err(errno::EAGAIN));
    assert!(!writer.poll().contains(Events::OUT));
    drop(reader);
    assert_eq!(writer.write(b"x"), Err(errno::EPIPE));
}

#[test]
fn the_null_device_is_always_ready() {
    let null = std::fs::File::options().read(true).write(true).open("/dev/null").expect("it is there");
    let null = HostDescriptor::new(null.into(), None, &reactor()).expect("it needs no watch");
    assert!(null.queue().is_none());
    assert_eq!((null.read(&mut [0; 4]), null.write(b"gone")), (Ok(0), Ok(4)));
}

#[test]
fn a_regular_file_keeps_the_position_of_its_description() {
    let fd = rustix::fs::memfd_create("test", rustix::fs::MemfdFlags::CLOEXEC).expect("the host has memory");
    let other = fd.try_clone().expect("the host has descriptors");
    assert_eq!(rustix::io::write(&other, b"hello"), Ok(5));
    let file = HostFile::new(fd, None);
    assert_eq!((file.outer_position(), file.size()), (Some(5), Some(5)));
    file.set_outer_position(1);
    let mut bytes = [0; 8];
    assert_eq!(rustix::io::read(&other, &mut bytes), Ok(4));
}
