//! `Keep`: the sandbox outlives who started it.

use crate::codec::{Decode, Encode};

/// Has the kernel live on when the thread ends that started it; before, that is the kernel's end as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Keep;
