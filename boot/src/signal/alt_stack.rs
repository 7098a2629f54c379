//! The alternate signal stack (`sigaltstack(2)`).

use cloister_abi::signal::Stack;
use serde::{Deserialize, Serialize};

use crate::error::{Fail, fail};
use crate::prelude::errno;

/// `SS_ONSTACK`: in use.
const SS_ONSTACK: u32 = 1;
/// `SS_DISABLE`: there is none.
const SS_DISABLE: u32 = 2;
/// `SS_AUTODISARM`: it is taken away while a handler runs on it.
const SS_AUTODISARM: u32 = 1 << 31;
/// `MINSIGSTKSZ`.
const MIN_BYTES: u64 = 2048;

/// The alternate signal stack of a task; none if its size is zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AltStack {
    base: u64,
    size: u64,
    is_auto_disarmed: bool,
}

impl AltStack {
    /// Returns whether `sp` is on it, whatever its flags.
    pub(super) fn contains(&self, sp: u64) -> bool {
        sp > self.base && sp - self.base <= self.size
    }

    /// Returns whether code with this stack pointer runs on it.
    pub(super) fn is_in_use(&self, sp: u64) -> bool {
        // With SS_AUTODISARM it is gone while it is used, so a pointer into it is chance.
        !self.is_auto_disarmed && self.contains(sp)
    }

    /// Returns where a handler that asks for it begins, if code with this stack pointer isn't on it yet.
    pub(super) fn top_for(&self, sp: u64) -> Option<u64> {
        (self.size > 0 && !self.is_in_use(sp)).then(|| self.base.wrapping_add(self.size))
    }

    /// Returns it in the form that a frame keeps.
    pub(super) fn to_frame(self) -> Stack {
        let mode = if self.size == 0 { SS_DISABLE } else { 0 };
        Stack { sp: self.base, flags: mode | self.flag_bits(), padding: 0, size: self.size }
    }

    /// Returns it in the form that `sigaltstack(2)` gives to code with this stack pointer.
    pub(super) fn to_raw(self, sp: u64) -> Stack {
        let mode = match () {
            () if self.size == 0 => SS_DISABLE,
            () if self.is_in_use(sp) => SS_ONSTACK,
            () => 0,
        };
        Stack { sp: self.base, flags: mode | self.flag_bits(), padding: 0, size: self.size }
    }

    fn flag_bits(self) -> u32 {
        if self.is_auto_disarmed { SS_AUTODISARM } else { 0 }
    }

    /// Returns what code with this stack pointer may change it to.
    ///
    /// # Errors
    ///
    /// `EPERM` if it is in use, `EINVAL` for unknown flags, `ENOMEM` if the new one is too small.
    pub(super) fn changed_to(self, raw: &Stack, sp: u64) -> Result<Self, Fail> {
        if self.is_in_use(sp) {
            return Err(fail(errno::EPERM, "the alternate stack is in use"));
        }
        let is_auto_disarmed = raw.flags & SS_AUTODISARM != 0;
        match raw.flags & !SS_AUTODISARM {
            SS_DISABLE => Ok(Self { is_auto_disarmed, ..Self::default() }),
            0 | SS_ONSTACK if raw.size < MIN_BYTES => Err(fail(errno::ENOMEM, "`ss_size` is too small")),
            0 | SS_ONSTACK => Ok(Self { base: raw.sp, size: raw.size, is_auto_disarmed }),
            _ => Err(fail(errno::EINVAL, "unknown `ss_flags`")),
        }
    }

    /// Takes it away if it is to be while a handler runs on it.
    pub(super) fn disarm(&mut self) {
        if self.is_auto_disarmed {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stack(flags: u32, size: u64) -> Stack {
        Stack { sp: 0x1000, flags, padding: 0, size }
    }

    #[test]
    fn in_use_it_can_not_be_changed() {
        let set = AltStack::default().changed_to(&stack(0, 4096), 0).unwrap();
        assert_eq!(set.to_raw(0x1800).flags, SS_ONSTACK);
        assert!(set.changed_to(&stack(0, 8192), 0x1800).is_err_and(|e| e.is(errno::EPERM)));
        assert_eq!(set.top_for(0x1800), None);
        assert_eq!(set.top_for(0x9000), Some(0x2000));
        assert_eq!(set.to_raw(0x9000).flags, 0);
    }

    #[test]
    fn bad_sizes_and_flags() {
        let none = AltStack::default();
        assert!(none.changed_to(&stack(0, 100), 0).is_err_and(|e| e.is(errno::ENOMEM)));
        assert!(none.changed_to(&stack(77, 4096), 0).is_err_and(|e| e.is(errno::EINVAL)));
        assert_eq!(none.to_raw(0).flags, SS_DISABLE);
    }

    #[test]
    fn auto_disarm_takes_it_away() {
        let mut set = AltStack::default().changed_to(&stack(SS_AUTODISARM, 4096), 0).unwrap();
        assert_eq!(set.top_for(0x1800), Some(0x2000));
        assert_eq!(set.to_frame().flags, SS_AUTODISARM);
        set.disarm();
        assert_eq!(set, AltStack::default());
    }
}
