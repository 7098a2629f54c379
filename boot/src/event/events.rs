//! The conditions that a file can be in.

use bitflags::bitflags;
use serde::{Deserialize, Serialize};

bitflags! {
    /// Conditions of a file, with the numbers that `poll(2)` and `epoll(7)` share.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
    pub(crate) struct Events: u32 {
        /// There is something to read.
        const IN = 0x001;
        /// There is something exceptional (out-of-band data, a changed `/proc` file).
        const PRI = 0x002;
        /// A write would not block.
        const OUT = 0x004;
        /// An error is to be reported; always waited for.
        const ERR = 0x008;
        /// The other end is gone; always waited for.
        const HUP = 0x010;
        /// The descriptor is not open (`poll` only).
        const NVAL = 0x020;
        /// Equal to `IN`.
        const RDNORM = 0x040;
        /// Priority band data can be read.
        const RDBAND = 0x080;
        /// Equal to `OUT`.
        const WRNORM = 0x100;
        /// Priority data may be written.
        const WRBAND = 0x200;
        /// A message is available (unused by Linux).
        const MSG = 0x400;
        /// The peer will write no more.
        const RDHUP = 0x2000;
    }
}

impl Events {
    /// What is readable in both names.
    pub(crate) const READABLE: Self = Self::IN.union(Self::RDNORM);
    /// What is writable in both names.
    pub(crate) const WRITABLE: Self = Self::OUT.union(Self::WRNORM);
    /// What is reported whether asked for or not.
    pub(crate) const ALWAYS: Self = Self::ERR.union(Self::HUP);
}
