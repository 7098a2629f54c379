//! How a task wants to be scheduled (`sched(7)`). The host schedules the guest's threads; this is what they are told about
//! themselves.

use serde::{Deserialize, Serialize};

/// A scheduling policy, with the numbers of `SCHED_*`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Policy {
    /// `SCHED_OTHER`.
    #[default]
    Other = 0,
    /// `SCHED_FIFO`.
    Fifo = 1,
    /// `SCHED_RR`.
    RoundRobin = 2,
    /// `SCHED_BATCH`.
    Batch = 3,
    /// `SCHED_IDLE`.
    Idle = 5,
}

impl Policy {
    /// Returns the policy with a number of `SCHED_*`; `SCHED_DEADLINE` is not offered.
    pub(crate) fn new(number: u32) -> Option<Self> {
        [Self::Other, Self::Fifo, Self::RoundRobin, Self::Batch, Self::Idle]
            .into_iter()
            .find(|policy| *policy as u32 == number)
    }

    /// Returns whether it is a real-time one.
    pub(crate) fn is_real_time(self) -> bool {
        matches!(self, Self::Fifo | Self::RoundRobin)
    }

    /// Returns the least and the highest priority.
    pub(crate) fn priorities(self) -> std::ops::RangeInclusive<u32> {
        if self.is_real_time() { 1..=99 } else { 0..=0 }
    }
}

/// The most processors that a set can name.
const MAX_CPUS: u32 = 1024;

/// A set of processors (`cpu_set_t`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CpuSet(Vec<u64>);

impl CpuSet {
    /// Returns the set of the first `cpus` processors.
    pub(crate) fn first(cpus: u32) -> Self {
        let bits = |at: u32| match cpus.saturating_sub(at * 64) {
            0 => None,
            n @ 1..64 => Some((1 << n) - 1),
            64.. => Some(u64::MAX),
        };
        Self((0..MAX_CPUS / 64).map_while(bits).collect())
    }

    /// Takes a set from the guest's bytes; what they do not hold is not in it.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Self {
        let word = |chunk: &[u8]| chunk.iter().rev().fold(0_u64, |word, byte| (word << 8) | u64::from(*byte));
        Self(bytes.chunks(8).take(MAX_CPUS as usize / 64).map(word).collect())
    }

    /// Returns the set in the guest's form.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    /// Returns what is in both.
    pub(crate) fn and(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(a, b)| a & b).collect())
    }

    /// Returns whether no processor is in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }
}

/// How a task wants to be scheduled.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Scheduling {
    /// The policy.
    pub(crate) policy: Policy,
    /// The priority among real-time tasks, 1 to 99; 0 for others.
    pub(crate) priority: u32,
    /// The nice value, -20 to 19.
    pub(crate) nice: i32,
    /// Whether tasks that it makes are ordinary ones (`SCHED_RESET_ON_FORK`).
    pub(crate) resets_on_fork: bool,
    /// The processors that it wants to run on; `None`: all.
    pub(crate) affinity: Option<CpuSet>,
}

impl Scheduling {
    /// Returns that of a task that this one makes.
    pub(super) fn for_clone(&self) -> Self {
        if self.resets_on_fork {
            Self { nice: self.nice.max(0), affinity: self.affinity.clone(), ..Self::default() }
        } else {
            self.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_sets_have_the_guests_form() {
        assert_eq!(CpuSet::first(2).to_bytes(), [3, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(CpuSet::first(64).to_bytes(), [0xff; 8]);
        assert_eq!(CpuSet::first(65).to_bytes()[8..], [1, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(CpuSet::first(1_000_000).to_bytes().len(), 128);
        assert!(CpuSet::from_bytes(&[4]).and(&CpuSet::first(2)).is_empty());
        assert_eq!(CpuSet::from_bytes(&[7]).and(&CpuSet::first(2)), CpuSet::first(2));
    }

    #[test]
    fn resetting_on_fork() {
        let parent = Scheduling {
            policy: Policy::Fifo,
            priority: 9,
            nice: -5,
            resets_on_fork: true,
            affinity: Some(CpuSet::first(1)),
        };
        let child = Scheduling { affinity: Some(CpuSet::first(1)), ..Scheduling::default() };
        assert_eq!(parent.for_clone(), child);
        assert_eq!(child.for_clone(), child);
        let bytes = serde_json::to_vec(&parent).unwrap();
        assert_eq!(serde_json::from_slice::<Scheduling>(&bytes).unwrap(), parent);
    }
}
