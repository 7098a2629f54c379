//! Who may use a System V object (`sysvipc(7)`).

use serde::{Deserialize, Serialize};

use crate::error::{Fail, fail};
use crate::prelude::errno;
use crate::task::{Capabilities, Credentials};

/// A kind of access, with the bits of a mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IpcAccess {
    /// To look.
    Read = 4,
    /// To change.
    Write = 2,
    /// Both.
    ReadWrite = 6,
}

/// The owners and the mode of an object (`struct ipc_perm`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct IpcPermission {
    /// By which it can be found; 0 (`IPC_PRIVATE`) for none.
    pub(crate) key: i32,
    /// The owner.
    pub(crate) uid: u32,
    /// The owner's group.
    pub(crate) gid: u32,
    /// The maker.
    pub(crate) creator_uid: u32,
    /// The maker's group.
    pub(crate) creator_gid: u32,
    /// Nine permission bits.
    pub(crate) mode: u32,
}

impl IpcPermission {
    /// Returns those of an object that a task makes.
    pub(crate) fn new(key: i32, mode: u32, credentials: &Credentials) -> Self {
        let (uid, gid) = (credentials.euid, credentials.egid);
        Self { key, uid, gid, creator_uid: uid, creator_gid: gid, mode: mode & 0o777 }
    }

    /// Checks that a task may use the object.
    ///
    /// # Errors
    ///
    /// `EACCES` if not.
    pub(crate) fn check(&self, credentials: &Credentials, access: IpcAccess) -> Result<(), Fail> {
        self.check_bits(credentials, access as u32)
    }

    /// Checks that a task may use the object as the nine bits `flags` ask for, in any of their three places.
    pub(super) fn check_flags(&self, credentials: &Credentials, flags: u32) -> Result<(), Fail> {
        self.check_bits(credentials, ((flags >> 6) | (flags >> 3) | flags) & 7)
    }

    fn check_bits(&self, credentials: &Credentials, wanted: u32) -> Result<(), Fail> {
        let is_in_group = |gid| credentials.egid == gid || credentials.groups.contains(&gid);
        let granted = if credentials.euid == self.uid || credentials.euid == self.creator_uid {
            self.mode >> 6
        } else if is_in_group(self.gid) || is_in_group(self.creator_gid) {
            self.mode >> 3
        } else {
            self.mode
        };
        if wanted & !granted & 7 == 0 || credentials.has(Capabilities::IPC_OWNER) {
            return Ok(());
        }
        Err(fail(errno::EACCES, "the object's mode does not allow it"))
    }

    /// Checks that a task may remove the object or change its owners and mode.
    ///
    /// # Errors
    ///
    /// `EPERM` if not.
    pub(crate) fn check_owner(&self, credentials: &Credentials) -> Result<(), Fail> {
        let is_owner = credentials.euid == self.uid || credentials.euid == self.creator_uid;
        if is_owner || credentials.has(Capabilities::SYS_ADMIN) {
            return Ok(());
        }
        Err(fail(errno::EPERM, "the object has another owner"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_of_the_mode() {
        let maker = Credentials { euid: 1, egid: 1, ..Credentials::default() };
        let permission = IpcPermission::new(7, 0o640, &maker);
        let of = |euid, egid| Credentials { euid, egid, ..Credentials::default() };
        permission.check(&maker, IpcAccess::ReadWrite).unwrap();
        permission.check(&of(2, 1), IpcAccess::Read).unwrap();
        assert!(permission.check(&of(2, 1), IpcAccess::Write).is_err_and(|f| f.is(errno::EACCES)));
        assert!(permission.check(&of(2, 2), IpcAccess::Read).is_err_and(|f| f.is(errno::EACCES)));
        let root = Credentials { effective: Capabilities::IPC_OWNER, ..of(2, 2) };
        permission.check(&root, IpcAccess::ReadWrite).unwrap();
        assert!(permission.check_owner(&root).is_err_and(|f| f.is(errno::EPERM)));
    }
}
