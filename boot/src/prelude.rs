//! The names that nearly every handler needs.

pub(crate) use std::sync::Arc;

pub(crate) use cloister_abi::{errno, general as uapi};

pub(crate) use crate::context::SyscallCx;
pub(crate) use crate::error::{Errno, Fail, Outcome, Restart, SyscallResult, fail};
pub(crate) use crate::kernel::Kernel;
pub(crate) use crate::task::Task;
