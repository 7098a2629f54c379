//! Who has which slot.
//!
//! A slot is mapped in one address space at most, and stays its until all host processes that share the memory are
//! gone. Within an address space it goes from a thread that is dead and reaped to the next.
//!
//! A few threads of an address space that have ended for the kernel *rest*: their host processes wait in their slots to
//! be the next threads. Guest code of the same address space can wake one, which then runs as that code says, but has
//! no trap that the kernel looks at: it is found awake when it is to be a thread, and killed.

use std::collections::HashMap;

use rustix::process::Pid;

use super::slot::Frame;
use crate::ptrace::placement::Habit;

/// How many threads of an address space rest at most.
const RESTING: usize = 8;

/// The slots of all address spaces.
#[derive(Debug, Default)]
pub(crate) struct Owners {
    /// Slots that are mapped nowhere.
    free: Vec<usize>,
    /// The first slot that was never used.
    next: usize,
    spaces: HashMap<Pid, OfSpace>,
    threads: HashMap<Pid, (Pid, usize)>,
    /// Slots that are mapped nowhere any more, and still hold what their last thread left.
    released: Vec<usize>,
}

/// The slots of one address space, known by its helper.
#[derive(Debug, Default)]
struct OfSpace {
    all: Vec<usize>,
    /// Those that are mapped and have no thread.
    free: Vec<usize>,
    threads: usize,
    /// Those of the threads that rest.
    resting: Vec<Resting>,
    is_helper_gone: bool,
}

/// A host process that waits to be another thread.
#[derive(Debug)]
pub(super) struct Resting {
    pub(super) pid: Pid,
    pub(super) slot: usize,
    pub(super) frame: Frame,
    pub(super) habit: Habit,
}

impl Owners {
    /// Takes a slot, of `count` that there are, for a thread of an address space. Returns also whether it is mapped there
    /// already.
    pub(super) fn take(&mut self, helper: Pid, count: usize) -> Option<(usize, bool)> {
        if let Some(slot) = self.spaces.get_mut(&helper).and_then(|space| space.free.pop()) {
            return Some((slot, true));
        }
        let slot = self.free.pop().or_else(|| {
            let next = self.next;
            (next < count).then(|| {
                self.next += 1;
                next
            })
        })?;
        self.spaces.entry(helper).or_default().all.push(slot);
        Some((slot, false))
    }

    /// Gives back a slot that was taken and could not be mapped.
    pub(super) fn give_back_unmapped(&mut self, slot: usize, helper: Pid) {
        let Some(space) = self.spaces.get_mut(&helper) else { return };
        // If the helper died meanwhile, its slots are to be cleared, this one among them.
        if let Some(at) = space.all.iter().position(|known| *known == slot) {
            space.all.swap_remove(at);
            self.free.push(slot);
        }
        if space.all.is_empty() {
            self.spaces.remove(&helper);
        }
    }

    /// Gives back a slot that was taken and is mapped, and for which there is no thread.
    pub(super) fn give_back_mapped(&mut self, slot: usize, helper: Pid) {
        if let Some(space) = self.spaces.get_mut(&helper) {
            space.free.push(slot);
        }
    }

    /// Returns the slots of an address space, if it has threads.
    pub(crate) fn slots_of(&self, helper: Pid) -> &[usize] {
        self.spaces.get(&helper).filter(|space| space.threads > 0).map_or(&[], |space| &space.all)
    }

    /// Takes note that `thread` uses a slot that was taken.
    pub(super) fn assign(&mut self, slot: usize, helper: Pid, thread: Pid) {
        self.spaces.entry(helper).or_default().threads += 1;
        self.threads.insert(thread, (helper, slot));
    }

    /// Returns whether a thread's address space has others, but for such as rest: without, there will be no next one.
    pub(super) fn has_company(&self, thread: Pid) -> bool {
        let helper = self.threads.get(&thread).map(|(helper, _)| helper);
        let space = helper.and_then(|helper| self.spaces.get(helper));
        space.is_some_and(|space| space.threads - space.resting.len() > 1)
    }

    /// Lets a thread rest, if there is room.
    pub(super) fn rest(&mut self, thread: Resting) -> Result<(), Resting> {
        let helper = self.threads.get(&thread.pid).map(|(helper, _)| helper);
        match helper.and_then(|helper| self.spaces.get_mut(helper)) {
            Some(space) if space.resting.len() < RESTING => space.resting.push(thread),
            _ => return Err(thread),
        }
        Ok(())
    }

    /// Takes a thread of an address space that rests.
    pub(super) fn take_resting(&mut self, helper: Pid) -> Option<Resting> {
        self.spaces.get_mut(&helper)?.resting.pop()
    }

    /// Takes all threads of an address space that rest, to end them.
    pub(crate) fn drain_resting(&mut self, helper: Pid) -> Vec<Pid> {
        let resting = self.spaces.get_mut(&helper).map(|space| std::mem::take(&mut space.resting));
        resting.into_iter().flatten().map(|thread| thread.pid).collect()
    }

    /// Takes note that a process was reaped.
    pub(crate) fn bury(&mut self, pid: Pid) {
        let helper = if let Some((helper, slot)) = self.threads.remove(&pid) {
            if let Some(space) = self.spaces.get_mut(&helper) {
                space.threads -= 1;
                space.free.push(slot);
                space.resting.retain(|resting| resting.pid != pid);
            }
            helper
        } else {
            if let Some(space) = self.spaces.get_mut(&pid) {
                space.is_helper_gone = true;
            }
            pid
        };
        if self.spaces.get(&helper).is_some_and(|space| space.is_helper_gone && space.threads == 0)
            && let Some(space) = self.spaces.remove(&helper)
        {
            self.released.extend(space.all);
        }
    }

    /// Takes the slots that are to be cleared.
    pub(super) fn take_released(&mut self) -> Vec<usize> {
        std::mem::take(&mut self.released)
    }

    /// Takes a cleared slot back.
    pub(super) fn give_back(&mut self, slot: usize) {
        self.free.push(slot);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pid(number: i32) -> Pid {
        Pid::from_raw(number).unwrap()
    }

    #[test]
    fn a_slot_stays_with_its_address_space_until_all_its_processes_are_gone() {
        let mut owners = Owners::default();
        let (helper, other) = (pid(10), pid(20));
        assert_eq!(owners.take(helper, 3), Some((0, false)));
        owners.assign(0, helper, pid(11));
        assert_eq!(owners.take(helper, 3), Some((1, false)));
        owners.assign(1, helper, pid(12));

        owners.bury(pid(11));
        assert_eq!(owners.take(other, 3), Some((2, false)), "slot 0 is not another's");
        assert_eq!(owners.take(helper, 3), Some((0, true)), "it is the next thread's");
        owners.assign(0, helper, pid(13));

        owners.bury(helper);
        owners.bury(pid(12));
        assert!(owners.take_released().is_empty(), "a thread may still write to its slot");
        owners.bury(pid(13));
        assert_eq!(owners.take_released(), [0, 1]);
        owners.give_back(1);
        assert_eq!(owners.take(other, 3), Some((1, false)));
    }

    #[test]
    fn a_slot_without_a_thread_is_the_next_threads() {
        let mut owners = Owners::default();
        let (helper, other) = (pid(10), pid(20));
        assert_eq!(owners.take(helper, 3), Some((0, false)));
        owners.give_back_unmapped(0, helper);
        assert!(owners.spaces.is_empty());
        assert_eq!(owners.take(other, 3), Some((0, false)), "nobody has mapped it");
        owners.give_back_mapped(0, other);
        assert_eq!(owners.take(helper, 3), Some((1, false)), "slot 0 is another's");
        assert_eq!(owners.take(other, 3), Some((0, true)));

        // The helper of a space that has no threads dies while a slot is on its way.
        owners.bury(other);
        owners.give_back_unmapped(0, other);
        owners.give_back_mapped(0, other);
        assert_eq!(owners.take_released(), [0]);
        assert_eq!(owners.take(helper, 3), Some((2, false)), "slot 0 is to be cleared");
    }
}
