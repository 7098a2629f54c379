//! Resource limits (`getrlimit(2)`).

use serde::{Deserialize, Serialize};

use crate::error::Errno;
use crate::prelude::errno;

/// The highest value of [`Resource::OpenFiles`] (`/proc/sys/fs/nr_open`).
const NR_OPEN: u64 = 1 << 20;

/// A limit: what holds now, and how far it can be raised without privilege. `u64::MAX` is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rlimit {
    /// What holds.
    pub(crate) soft: u64,
    /// How far `soft` can be raised.
    pub(crate) hard: u64,
}

impl Rlimit {
    /// No limit.
    pub(crate) const INFINITE: Self = Self { soft: u64::MAX, hard: u64::MAX };

    /// Returns a limit that can't be raised.
    const fn fixed(value: u64) -> Self {
        Self { soft: value, hard: value }
    }
}

/// What can be limited, with Linux' numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Resource {
    /// Processor time, in seconds.
    Cpu = 0,
    /// The size of files that are written, in bytes.
    FileSize = 1,
    /// Private writable memory, in bytes.
    Data = 2,
    /// The stack, in bytes.
    Stack = 3,
    /// Core dumps, in bytes.
    Core = 4,
    /// Resident memory; has no effect, as in Linux.
    Resident = 5,
    /// Processes of the user.
    Processes = 6,
    /// One more than the highest descriptor.
    OpenFiles = 7,
    /// Locked memory, in bytes.
    Locked = 8,
    /// All mappings, in bytes.
    AddressSpace = 9,
    /// File locks; has no effect, as in Linux.
    Locks = 10,
    /// Queued signals of the user.
    PendingSignals = 11,
    /// POSIX message queues of the user, in bytes.
    MessageQueues = 12,
    /// How far the priority can be raised: 20 minus the nice value.
    Nice = 13,
    /// The real-time priority.
    RealTimePriority = 14,
    /// Time at real-time priority without a wait, in microseconds.
    RealTimeTime = 15,
}

impl Resource {
    /// All resources, in the order of their numbers.
    const ALL: [Self; RESOURCES] = [
        Self::Cpu,
        Self::FileSize,
        Self::Data,
        Self::Stack,
        Self::Core,
        Self::Resident,
        Self::Processes,
        Self::OpenFiles,
        Self::Locked,
        Self::AddressSpace,
        Self::Locks,
        Self::PendingSignals,
        Self::MessageQueues,
        Self::Nice,
        Self::RealTimePriority,
        Self::RealTimeTime,
    ];

    /// Returns the resource with Linux' number `number`.
    ///
    /// # Errors
    ///
    /// `EINVAL` if there is none.
    pub(crate) fn new(number: u32) -> Result<Self, Errno> {
        usize::try_from(number).ok().and_then(|n| Self::ALL.get(n)).copied().ok_or(errno::EINVAL)
    }
}

/// The number of limits.
pub(crate) const RESOURCES: usize = 16;

/// The limits of a process, by their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rlimits([Rlimit; RESOURCES]);

impl Rlimits {
    /// Returns a limit.
    pub(crate) fn get(&self, resource: Resource) -> Rlimit {
        // The numbers are those of the variants.
        self.0.get(resource as usize).copied().unwrap_or(Rlimit::INFINITE)
    }

    /// Sets the limit with Linux' number `resource`, if there is one. Returns whether there is.
    pub(crate) fn set_by_number(&mut self, resource: u32, limit: Rlimit) -> bool {
        let slot = usize::try_from(resource).ok().and_then(|index| self.0.get_mut(index));
        slot.map(|slot| *slot = limit).is_some()
    }

    /// Changes a limit; `may_raise`: whether the caller has `CAP_SYS_RESOURCE`.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the soft limit is above the hard one, `EPERM` if the caller may not raise it as far.
    pub(crate) fn change(&mut self, resource: Resource, limit: Rlimit, may_raise: bool) -> Result<(), Errno> {
        if limit.soft > limit.hard {
            return Err(errno::EINVAL);
        }
        let highest = if may_raise { u64::MAX } else { self.get(resource).hard };
        let highest = if resource == Resource::OpenFiles { highest.min(NR_OPEN) } else { highest };
        if limit.hard > highest {
            return Err(errno::EPERM);
        }
        self.set_by_number(resource as u32, limit);
        Ok(())
    }

    /// Returns all, in the order of the numbers.
    pub(crate) fn all(&self) -> &[Rlimit; RESOURCES] {
        &self.0
    }
}

impl Default for Rlimits {
    /// The limits that Linux starts its first process with, and the usual ones where those depend on the machine.
    fn default() -> Self {
        let mut limits = [Rlimit::INFINITE; RESOURCES];
        let defaults = [
            (Resource::Stack, Rlimit { soft: 8 << 20, hard: u64::MAX }),
            (Resource::Core, Rlimit { soft: 0, hard: u64::MAX }),
            (Resource::Processes, Rlimit::fixed(96_000)),
            (Resource::OpenFiles, Rlimit { soft: 1024, hard: NR_OPEN }),
            (Resource::Locked, Rlimit::fixed(8 << 20)),
            (Resource::PendingSignals, Rlimit::fixed(96_000)),
            (Resource::MessageQueues, Rlimit::fixed(819_200)),
            (Resource::Nice, Rlimit::fixed(0)),
            (Resource::RealTimePriority, Rlimit::fixed(0)),
        ];
        for (resource, limit) in defaults {
            limits[resource as usize] = limit;
        }
        Self(limits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_linux() {
        for (number, resource) in Resource::ALL.into_iter().enumerate() {
            assert_eq!(Resource::new(u32::try_from(number).unwrap()), Ok(resource));
            assert_eq!(resource as usize, number);
        }
        assert_eq!(Resource::new(16), Err(errno::EINVAL));
    }

    #[test]
    fn only_the_privileged_raise_hard_limits() {
        let mut limits = Rlimits::default();
        let mut change =
            |soft, hard, may_raise| limits.change(Resource::OpenFiles, Rlimit { soft, hard }, may_raise);
        assert_eq!(change(5, 4, true), Err(errno::EINVAL));
        assert_eq!(change(4, 4, false), Ok(()));
        assert_eq!(change(4, 5, false), Err(errno::EPERM));
        assert_eq!(change(4, 5, true), Ok(()));
        assert_eq!(change(4, NR_OPEN + 1, true), Err(errno::EPERM));
        assert_eq!(limits.get(Resource::OpenFiles), Rlimit { soft: 4, hard: 5 });
        let bytes = serde_json::to_vec(&limits).unwrap();
        assert_eq!(serde_json::from_slice::<Rlimits>(&bytes).unwrap(), limits);
    }
}
