//! Linux' numbers and structures, as the guest sees them (x86-64).
//!
//! Constants come from `linux-raw-sys` ([`general`] and its neighbours are re-exported, so that the kernel has
//! one source of numbers); this crate adds types: [`Errno`], and the structures that are copied to and from
//! guest memory, one file per UAPI header.

pub mod errno;
mod registers;
pub mod signal;
pub mod stat;
pub mod time;

pub use errno::Errno;
pub use linux_raw_sys::{auxvec, elf, general, ioctl, net, prctl};
pub use registers::Registers;
