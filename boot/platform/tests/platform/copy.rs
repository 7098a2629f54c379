//! Memory that is copied while a call is handled: on systrap by the thread that made it, once its site is patched.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use cloister_platform::{AddressSpace, Backing, Trap};

use crate::call_sites::{AGAIN, MANY, at_call, full, is_patched, space};
use crate::common::{DATA, PAGE, RW, Sandbox, TEXT, pages};

/// Where there is a page that nothing has touched, before one that is not there.
const FRESH: u64 = DATA + 16 * PAGE;

/// Runs `check` at each of many calls, most of which are made at a patched site. Nothing else of the thread changes.
fn at_each_call(check: impl Fn(&dyn AddressSpace, u32) + Send + Sync + 'static) {
    let sandbox = Sandbox::on_systrap();
    let space = space(&sandbox, &AGAIN);
    let (weak, calls) = (Arc::downgrade(&space), Arc::new(AtomicU32::new(0)));
    let count = Arc::clone(&calls);
    let work = move || {
        let Some(space) = weak.upgrade() else { return };
        check(&*space, count.load(Ordering::Relaxed));
        count.fetch_add(1, Ordering::Relaxed);
    };
    let thread = sandbox.spawn_with(&space, 0, work).unwrap();
    thread.resume(&full());
    for result in 0..MANY {
        let (trap, registers) = sandbox.next_trap();
        assert_eq!((trap, registers), (Trap::Syscall, at_call(&full())), "call {result}");
        thread.resume(&cloister_abi::Registers { rax: result, ..registers });
    }
    assert_eq!(sandbox.next_trap().0, Trap::Syscall);
    assert!(is_patched(&*space));
    assert_eq!(u64::from(calls.load(Ordering::Relaxed)), MANY + 1);
}

fn pattern(seed: u32, length: usize) -> Vec<u8> {
    (0..=250).cycle().skip(seed as usize % 251).take(length).collect()
}

#[test]
fn what_is_written_is_read() {
    at_each_call(|space, call| {
        for length in [1, 7, 8, 9, 144, 4095, 4096] {
            let bytes = pattern(call, length);
            assert_eq!(space.write(DATA, &bytes), length);
            let mut read = vec![0; length];
            assert_eq!(space.read(DATA, &mut read), length);
            assert_eq!(read, bytes);
        }
        assert_eq!((space.write(DATA, &[]), space.read(DATA, &mut [])), (0, 0));
    });
}

#[test]
fn copies_end_where_memory_does() {
    at_each_call(|space, call| {
        for length in [10_usize, 100, 4000, 5000] {
            let there = length.min(10);
            let at = DATA + PAGE - 10;
            let bytes = pattern(call, length);
            assert_eq!(space.write(at, &bytes), there);
            let mut read = vec![0; length];
            assert_eq!(space.read(at, &mut read), there);
            assert_eq!(read[..there], bytes[..there]);
            assert!(read[there..].iter().all(|byte| *byte == 0));
        }
        let mut byte = [1];
        assert_eq!((space.read(DATA + PAGE, &mut byte), space.write(DATA + PAGE, &byte)), (0, 0));
        assert_eq!((space.read(0, &mut byte), space.read(u64::MAX, &mut byte), byte), (0, 0, [1]));
    });
}

#[test]
fn memory_that_guest_code_may_not_write_is_not_written() {
    at_each_call(|space, _| {
        let mut before = [0];
        assert_eq!(space.read(TEXT, &mut before), 1);
        assert_eq!((space.write(TEXT, &[0xcc]), before), (0, [0x90]));
    });
}

#[test]
fn memory_that_was_never_touched_is_brought_in() {
    at_each_call(|space, _| {
        space.map(pages(FRESH, 1), RW, Backing::Anonymous).unwrap();
        let mut read = [1; 64];
        assert_eq!((space.read(FRESH, &mut read), read), (64, [0; 64]));
        space.map(pages(FRESH, 1), RW, Backing::Anonymous).unwrap();
        assert_eq!(space.write(FRESH, &[2; 64]), 64);
    });
}
