//! Changes of user and group ids, and what they do to capabilities (`credentials(7)`, `capabilities(7)`).

use super::{Capabilities, Credentials};
use crate::error::Errno;
use crate::prelude::errno;

/// `SECBIT_*` of `capabilities(7)`, "The securebits flags"; each is followed by the bit that locks it.
pub(crate) mod securebits {
    /// `SECBIT_NOROOT`: `execve` by user 0 gives no capabilities.
    pub(crate) const NO_ROOT: u32 = 1 << 0;
    /// `SECBIT_NO_SETUID_FIXUP`: changes of user ids leave the sets alone.
    pub(crate) const NO_SETUID_FIXUP: u32 = 1 << 2;
    /// `SECBIT_KEEP_CAPS`: the permitted set survives the change to ordinary user ids.
    pub(crate) const KEEP_CAPS: u32 = 1 << 4;
    /// `SECBIT_KEEP_CAPS_LOCKED`.
    pub(crate) const KEEP_CAPS_LOCKED: u32 = 1 << 5;
    /// `SECBIT_NO_CAP_AMBIENT_RAISE`: nothing can be added to the ambient set.
    pub(crate) const NO_AMBIENT_RAISE: u32 = 1 << 6;
    /// All bits.
    pub(crate) const ALL: u32 = 0xff;
    /// The bits that lock others.
    pub(crate) const LOCKS: u32 = 0xaa;
}

/// The capabilities that go with the file system user id 0.
const FILE_SYSTEM: Capabilities = Capabilities::CHOWN
    .union(Capabilities::DAC_OVERRIDE)
    .union(Capabilities::DAC_READ_SEARCH)
    .union(Capabilities::FOWNER)
    .union(Capabilities::FSETID)
    .union(Capabilities::LINUX_IMMUTABLE)
    .union(Capabilities::MKNOD)
    .union(Capabilities::MAC_OVERRIDE);

/// The id -1, which stands for none.
const NO_ID: u32 = u32::MAX;

impl Credentials {
    /// Returns what `setuid(uid)` makes of these.
    ///
    /// # Errors
    ///
    /// `EINVAL` for -1, `EPERM` for an id that the caller may not take.
    pub(crate) fn setuid(&self, uid: u32) -> Result<Self, Errno> {
        if uid == NO_ID {
            return Err(errno::EINVAL);
        }
        let mut new = self.clone();
        if self.has(Capabilities::SETUID) {
            (new.uid, new.suid) = (uid, uid);
        } else if ![self.uid, self.suid].contains(&uid) {
            return Err(errno::EPERM);
        }
        (new.euid, new.fsuid) = (uid, uid);
        Ok(new.after_uid_change(self))
    }

    /// Returns what `setreuid(uid, euid)` makes of these; -1 leaves an id as it is.
    ///
    /// # Errors
    ///
    /// `EPERM` for an id that the caller may not take.
    pub(crate) fn setreuid(&self, uid: u32, euid: u32) -> Result<Self, Errno> {
        let may_all = self.has(Capabilities::SETUID);
        let mut new = self.clone();
        if uid != NO_ID {
            if !may_all && ![self.uid, self.euid].contains(&uid) {
                return Err(errno::EPERM);
            }
            new.uid = uid;
        }
        if euid != NO_ID {
            if !may_all && ![self.uid, self.euid, self.suid].contains(&euid) {
                return Err(errno::EPERM);
            }
            new.euid = euid;
        }
        if uid != NO_ID || (euid != NO_ID && euid != self.uid) {
            new.suid = new.euid;
        }
        new.fsuid = new.euid;
        Ok(new.after_uid_change(self))
    }

    /// Returns what `setresuid(uid, euid, suid)` makes of these; -1 leaves an id as it is.
    ///
    /// # Errors
    ///
    /// `EPERM` for an id that the caller may not take.
    pub(crate) fn setresuid(&self, ids: [u32; 3]) -> Result<Self, Errno> {
        let old = [self.uid, self.euid, self.suid];
        if !self.has(Capabilities::SETUID) && ids.iter().any(|id| *id != NO_ID && !old.contains(id)) {
            return Err(errno::EPERM);
        }
        let mut new = self.clone();
        for (slot, id) in [&mut new.uid, &mut new.euid, &mut new.suid].into_iter().zip(ids) {
            *slot = if id == NO_ID { *slot } else { id };
        }
        new.fsuid = new.euid;
        Ok(new.after_uid_change(self))
    }

    /// Returns what `setfsuid(uid)` makes of these; the same if the caller may not take the id.
    pub(crate) fn setfsuid(&self, uid: u32) -> Self {
        let mut new = self.clone();
        let own = [self.uid, self.euid, self.suid, self.fsuid];
        if uid == NO_ID || !(own.contains(&uid) || self.has(Capabilities::SETUID)) {
            return new;
        }
        new.fsuid = uid;
        if self.securebits & securebits::NO_SETUID_FIXUP == 0 {
            if self.fsuid == 0 && uid != 0 {
                new.effective.remove(FILE_SYSTEM);
            } else if self.fsuid != 0 && uid == 0 {
                new.effective.insert(self.permitted & FILE_SYSTEM);
            }
        }
        new
    }

    /// Carries out what a change of user ids from `old` does to the capabilities (`capabilities(7)`, "Effect of user ID
    /// changes on capabilities").
    fn after_uid_change(mut self, old: &Self) -> Self {
        if self.securebits & securebits::NO_SETUID_FIXUP != 0 {
            return self;
        }
        let has_root = |ids: &Self| [ids.uid, ids.euid, ids.suid].contains(&0);
        if has_root(old) && !has_root(&self) {
            if self.securebits & securebits::KEEP_CAPS == 0 {
                self.permitted = Capabilities::empty();
                self.effective = Capabilities::empty();
            }
            self.ambient = Capabilities::empty();
        }
        if old.euid == 0 && self.euid != 0 {
            self.effective = Capabilities::empty();
        } else if old.euid != 0 && self.euid == 0 {
            self.effective = self.permitted;
        }
        self
    }

    /// Returns what `setgid(gid)` makes of these.
    ///
    /// # Errors
    ///
    /// `EINVAL` for -1, `EPERM` for an id that the caller may not take.
    pub(crate) fn setgid(&self, gid: u32) -> Result<Self, Errno> {
        if gid == NO_ID {
            return Err(errno::EINVAL);
        }
        let mut new = self.clone();
        if self.has(Capabilities::SETGID) {
            (new.gid, new.sgid) = (gid, gid);
        } else if ![self.gid, self.sgid].contains(&gid) {
            return Err(errno::EPERM);
        }
        (new.egid, new.fsgid) = (gid, gid);
        Ok(new)
    }

    /// Returns what `setregid(gid, egid)` makes of these; -1 leaves an id as it is.
    ///
    /// # Errors
    ///
    /// `EPERM` for an id that the caller may not take.
    pub(crate) fn setregid(&self, gid: u32, egid: u32) -> Result<Self, Errno> {
        let may_all = self.has(Capabilities::SETGID);
        let mut new = self.clone();
        if gid != NO_ID {
            if !may_all && ![self.gid, self.egid].contains(&gid) {
                return Err(errno::EPERM);
            }
            new.gid = gid;
        }
        if egid != NO_ID {
            if !may_all && ![self.gid, self.egid, self.sgid].contains(&egid) {
                return Err(errno::EPERM);
            }
            new.egid = egid;
        }
        if gid != NO_ID || (egid != NO_ID && egid != self.gid) {
            new.sgid = new.egid;
        }
        new.fsgid = new.egid;
        Ok(new)
    }

    /// Returns what `setresgid(gid, egid, sgid)` makes of these; -1 leaves an id as it is.
    ///
    /// # Errors
    ///
    /// `EPERM` for an id that the caller may not take.
    pub(crate) fn setresgid(&self, ids: [u32; 3]) -> Result<Self, Errno> {
        let old = [self.gid, self.egid, self.sgid];
        if !self.has(Capabilities::SETGID) && ids.iter().any(|id| *id != NO_ID && !old.contains(id)) {
            return Err(errno::EPERM);
        }
        let mut new = self.clone();
        for (slot, id) in [&mut new.gid, &mut new.egid, &mut new.sgid].into_iter().zip(ids) {
            *slot = if id == NO_ID { *slot } else { id };
        }
        new.fsgid = new.egid;
        Ok(new)
    }

    /// Returns what `setfsgid(gid)` makes of these; the same if the caller may not take the id.
    pub(crate) fn setfsgid(&self, gid: u32) -> Self {
        let own = [self.gid, self.egid, self.sgid, self.fsgid];
        let may = gid != NO_ID && (own.contains(&gid) || self.has(Capabilities::SETGID));
        Self { fsgid: if may { gid } else { self.fsgid }, ..self.clone() }
    }

    /// Returns what `capset(2)` makes of these.
    ///
    /// # Errors
    ///
    /// `EPERM` if a set would be larger than allowed.
    pub(crate) fn capset(
        &self,
        effective: Capabilities,
        permitted: Capabilities,
        inheritable: Capabilities,
    ) -> Result<Self, Errno> {
        let may_inherit = if self.has(Capabilities::SETPCAP) {
            self.inheritable | self.bounding
        } else {
            self.inheritable | self.permitted
        };
        let is_allowed = may_inherit.contains(inheritable)
            && (self.inheritable | self.bounding).contains(inheritable)
            && self.permitted.contains(permitted)
            && permitted.contains(effective);
        if !is_allowed {
            return Err(errno::EPERM);
        }
        let ambient = self.ambient & permitted & inheritable;
        Ok(Self { effective, permitted, inheritable, ambient, ..self.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> Credentials {
        let all = Capabilities::all();
        Credentials { effective: all, permitted: all, bounding: all, ..Credentials::default() }
    }

    fn user(uid: u32, euid: u32, suid: u32) -> Credentials {
        Credentials { uid, euid, suid, fsuid: euid, ..Credentials::default() }
    }

    fn ids(credentials: &Credentials) -> [u32; 4] {
        [credentials.uid, credentials.euid, credentials.suid, credentials.fsuid]
    }

    #[test]
    fn roots_setuid_gives_all_away() {
        let after = root().setuid(5).unwrap();
        assert_eq!(ids(&after), [5; 4]);
        assert!(after.effective.is_empty() && after.permitted.is_empty());
        assert_eq!(after.bounding, Capabilities::all());
        assert_eq!(after.setuid(0), Err(errno::EPERM));
    }

    #[test]
    fn kept_capabilities_are_permitted_only() {
        let before = Credentials { securebits: securebits::KEEP_CAPS, ..root() };
        let after = before.setuid(5).unwrap();
        assert_eq!((after.effective, after.permitted), (Capabilities::empty(), Capabilities::all()));
        let fixed = Credentials { securebits: securebits::NO_SETUID_FIXUP, ..root() };
        assert_eq!(fixed.setuid(5).unwrap().effective, Capabilities::all());
    }

    #[test]
    fn the_effective_set_follows_the_effective_id() {
        let lowered = root().setresuid([NO_ID, 7, NO_ID]).unwrap();
        assert_eq!((lowered.effective, lowered.permitted), (Capabilities::empty(), Capabilities::all()));
        let raised = lowered.setresuid([NO_ID, 0, NO_ID]).unwrap();
        assert_eq!(raised.effective, Capabilities::all());
    }

    #[test]
    fn ordinary_users_swap_their_ids() {
        let before = user(1, 2, 3);
        assert_eq!(ids(&before.setuid(3).unwrap()), [1, 3, 3, 3]);
        assert_eq!(before.setuid(2), Err(errno::EPERM));
        assert_eq!(ids(&before.setreuid(2, 1).unwrap()), [2, 1, 1, 1]);
        assert_eq!(before.setreuid(3, NO_ID), Err(errno::EPERM));
        assert_eq!(ids(&before.setreuid(NO_ID, 1).unwrap()), [1, 1, 3, 1]);
        assert_eq!(ids(&before.setresuid([3, 1, 2]).unwrap()), [3, 1, 2, 1]);
        assert_eq!(before.setresuid([4, NO_ID, NO_ID]), Err(errno::EPERM));
        assert_eq!(before.setuid(NO_ID), Err(errno::EINVAL));
    }

    #[test]
    fn the_file_system_id_has_its_capabilities() {
        let after = root().setfsuid(9);
        assert_eq!((after.fsuid, after.euid), (9, 0));
        assert_eq!(after.effective, Capabilities::all() - FILE_SYSTEM);
        assert_eq!(after.setfsuid(0).effective, Capabilities::all());
        assert_eq!(user(1, 1, 1).setfsuid(9).fsuid, 1);
    }

    #[test]
    fn groups_do_not_touch_capabilities() {
        let after = root().setresgid([1, 2, 3]).unwrap();
        assert_eq!((after.gid, after.egid, after.sgid, after.fsgid), (1, 2, 3, 2));
        assert_eq!(after.effective, Capabilities::all());
        let ordinary = Credentials { gid: 1, egid: 2, sgid: 3, ..user(1, 1, 1) };
        assert_eq!(ordinary.setgid(2), Err(errno::EPERM));
        assert_eq!(ordinary.setgid(3).unwrap().egid, 3);
    }

    #[test]
    fn capset_never_adds() {
        let kill = Capabilities::KILL;
        let before = Credentials { permitted: kill, effective: kill, ..user(1, 1, 1) };
        let lowered = before.capset(Capabilities::empty(), kill, kill).unwrap_err();
        assert_eq!(lowered, errno::EPERM, "the bounding set is empty");
        let before = Credentials { bounding: kill, ambient: kill, ..before };
        let none = Capabilities::empty();
        assert_eq!(before.capset(none, kill, kill).unwrap().ambient, kill);
        assert_eq!(before.capset(none, none, kill).unwrap().ambient, none);
        assert_eq!(before.capset(kill, none, none), Err(errno::EPERM));
        assert_eq!(before.capset(none, Capabilities::CHOWN, none), Err(errno::EPERM));
    }

    #[test]
    fn credentials_survive_a_round_trip() {
        let credentials = Credentials { groups: vec![4, 5], securebits: 3, ..root() };
        let bytes = serde_json::to_vec(&credentials).unwrap();
        assert_eq!(serde_json::from_slice::<Credentials>(&bytes).unwrap(), credentials);
    }
}
