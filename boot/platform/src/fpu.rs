//! Floating-point and vector registers.

use serde::{Deserialize, Serialize};

/// The floating-point and vector registers of a thread in the processor's standard `XSAVE` layout: the format of
/// `PTRACE_GETREGSET` with `NT_X86_XSTATE`, and of the frame that a signal handler gets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FpuState(Box<[u8]>);

impl FpuState {
    /// The largest state that a processor is known to have (AMX: 8 KiB tiles), with room to spare.
    pub const MAX_BYTES: usize = 16 << 10;

    /// Wraps saved bytes.
    pub fn from_bytes(bytes: impl Into<Box<[u8]>>) -> Self {
        Self(bytes.into())
    }

    /// Returns the saved bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns the state that a program starts with: all registers zero, exceptions masked (System V ABI, 3.4.1).
    pub fn initial() -> Self {
        let mut bytes = vec![0_u8; 576];
        bytes[0..2].copy_from_slice(&0x037f_u16.to_le_bytes()); // the x87 control word
        bytes[24..28].copy_from_slice(&0x1f80_u32.to_le_bytes()); // MXCSR
        Self(bytes.into())
    }
}
