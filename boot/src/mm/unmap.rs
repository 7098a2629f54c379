//! The end of mappings.

use std::ops::Range;

use super::Mm;
use crate::error::{Fail, fail};
use crate::prelude::errno;

impl Mm {
    /// Removes what is mapped in `range`: nothing is fine.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the range is not the guest's, or the host's.
    pub(crate) fn unmap(&self, range: Range<u64>) -> Result<(), Fail> {
        let _removed;
        let mut state = self.state();
        state.check_range(&range).map_err(|_| fail(errno::EINVAL, "not a range of user space"))?;
        if state.vmas().overlapping(range.clone()).next().is_some() {
            state.check_split(&range)?;
            self.space.unmap(range.clone()).map_err(|errno| fail(errno, "the host does not unmap it"))?;
            _removed = state.remove(range);
        }
        Ok(())
    }
}
