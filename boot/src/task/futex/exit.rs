//! What becomes of a task's futexes when it ends, or executes a program.

use zerocopy::{FromBytes, IntoBytes};

use super::wait::load;
use super::{FutexKey, Sharing, pi, wake};
use crate::context::SyscallCx;
use crate::prelude::{Arc, uapi};
use crate::syscall::Address;

/// The most entries of the list that are looked at (`ROBUST_LIST_LIMIT`): it may be a ring.
const MAX_ENTRIES: usize = 2048;

/// `struct robust_list_head` (`get_robust_list(2)`).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes)]
#[repr(C)]
struct RobustListHead {
    first: u64,
    futex_offset: u64,
    pending: u64,
}

/// Gives up what the calling task has: its waits, the locks of its robust list and those that others wait for, and the
/// word that says that it is there (`set_tid_address(2)`).
pub(crate) fn on_task_exit(cx: &mut SyscallCx<'_>) {
    cx.run.held = None;
    exit_robust_list(cx);
    pi::abandon(&cx.kernel().futexes, cx.task.tid());
    clear_child_tid(cx);
}

/// Marks the locks of the robust list with `FUTEX_OWNER_DIED`.
fn exit_robust_list(cx: &mut SyscallCx<'_>) {
    let list = std::mem::take(&mut cx.run.robust_list);
    if list == 0 {
        return;
    }
    let memory = cx.memory();
    let Ok(head) = memory.read::<RobustListHead>(Address(list)) else { return };
    let mut entry = head.first;
    for _ in 0..MAX_ENTRIES {
        if entry & !1 == list {
            break;
        }
        // First the next one: the dead lock's memory may be gone as soon as it is free.
        let next = memory.read::<u64>(Address(entry & !1));
        if entry & !1 != head.pending & !1 && !mark(cx, entry, head.futex_offset, IsPending::No) {
            return;
        }
        let Ok(next) = next else { return };
        entry = next;
    }
    if head.pending != 0 {
        mark(cx, head.pending, head.futex_offset, IsPending::Yes);
    }
}

/// Whether a lock is the one that the task was about to take or to give up.
#[derive(Clone, Copy, PartialEq, Eq)]
enum IsPending {
    Yes,
    No,
}

/// Marks the lock of an entry, whose lowest bit tells whether the kernel hands it over. Returns whether it could be
/// looked at.
fn mark(cx: &SyscallCx<'_>, entry: u64, futex_offset: u64, is_pending: IsPending) -> bool {
    let is_pi = entry & 1 != 0;
    let address = (entry & !1).wrapping_add(futex_offset);
    if !address.is_multiple_of(4) {
        return false;
    }
    loop {
        let Ok(word) = load(cx.mm(), address) else { return false };
        let owner = word & uapi::FUTEX_TID_MASK;
        if is_pending == IsPending::Yes && !is_pi && owner == 0 {
            // The task has given the lock up and not yet woken anybody.
            wake_one(cx, address);
            return true;
        }
        if owner != cx.number(cx.task.tid()).cast_unsigned() {
            return true;
        }
        let new = (word & uapi::FUTEX_WAITERS) | uapi::FUTEX_OWNER_DIED;
        match cx.mm().space().compare_exchange(address, word, new) {
            Ok(now) if now == word => {
                if !is_pi && word & uapi::FUTEX_WAITERS != 0 {
                    wake_one(cx, address);
                }
                return true;
            }
            Ok(_) => {}
            Err(_) => return false,
        }
    }
}

/// Clears the word at the task's id and wakes who joins it.
fn clear_child_tid(cx: &mut SyscallCx<'_>) {
    let address = std::mem::take(&mut cx.run.clear_child_tid);
    // Nobody can see it in an address space that ends: one reference is the task's own, another its copy for others.
    if address == 0 || Arc::strong_count(cx.mm()) <= 2 {
        return;
    }
    if cx.memory().write(Address(address), &0_u32).is_ok() {
        wake_one(cx, address);
    }
}

fn wake_one(cx: &SyscallCx<'_>, address: u64) {
    if let Ok(key) = FutexKey::new(cx.mm(), address, Sharing::Shared) {
        // Waiters for a lock that is handed over are no matter of this wake-up.
        let _ = wake(cx.kernel(), &key, 1, u32::MAX);
    }
}
