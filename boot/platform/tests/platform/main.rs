//! The platform, driven by a kernel that does nothing by itself.

#![expect(clippy::tests_outside_test_module, reason = "the whole crate is one")]
#![expect(clippy::unwrap_used, reason = "a test ends with what failed")]
#![expect(clippy::panic, reason = "as above")]

mod call_sites;
mod commands;
mod common;
mod contract;
mod copy;
mod going_on;
mod hostile;
mod placement;
mod races;
mod stub;
mod turns;
mod vdso;
mod windows;
