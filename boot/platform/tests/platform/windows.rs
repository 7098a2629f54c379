//! Parts of files that threads copy from, on systrap, at patched call sites.

use std::fs::File;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use cloister_abi::Registers;
use cloister_platform::{AddressSpace, Backing, Thread};

use crate::call_sites::{AGAIN, MANY, full, space};
use crate::common::{DATA, PAGE, RW, Sandbox, TEXT, file_of, pages};
use crate::stub::children;

/// Where there is room for a block.
const ROOM: u64 = DATA + 16 * PAGE;
const BLOCK: usize = 64 << 10;
/// What the file has.
const BLOCKS: u64 = 10;

fn contents() -> Vec<u8> {
    (0..=250).cycle().take(BLOCK * 10 + 5).collect()
}

/// A thread that makes calls, at each of which a block of a file is read, in order.
struct Reading {
    sandbox: Sandbox,
    space: Arc<dyn AddressSpace>,
    thread: Arc<dyn Thread>,
    file: Arc<File>,
    block: Arc<AtomicU32>,
}

impl Reading {
    fn new() -> Self {
        Self::with_more(|_, _| ())
    }

    /// As `new`; `more` is done after each block.
    fn with_more(more: fn(&dyn AddressSpace, &File)) -> Self {
        let sandbox = Sandbox::on_systrap();
        let space = space(&sandbox, &AGAIN);
        space.map(pages(ROOM, 16), RW, Backing::Anonymous).unwrap();
        let (file, block) = (Arc::new(file_of(&contents())), Arc::new(AtomicU32::new(0)));
        let (weak, of, number) = (Arc::downgrade(&space), Arc::clone(&file), Arc::clone(&block));
        let work = move || {
            let Some(space) = weak.upgrade() else { return };
            let number = u64::from(number.fetch_add(1, Ordering::Relaxed)) % (BLOCKS + 1);
            check_read(&*space, &of, number * BLOCK as u64);
            more(&*space, &of);
        };
        let thread = sandbox.spawn_with(&space, 0, work).unwrap();
        thread.resume(&full());
        Self { sandbox, space, thread, file, block }
    }

    /// Has the thread make calls until there is a window, for which several copies in a row must succeed: on a busy host
    /// not all do.
    fn read(&self) {
        let until = Instant::now() + Duration::from_secs(30);
        for result in 0.. {
            let (_, registers) = self.sandbox.next_trap();
            if result >= MANY && self.has_window() {
                break;
            }
            assert!(Instant::now() < until, "there is no window");
            self.thread.resume(&Registers { rax: result, ..registers });
        }
    }

    fn has_window(&self) -> bool {
        let [_, helper, ..] = children()[..] else { panic!("the empty space, the helper, its thread") };
        has_window(helper)
    }
}

/// Reads a block, and checks what comes.
fn check_read(space: &dyn AddressSpace, file: &File, offset: u64) {
    let mut before = vec![0xff; BLOCK];
    assert_eq!(space.write(ROOM, &before), BLOCK);
    let copied = space.write_file(ROOM, file.as_fd(), offset, BLOCK);
    let rest = usize::try_from(file.metadata().unwrap().len().saturating_sub(offset)).unwrap();
    assert!(copied <= BLOCK.min(rest), "{copied} of {rest}");
    let expected = contents();
    before[..copied].copy_from_slice(&expected[usize::try_from(offset).unwrap()..][..copied]);
    let mut after = vec![0; BLOCK];
    assert_eq!(space.read(ROOM, &mut after), BLOCK);
    assert!(after == before, "{copied} bytes at {offset}");
}

/// Returns whether a process has a part of the test's file mapped, which it can only read. A shared mapping would keep a
/// memory file from being sealed.
fn has_window(pid: i32) -> bool {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    maps.lines().any(|line| line.contains(" r--p ") && line.contains("memfd:test"))
}

#[test]
fn a_file_that_is_read_in_order_is_copied_from_a_window() {
    let reading = Reading::new();
    reading.read();
    assert!(reading.has_window());
    assert!(u64::from(reading.block.load(Ordering::Relaxed)) > MANY);
}

#[test]
fn a_window_is_closed_when_it_is_not_used_and_no_copy_has_it() {
    let reading = Reading::new();
    reading.read();
    assert!(reading.has_window());
    let copy = reading.space.fork().unwrap();
    assert!(reading.has_window());
    assert!(!has_window(*children().last().unwrap()));
    drop(copy);
    let until = Instant::now() + Duration::from_secs(30);
    while reading.has_window() {
        assert!(Instant::now() < until, "the window is not closed");
        assert_eq!(reading.sandbox.trap_within(Duration::from_millis(10)), None);
    }
}

#[test]
fn a_file_that_changes_loses_its_window() {
    let reading = Reading::new();
    reading.read();
    assert!(reading.has_window());
    reading.file.set_len(BLOCK as u64 / 2).unwrap();
    let until = Instant::now() + Duration::from_secs(30);
    while reading.has_window() {
        assert!(Instant::now() < until, "the window stays");
        // Nothing is in order any more.
        reading.block.store(0, Ordering::Relaxed);
        reading.thread.resume(&full());
        let _ = reading.sandbox.next_trap();
    }
}

#[test]
fn nothing_is_written_where_guest_code_cannot_write() {
    let reading = Reading::with_more(|space, file| {
        // All of the file is in order, so there is a window.
        let length = contents().len();
        for address in [TEXT, ROOM + 16 * PAGE, 0, u64::MAX - 10] {
            assert_eq!(space.write_file(address, file.as_fd(), 0, length), 0);
        }
        let copied = space.write_file(ROOM + 16 * PAGE - 10, file.as_fd(), 0, length);
        assert!(copied <= 10, "{copied}");
        let mut text = [0];
        assert_eq!((space.read(TEXT, &mut text), text), (1, [0x90]));
    });
    reading.read();
    assert!(reading.has_window());
}
