//! A thread's slot may hold anything when it traps.

#![no_main]

use cloister_platform::systrap::fuzzing::HostileSlot;
use libfuzzer_sys::fuzz_target;

thread_local! {
    static SLOT: HostileSlot = HostileSlot::new().unwrap();
}

fuzz_target!(|bytes: &[u8]| {
    SLOT.with(|slot| slot.handle_trap(bytes));
});
