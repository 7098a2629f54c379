//! Tests of pipes without tasks: ends are counted by hand, waiters are counters.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::error::Errno;
use crate::event::{Events, Wake};
use crate::prelude::errno;

/// Counts how often it was told.
#[derive(Debug, Default)]
struct Waiter(AtomicU32);

impl Waiter {
    fn told(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Wake for Waiter {
    fn wake(self: Arc<Self>, _events: Events) -> bool {
        self.0.fetch_add(1, Ordering::Relaxed);
        true
    }
}

fn pipe() -> (Arc<Pipe>, PipeEnd, PipeEnd) {
    let pipe = Arc::new(Pipe::default());
    let reader = PipeEnd::new(Arc::clone(&pipe), Access::Read);
    let writer = PipeEnd::new(Arc::clone(&pipe), Access::Write);
    (pipe, reader, writer)
}

fn read(pipe: &Pipe, max: usize) -> Result<Vec<u8>, Errno> {
    let mut bytes = vec![0; max];
    let len = pipe.read(&mut bytes.as_mut_slice())?;
    bytes.truncate(len);
    Ok(bytes)
}

fn write(pipe: &Pipe, mut bytes: &[u8]) -> Result<usize, Errno> {
    pipe.write(&mut bytes)
}

#[test]
fn bytes_pass_in_order_and_end_with_the_last_writer() {
    let (pipe, _reader, writer) = pipe();
    assert_eq!(read(&pipe, 10), Err(errno::EAGAIN));
    assert_eq!(write(&pipe, b"hello"), Ok(5));
    assert_eq!(write(&pipe, b" world"), Ok(6));
    assert_eq!(read(&pipe, 7), Ok(b"hello w".to_vec()));
    drop(writer);
    assert_eq!(read(&pipe, 7), Ok(b"orld".to_vec()));
    assert_eq!(read(&pipe, 7), Ok(Vec::new()));
}

#[test]
fn writing_without_readers_fails() {
    let (pipe, reader, _writer) = pipe();
    drop(reader);
    assert_eq!(write(&pipe, b"x"), Err(errno::EPIPE));
    assert_eq!(write(&pipe, b""), Ok(0));
}

#[test]
fn small_writes_are_in_one_piece_and_large_ones_partial() {
    let (pipe, _reader, _writer) = pipe();
    assert_eq!(write(&pipe, &[1; 100_000]), Ok(65536));
    assert_eq!(write(&pipe, &[1]), Err(errno::EAGAIN));
    assert_eq!(read(&pipe, 100).map(|bytes| bytes.len()), Ok(100));
    assert_eq!(write(&pipe, &[1; 101]), Err(errno::EAGAIN));
    assert_eq!(write(&pipe, &[1; 100]), Ok(100));
}

#[test]
fn packets_keep_their_borders_and_lose_their_rest() {
    let (pipe, _reader, _writer) = pipe();
    assert_eq!(pipe.write_packets(&mut b"first".as_slice()), Ok(5));
    assert_eq!(pipe.write_packets(&mut b"second".as_slice()), Ok(6));
    assert_eq!(read(&pipe, 3), Ok(b"fir".to_vec()));
    assert_eq!(read(&pipe, 100), Ok(b"second".to_vec()));
    assert_eq!(pipe.write_packets(&mut [7; PIPE_BUF + 1].as_slice()), Ok(PIPE_BUF + 1));
    assert_eq!(read(&pipe, 10_000).map(|bytes| bytes.len()), Ok(PIPE_BUF));
    assert_eq!(read(&pipe, 10_000).map(|bytes| bytes.len()), Ok(1));
}

#[test]
fn a_write_wakes_one_reader_and_what_is_left_the_next() {
    let (pipe, _reader, _writer) = pipe();
    let waiters = [(); 2].map(|()| Arc::new(Waiter::default()));
    let mut registrations = waiters
        .each_ref()
        .map(|waiter| Some(pipe.queue().register_exclusive(Events::READABLE, Arc::clone(waiter) as Arc<_>)));
    assert_eq!(write(&pipe, b"ab"), Ok(2));
    assert_eq!(waiters.each_ref().map(|waiter| waiter.told()), [1, 0]);
    registrations[0] = None;
    assert_eq!(read(&pipe, 1), Ok(b"a".to_vec()));
    assert_eq!(waiters.each_ref().map(|waiter| waiter.told()), [1, 1]);
}

#[test]
fn room_for_a_page_wakes_writers() {
    let (pipe, _reader, _writer) = pipe();
    let waiter = Arc::new(Waiter::default());
    let _registration = pipe.queue().register_exclusive(Events::WRITABLE, Arc::clone(&waiter) as Arc<_>);
    assert_eq!(write(&pipe, &[0; 65536]), Ok(65536));
    assert_eq!(read(&pipe, 1).map(|bytes| bytes.len()), Ok(1));
    assert_eq!(waiter.told(), 0);
    assert_eq!(read(&pipe, 4095).map(|bytes| bytes.len()), Ok(4095));
    assert_eq!(waiter.told(), 1);
}

#[test]
fn conditions_follow_the_ends() {
    let (pipe, reader, writer) = pipe();
    assert_eq!(pipe.poll(Access::Read, 0), Events::empty());
    assert_eq!(pipe.poll(Access::Write, 0), Events::WRITABLE);
    write(&pipe, b"x").expect("there is room");
    drop(writer);
    assert_eq!(pipe.poll(Access::Read, 0), Events::READABLE | Events::HUP);
    drop(reader);
    assert_eq!(pipe.poll(Access::Write, 0), Events::WRITABLE | Events::ERR);
}

#[test]
fn a_fifo_is_hung_up_only_after_a_writer_has_left() {
    let pipe = Arc::new(Pipe::default());
    drop(PipeEnd::of_fifo(Arc::clone(&pipe), Access::Write));
    let reader = PipeEnd::of_fifo(Arc::clone(&pipe), Access::Read);
    assert_eq!(pipe.poll(Access::Read, reader.writers_before()), Events::empty());
    drop(PipeEnd::of_fifo(Arc::clone(&pipe), Access::Write));
    assert_eq!(pipe.poll(Access::Read, reader.writers_before()), Events::HUP);
}

#[test]
fn the_capacity_is_pages_and_no_less_than_the_contents() {
    let (pipe, _reader, _writer) = pipe();
    assert_eq!(pipe.set_capacity(1), Ok(4096));
    assert_eq!(write(&pipe, &[0; 5000]), Ok(4096));
    assert_eq!(pipe.set_capacity(70_000), Ok(131_072));
    assert_eq!(write(&pipe, &[0; 5000]), Ok(5000));
    assert_eq!(pipe.set_capacity(4096), Err(errno::EBUSY));
    assert_eq!(pipe.set_capacity(1 << 21), Err(errno::EPERM));
}

#[test]
fn what_found_no_place_is_put_back_in_front() {
    let (pipe, _reader, _writer) = pipe();
    write(&pipe, b"abcdef").expect("there is room");
    let taken = read(&pipe, 4).expect("there are bytes");
    pipe.put_back(taken.get(2..).unwrap_or_default());
    assert_eq!(pipe.peek(3), Ok(b"cde".to_vec()));
    assert_eq!(read(&pipe, 10), Ok(b"cdef".to_vec()));
}

#[test]
fn an_image_brings_everything_back() {
    let (pipe, _reader, _writer) = pipe();
    write(&pipe, b"stream").expect("there is room");
    pipe.write_packets(&mut b"packet".as_slice()).expect("there is room");
    pipe.set_capacity(8192).expect("it is large enough");
    let image = pipe.to_image();
    let restored = Pipe::from_image(image.clone());
    assert_eq!(restored.to_image(), image);
    assert_eq!(read(&restored, 100), Ok(b"stream".to_vec()));
    assert_eq!(read(&restored, 3), Ok(b"pac".to_vec()));
    assert_eq!(read(&restored, 3), Ok(Vec::new()));
}
