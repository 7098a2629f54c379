//! Memory: address spaces, vmas, and access to guest memory.

mod mm;
mod user_memory;

pub(crate) use mm::Mm;
pub(crate) use user_memory::{UserMemory, UserRange};
