//! Ids of tasks, and the PID namespaces that number them (`pid_namespaces(7)`).
//!
//! The kernel knows a task by a [`Pid`], which no other in the sandbox has, whatever container that is in. The guest sees
//! *numbers*: those count from 1 in each namespace. A namespace is one of a flat set, as those of the containers of a pod are:
//! none sees into another. So an id holds its namespace beside its number, and one is made of the other without a table.
//!
//! Whatever comes from the guest is turned into a [`Pid`] by [`PidNamespace::pid`], and what goes to it into a number by
//! [`PidNamespace::number`].

use serde::{Deserialize, Serialize};

/// An id of a task, a thread group, a process group or a session, in the whole sandbox. 0 is none.
pub(crate) type Pid = i32;

/// The largest number in a namespace, plus one (`/proc/sys/kernel/pid_max`).
pub(crate) const PID_MAX: i32 = 1 << NUMBER_BITS;

const NUMBER_BITS: u32 = 22;

/// A PID namespace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct PidNamespace(u16);

impl PidNamespace {
    /// How many there can be.
    const COUNT: u16 = 1 << (31 - NUMBER_BITS);

    /// Returns the namespace that `pid` is numbered in.
    pub(crate) fn of(pid: Pid) -> Self {
        Self(u16::try_from(pid >> NUMBER_BITS).unwrap_or(0))
    }

    /// Returns all namespaces that there can be, the sandbox's first one included.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        (0..Self::COUNT).map(Self)
    }

    /// Returns whether there can be such a namespace: one that was saved may be none.
    pub(super) fn is_valid(self) -> bool {
        self.0 < Self::COUNT
    }

    /// Returns the id that `number` stands for; one that nothing has if it stands for none.
    pub(crate) fn pid(self, number: i32) -> Pid {
        if (1..PID_MAX).contains(&number) { (i32::from(self.0) << NUMBER_BITS) | number } else { -1 }
    }

    /// Returns the number by which this namespace knows `pid`; 0, as in Linux, if it is of another namespace, or none.
    pub(crate) fn number(self, pid: Pid) -> i32 {
        if Self::of(pid) == self { number(pid) } else { 0 }
    }
}

/// Returns the number of `pid` in its own namespace; 0 for none.
pub(crate) fn number(pid: Pid) -> i32 {
    if pid > 0 { pid & (PID_MAX - 1) } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_namespace_has_numbers_of_its_own() {
        let namespaces: Vec<_> = PidNamespace::all().collect();
        let [first, .., last] = *namespaces else { panic!("there are many") };
        for (namespace, other) in [(first, last), (last, first)] {
            for number in [1, 2, PID_MAX - 1] {
                let pid = namespace.pid(number);
                assert_eq!((PidNamespace::of(pid), namespace.number(pid)), (namespace, number));
                assert_eq!(other.number(pid), 0, "others do not see it");
            }
            for nobody in [0, -1, PID_MAX, i32::MIN, i32::MAX] {
                assert!(namespace.pid(nobody) < 0, "{nobody}");
                assert_eq!(namespace.number(namespace.pid(nobody)), 0);
            }
            assert_eq!(namespace.number(0), 0);
        }
        assert_eq!(first.pid(7), 7, "the sandbox's first namespace has the kernel's own ids");
    }
}
