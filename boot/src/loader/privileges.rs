//! What the new program may do: set-id bits, file capabilities and root (`execve(2)`, `capabilities(7)`,
//! "Transformation of capabilities during execve()").

use crate::error::{Fail, fail};
use crate::fs::{Attributes, MountFlags, OpenFile};
use crate::prelude::{errno, uapi};
use crate::task::{Capabilities, Credentials, securebits};

/// The name of the attribute that holds a file's capabilities.
const CAPABILITY_XATTR: &[u8] = b"security.capability";
/// Its revisions, in the upper byte of the first word, and the bit that makes them effective at once.
const REVISION_MASK: u32 = 0xff00_0000;
const REVISION_2: u32 = 0x0200_0000;
const REVISION_3: u32 = 0x0300_0000;
const EFFECTIVE_BIT: u32 = 1;

/// The capabilities of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileCapabilities {
    permitted: Capabilities,
    inheritable: Capabilities,
    is_effective: bool,
}

impl FileCapabilities {
    /// Parses the value of the attribute. `None`: it is none that counts here.
    fn parse(value: &[u8]) -> Option<Self> {
        let word = |index: usize| {
            let bytes = value.get(index * 4..index * 4 + 4)?;
            bytes.try_into().ok().map(u32::from_le_bytes)
        };
        let magic = word(0)?;
        // Revision 3 names the user namespace, by its root user; there is only the first one here.
        let is_valid = match magic & REVISION_MASK {
            REVISION_2 => value.len() == 20,
            REVISION_3 => value.len() == 24 && word(5)? == 0,
            _ => false,
        };
        let set = |low: usize, high: usize| {
            Some(Capabilities::from_bits_truncate(u64::from(word(low)?) | (u64::from(word(high)?) << 32)))
        };
        is_valid.then_some(())?;
        Some(Self {
            permitted: set(1, 3)?,
            inheritable: set(2, 4)?,
            is_effective: magic & EFFECTIVE_BIT != 0,
        })
    }

    /// Returns those of `file`.
    fn of(file: &OpenFile) -> Option<Self> {
        file.inode().xattr(CAPABILITY_XATTR).ok().and_then(|value| Self::parse(&value))
    }
}

/// Who the new program is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NewPrivileges {
    /// The credentials.
    pub(super) credentials: Credentials,
    /// Whether it may do more than its caller, so that it must not trust its environment (`AT_SECURE`).
    pub(super) is_secure: bool,
}

/// Returns who a program is that a task with the credentials `old` executes.
///
/// # Errors
///
/// `EPERM` if the file's capabilities are to be effective, and the task can't have all of them.
pub(super) fn new_privileges(old: &Credentials, file: &OpenFile) -> Result<NewPrivileges, Fail> {
    let has_suid = !file.path().mount.flags().contains(MountFlags::NO_SUID);
    let attributes = if has_suid { Some(file.inode().attributes()?) } else { None };
    let capabilities = if has_suid { FileCapabilities::of(file) } else { None };
    transform(old, attributes.as_ref(), capabilities)
}

fn transform(
    old: &Credentials,
    attributes: Option<&Attributes>,
    file: Option<FileCapabilities>,
) -> Result<NewPrivileges, Fail> {
    let mut new = old.clone();
    if let Some(attributes) = attributes.filter(|_| !old.no_new_privileges) {
        let group_bits = uapi::S_ISGID | uapi::S_IXGRP;
        if attributes.permissions & uapi::S_ISUID != 0 {
            new.euid = attributes.uid;
        }
        if attributes.permissions & group_bits == group_bits {
            new.egid = attributes.gid;
        }
    }

    let mut is_effective = false;
    new.permitted = Capabilities::empty();
    if let Some(file) = file {
        new.permitted = (file.permitted & old.bounding) | (file.inheritable & old.inheritable);
        if file.is_effective && !new.permitted.contains(file.permitted) {
            return Err(fail(errno::EPERM, "the file's capabilities can't all be had"));
        }
        is_effective = file.is_effective;
    }
    let only_effective_root = file.is_some() && new.uid != 0 && new.euid == 0;
    if old.securebits & securebits::NO_ROOT == 0 && !only_effective_root {
        if new.euid == 0 || new.uid == 0 {
            new.permitted = old.bounding | old.inheritable;
        }
        is_effective |= new.euid == 0;
    }

    let is_set_id = new.euid != old.uid || new.egid != old.gid;
    let gains = is_set_id || !old.permitted.contains(new.permitted);
    if gains && old.no_new_privileges {
        (new.euid, new.egid) = (new.uid, new.gid);
        new.permitted &= old.permitted;
    }
    (new.suid, new.fsuid) = (new.euid, new.euid);
    (new.sgid, new.fsgid) = (new.egid, new.egid);
    if file.is_some() || is_set_id {
        new.ambient = Capabilities::empty();
    }
    new.permitted |= new.ambient;
    new.effective = if is_effective { new.permitted } else { new.ambient };
    new.securebits &= !securebits::KEEP_CAPS;

    let grows = !new.ambient.contains(new.permitted);
    let is_secure = is_set_id || (new.uid != 0 && (is_effective || grows));
    Ok(NewPrivileges { credentials: new, is_secure })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::{FileKind, Timestamp};

    fn file(permissions: u32) -> Attributes {
        Attributes {
            inode: 1,
            kind: FileKind::Regular,
            permissions,
            links: 1,
            uid: 0,
            gid: 5,
            device: (0, 0),
            size: 0,
            blocks: 0,
            block_bytes: 4096,
            accessed: Timestamp::default(),
            modified: Timestamp::default(),
            changed: Timestamp::default(),
            created: None,
        }
    }

    fn user() -> Credentials {
        Credentials {
            uid: 1000,
            euid: 1000,
            suid: 1000,
            fsuid: 1000,
            gid: 1000,
            egid: 1000,
            sgid: 1000,
            fsgid: 1000,
            bounding: Capabilities::all(),
            ..Credentials::default()
        }
    }

    fn root() -> Credentials {
        let bounding = Capabilities::CHOWN | Capabilities::KILL;
        Credentials { effective: bounding, permitted: bounding, bounding, ..Credentials::default() }
    }

    fn run(old: &Credentials, permissions: u32, capabilities: Option<FileCapabilities>) -> NewPrivileges {
        transform(old, Some(&file(permissions)), capabilities).unwrap()
    }

    #[test]
    fn an_ordinary_file_changes_nothing() {
        assert_eq!(run(&user(), 0o755, None), NewPrivileges { credentials: user(), is_secure: false });
        assert_eq!(run(&root(), 0o755, None), NewPrivileges { credentials: root(), is_secure: false });
    }

    #[test]
    fn set_id_bits_give_the_owners_ids_and_roots_capabilities() {
        let new = run(&user(), 0o4755, None);
        assert!(new.is_secure);
        let ids = (new.credentials.uid, new.credentials.euid, new.credentials.suid, new.credentials.fsuid);
        assert_eq!(ids, (1000, 0, 0, 0));
        assert_eq!(new.credentials.effective, Capabilities::all());
        let new = run(&user(), 0o2755, None);
        assert_eq!((new.credentials.egid, new.credentials.effective), (5, Capabilities::empty()));
        // Without the group's execute bit it once meant mandatory locking.
        assert_eq!(run(&user(), 0o2745, None).credentials, user());
    }

    #[test]
    fn no_new_privileges_means_none() {
        let old = Credentials { no_new_privileges: true, ..user() };
        assert_eq!(run(&old, 0o6755, None), NewPrivileges { credentials: old.clone(), is_secure: false });
        let capabilities = FileCapabilities {
            permitted: Capabilities::KILL,
            inheritable: Capabilities::empty(),
            is_effective: true,
        };
        assert_eq!(run(&old, 0o755, Some(capabilities)).credentials, old);
    }

    #[test]
    fn file_capabilities() {
        let capabilities = FileCapabilities {
            permitted: Capabilities::KILL,
            inheritable: Capabilities::CHOWN,
            is_effective: true,
        };
        let new = run(&user(), 0o755, Some(capabilities));
        assert_eq!(new.credentials.effective, Capabilities::KILL);
        assert!(new.is_secure);
        let bounded = Credentials { bounding: Capabilities::empty(), ..user() };
        let result = transform(&bounded, Some(&file(0o755)), Some(capabilities));
        assert!(result.is_err_and(|failure| failure.is(errno::EPERM)));
    }

    #[test]
    fn ambient_capabilities_survive_an_ordinary_file() {
        let set = Capabilities::KILL;
        let old = Credentials { permitted: set, inheritable: set, ambient: set, effective: set, ..user() };
        let new = run(&old, 0o755, None);
        assert_eq!((new.credentials.effective, new.is_secure), (set, false));
        assert_eq!(run(&old, 0o2755, None).credentials.ambient, Capabilities::empty());
    }

    #[test]
    fn attribute_of_capabilities() {
        let mut value = vec![1, 0, 0, 2];
        value.extend([0x20, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        let parsed = FileCapabilities::parse(&value).unwrap();
        assert_eq!((parsed.permitted, parsed.inheritable), (Capabilities::KILL, Capabilities::CHOWN));
        assert!(parsed.is_effective);
        for len in 0..value.len() {
            assert_eq!(FileCapabilities::parse(&value[..len]), None);
        }
    }
}
