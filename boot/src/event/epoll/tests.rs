//! Tests of epoll instances that watch eventfds, without tasks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::error::Errno;
use crate::event::{EventFd, EventFdMode, Events, Wake};
use crate::fs::anon::AnonFiles;
use crate::fs::{FileOps, OpenFile, OpenFlags};
use crate::prelude::errno;

const IN: u32 = Events::IN.bits();

/// Some files and an instance that watches them.
#[derive(Default)]
struct Bench {
    files: AnonFiles,
    nesting: Nesting,
    epoll: Epoll,
}

impl Bench {
    fn open(&self, ops: impl FileOps) -> Arc<OpenFile> {
        self.files.open_object("test", Box::new(ops), OpenFlags::READ_WRITE)
    }

    fn eventfd(&self, count: u64) -> Arc<OpenFile> {
        self.open(EventFd::new(count, EventFdMode::Counter))
    }

    fn add(&self, file: &Arc<OpenFile>, fd: i32, raw_events: u32) -> Result<(), Errno> {
        self.epoll.add(&self.nesting, file, fd, Setting::new(raw_events, fd.unsigned_abs().into()))
    }

    /// Returns the data of what is reported.
    fn reported(&self, max: usize) -> Vec<u64> {
        self.epoll.take_reports(max).iter().map(|report| report.data).collect()
    }
}

fn counter(file: &OpenFile) -> &EventFd {
    (file.ops() as &dyn std::any::Any).downcast_ref().expect("it is an eventfd")
}

#[test]
fn conditions_are_reported_for_as_long_as_they_last() {
    let bench = Bench::default();
    let file = bench.eventfd(0);
    bench.add(&file, 1, IN).expect("it is not watched yet");
    assert!(bench.reported(8).is_empty());
    counter(&file).add(1).expect("there is room");
    assert_eq!((bench.reported(8), bench.reported(8)), (vec![1], vec![1]));
    counter(&file).take().expect("it is not zero");
    assert!(bench.reported(8).is_empty());
}

#[test]
fn edges_are_reported_once_each() {
    let bench = Bench::default();
    let file = bench.eventfd(1);
    bench.add(&file, 1, IN | EpollFlags::EDGE.bits()).expect("it is not watched yet");
    assert_eq!((bench.reported(8), bench.reported(8)), (vec![1], vec![]));
    counter(&file).add(1).expect("there is room");
    assert_eq!((bench.reported(8), bench.reported(8)), (vec![1], vec![]));
}

#[test]
fn one_shots_report_until_they_are_set_anew() {
    let bench = Bench::default();
    let file = bench.eventfd(1);
    let setting = Setting::new(IN | EpollFlags::ONE_SHOT.bits(), 1);
    bench.epoll.add(&bench.nesting, &file, 1, setting).expect("it is not watched yet");
    assert_eq!(bench.reported(8), [1]);
    counter(&file).add(1).expect("there is room");
    assert!(bench.reported(8).is_empty());
    bench.epoll.modify(&file, 1, setting).expect("it is watched");
    assert_eq!(bench.reported(8), [1]);
}

#[test]
fn reports_that_did_not_arrive_come_again() {
    let bench = Bench::default();
    let file = bench.eventfd(1);
    let flags = EpollFlags::ONE_SHOT | EpollFlags::EDGE;
    bench.add(&file, 1, IN | flags.bits()).expect("it is not watched yet");
    bench.epoll.put_back(&bench.epoll.take_reports(8));
    assert_eq!((bench.reported(8), bench.reported(8)), (vec![1], vec![]));
}

#[test]
fn all_get_their_turn() {
    let bench = Bench::default();
    let files = [1, 2, 3].map(|fd| (fd, bench.eventfd(1)));
    for (fd, file) in &files {
        bench.add(file, *fd, IN).expect("it is not watched yet");
    }
    assert_eq!([(); 4].map(|()| bench.reported(1)), [vec![1], vec![2], vec![3], vec![1]]);
    assert_eq!(bench.reported(8), [2, 3, 1]);
}

#[test]
fn files_that_are_closed_report_nothing() {
    let bench = Bench::default();
    let file = bench.eventfd(1);
    bench.add(&file, 1, IN).expect("it is not watched yet");
    assert_eq!(bench.add(&file, 1, IN), Err(errno::EEXIST));
    bench.add(&file, 2, IN).expect("the descriptor is another");
    drop(file);
    assert!(bench.reported(8).is_empty());
}

#[test]
fn removed_interests_report_nothing() {
    let bench = Bench::default();
    let file = bench.eventfd(1);
    bench.add(&file, 1, IN).expect("it is not watched yet");
    bench.epoll.remove(&file, 1).expect("it is watched");
    assert!(bench.reported(8).is_empty());
    assert_eq!(bench.epoll.remove(&file, 1), Err(errno::ENOENT));
    assert_eq!(bench.epoll.modify(&file, 1, Setting::new(IN, 1)), Err(errno::ENOENT));
}

/// A waiter that is woken by everything it is told.
#[derive(Default)]
struct Waiter(AtomicU32);

impl Wake for Waiter {
    fn wake(self: Arc<Self>, _events: Events) -> bool {
        self.0.fetch_add(1, Ordering::Relaxed);
        true
    }
}

#[test]
fn exclusive_interests_wake_one_instance() {
    let (bench, other) = (Bench::default(), Epoll::default());
    let file = bench.eventfd(0);
    let setting = Setting::new(IN | EpollFlags::EXCLUSIVE.bits(), 1);
    for epoll in [&bench.epoll, &other] {
        epoll.add(&bench.nesting, &file, 1, setting).expect("it is not watched yet");
    }
    let waiters = [(); 2].map(|()| Arc::new(Waiter::default()));
    let _first = bench.epoll.waiters().register_exclusive(Events::IN, Arc::clone(&waiters[0]) as Arc<_>);
    let _second = other.waiters().register_exclusive(Events::IN, Arc::clone(&waiters[1]) as Arc<_>);
    counter(&file).add(1).expect("there is room");
    assert_eq!(waiters.map(|waiter| waiter.0.load(Ordering::Relaxed)), [1, 0]);
    assert_eq!(bench.epoll.modify(&file, 1, setting), Err(errno::EINVAL));
}

#[test]
fn instances_watch_instances() {
    let bench = Bench::default();
    let (file, inner) = (bench.eventfd(0), bench.open(Epoll::default()));
    let inner_epoll = Epoll::of(&inner).expect("it is one");
    inner_epoll.add(&bench.nesting, &file, 5, Setting::new(IN, 5)).expect("it is not watched yet");
    bench.add(&inner, 1, IN).expect("it is not watched yet");
    assert!(bench.reported(8).is_empty());
    counter(&file).add(1).expect("there is room");
    assert_eq!(bench.reported(8), [1]);
    counter(&file).take().expect("it is not zero");
    assert!(bench.reported(8).is_empty());
}

#[test]
fn circles_and_long_chains_are_refused() {
    let bench = Bench::default();
    let instances: Vec<_> = (0..7).map(|_| bench.open(Epoll::default())).collect();
    let watch = |parent: usize, child: usize| {
        let parent = Epoll::of(&instances[parent]).expect("it is one");
        parent.add(&bench.nesting, &instances[child], 9, Setting::new(IN, 0))
    };
    for top in 0..4 {
        watch(top, top + 1).expect("five levels are allowed");
    }
    assert_eq!(watch(4, 5), Err(errno::ELOOP));
    assert_eq!(watch(5, 0), Err(errno::ELOOP));
    assert_eq!(watch(4, 0), Err(errno::ELOOP));
    assert_eq!(watch(5, 6), Ok(()));
    let first = Epoll::of(&instances[0]).expect("it is one");
    first.remove(&instances[1], 9).expect("it is watched");
    assert_eq!(watch(4, 5), Err(errno::ELOOP));
    assert_eq!(watch(4, 6), Ok(()));
}

#[test]
fn files_that_are_always_ready_are_refused() {
    #[derive(Debug)]
    struct Regular;
    impl FileOps for Regular {}
    let bench = Bench::default();
    assert_eq!(bench.add(&bench.open(Regular), 1, IN), Err(errno::EPERM));
}

#[test]
fn an_image_brings_all_interests_back() {
    let bench = Bench::default();
    let files = [bench.eventfd(1), bench.eventfd(0)];
    bench.add(&files[0], 3, IN | EpollFlags::ONE_SHOT.bits()).expect("it is not watched yet");
    bench.add(&files[1], 4, IN).expect("it is not watched yet");
    assert_eq!(bench.reported(8), [3]);
    let id_of = |file: &Arc<OpenFile>| u64::from(Arc::ptr_eq(file, &files[1]));
    let image = bench.epoll.to_image(id_of);
    let restored = Epoll::default();
    let file_of = |id: u64| files.get(usize::try_from(id).ok()?).cloned();
    restored.restore(&bench.nesting, &image, file_of).expect("all files are there");
    assert_eq!(restored.to_image(id_of), image);
    counter(&files[1]).add(1).expect("there is room");
    assert_eq!(restored.take_reports(8).iter().map(|report| report.data).collect::<Vec<_>>(), [4]);
}
