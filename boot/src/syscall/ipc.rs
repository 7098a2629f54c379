//! What the System V calls share: `struct ipc64_perm`, and the time.

use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes};

use super::Address;
use crate::ipc::IpcPermission;
use crate::prelude::*;

/// Commands of the control calls: removes the object.
pub(super) const IPC_RMID: u32 = 0;
/// Sets its owners and its mode.
pub(super) const IPC_SET: u32 = 1;
/// Tells about it.
pub(super) const IPC_STAT: u32 = 2;
/// Tells the limits.
pub(super) const IPC_INFO: u32 = 3;

/// `struct ipc64_perm`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub(super) struct RawPermission {
    key: i32,
    uid: u32,
    gid: u32,
    creator_uid: u32,
    creator_gid: u32,
    mode: u32,
    sequence: u16,
    padding: [u16; 3],
    unused: [u64; 2],
}

impl RawPermission {
    pub(super) fn new(permission: &IpcPermission, more_mode: u32) -> Self {
        Self {
            key: permission.key,
            uid: permission.uid,
            gid: permission.gid,
            creator_uid: permission.creator_uid,
            creator_gid: permission.creator_gid,
            mode: permission.mode | more_mode,
            ..Self::new_zeroed()
        }
    }

    /// Reads what `IPC_SET` sets: the first member of each object's structure.
    pub(super) fn read(cx: &SyscallCx<'_>, buffer: Address) -> Result<Self, Fail> {
        cx.memory().read(buffer)
    }

    /// Sets the owners and the mode of an object.
    pub(super) fn apply(&self, permission: &mut IpcPermission) {
        permission.uid = self.uid;
        permission.gid = self.gid;
        permission.mode = self.mode & 0o777;
    }
}

/// Returns the time in seconds since 1970.
pub(super) fn now(cx: &SyscallCx<'_>) -> u64 {
    cx.kernel().clock.realtime().as_secs()
}

/// Returns a command of a control call: the flag for the newest structures, which are the only ones of a 64-bit system,
/// is ignored.
pub(super) fn command(raw: i32) -> u32 {
    /// `IPC_64`.
    const NEW_STRUCTURES: u32 = 0x100;
    raw.cast_unsigned() & !NEW_STRUCTURES
}
