//! Parameters of the kernel that can be set (`/proc/sys`, and `linux.sysctl` of a container's configuration).

use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU64, Ordering};

/// A parameter that is a number.
#[derive(Debug)]
pub(crate) struct Parameter {
    value: AtomicU64,
    range: RangeInclusive<u64>,
}

/// The parameters that can be set; those of subsystems that there are not are only kept.
#[derive(Debug)]
pub(crate) struct Parameters {
    /// The most bytes of a System V message.
    pub(crate) message_bytes: Parameter,
    /// The most bytes of a new System V message queue.
    pub(crate) message_queue_bytes: Parameter,
    /// The most System V message queues.
    pub(crate) message_queues: Parameter,
    /// The most System V semaphores: of a set, of all, operations of a call, sets.
    pub(crate) semaphores: [Parameter; 4],
    /// The most pages of all System V shared memory segments.
    pub(crate) shared_memory_pages: Parameter,
    /// The most bytes of a System V shared memory segment.
    pub(crate) shared_memory_bytes: Parameter,
    /// The most System V shared memory segments.
    pub(crate) shared_memory_segments: Parameter,
    /// The most connections that wait to be accepted.
    pub(crate) backlog: Parameter,
    /// Ports below this are for those with `CAP_NET_BIND_SERVICE`.
    pub(crate) unprivileged_ports: Parameter,
    /// The groups that may use echo sockets, which there are not.
    pub(crate) ping_groups: [Parameter; 2],
    /// What TCP does with connections that are silent: seconds before a probe and between probes, and how many. Only kept:
    /// the loopback device loses nothing.
    pub(crate) keepalive: [Parameter; 3],
    /// Whether TCP answers without state when its queue is full. Only kept.
    pub(crate) syn_cookies: Parameter,
    /// How many seconds TCP waits for the other side to close. Only kept.
    pub(crate) fin_timeout: Parameter,
}

impl Parameter {
    const fn new(value: u64, range: RangeInclusive<u64>) -> Self {
        Self { value: AtomicU64::new(value), range }
    }

    /// Returns its value.
    pub(crate) fn get(&self) -> u64 {
        self.value.load(Ordering::Relaxed)
    }

    /// Returns its value where sizes are wanted.
    pub(crate) fn size(&self) -> usize {
        usize::try_from(self.get()).unwrap_or(usize::MAX)
    }

    /// Returns its value where ports are wanted.
    pub(crate) fn port(&self) -> u16 {
        u16::try_from(self.get()).unwrap_or(u16::MAX)
    }

    /// Returns whether it can have this value.
    pub(crate) fn can_be(&self, value: u64) -> bool {
        self.range.contains(&value)
    }

    /// Sets it to a value that it can have.
    pub(crate) fn set(&self, value: u64) {
        self.value.store(value.clamp(*self.range.start(), *self.range.end()), Ordering::Relaxed);
    }
}

impl Default for Parameters {
    fn default() -> Self {
        const INT: u64 = i32::MAX as u64;
        /// `ULONG_MAX` less 2^24, the default of Linux for "no limit" of shared memory.
        const ALL: u64 = u64::MAX - (1 << 24);
        let int = |value| Parameter::new(value, 0..=INT);
        Self {
            message_bytes: Parameter::new(8192, 0..=1 << 20),
            message_queue_bytes: Parameter::new(16384, 0..=16 << 20),
            message_queues: Parameter::new(32000, 0..=32768),
            semaphores: [
                Parameter::new(32000, 0..=32000),
                Parameter::new(1_024_000_000, 0..=INT),
                Parameter::new(500, 0..=1000),
                Parameter::new(32000, 0..=32768),
            ],
            shared_memory_pages: Parameter::new(ALL, 0..=u64::MAX),
            shared_memory_bytes: Parameter::new(ALL, 0..=u64::MAX),
            shared_memory_segments: Parameter::new(4096, 0..=32768),
            backlog: int(4096),
            unprivileged_ports: Parameter::new(1024, 0..=65535),
            ping_groups: [
                Parameter::new(1, 0..=u64::from(u32::MAX)),
                Parameter::new(0, 0..=u64::from(u32::MAX)),
            ],
            keepalive: [int(7200), int(75), int(9)],
            syn_cookies: Parameter::new(1, 0..=2),
            fin_timeout: int(60),
        }
    }
}
