//! An address space as the kernel sees it.

use std::sync::Arc;

use cloister_platform::AddressSpace;

use crate::error::Errno;

/// The address space of one or more tasks.
#[derive(Debug)]
pub(crate) struct Mm {
    space: Arc<dyn AddressSpace>,
}

impl Mm {
    /// Wraps an address space that holds nothing yet.
    pub(crate) fn new(space: Arc<dyn AddressSpace>) -> Self {
        Self { space }
    }

    /// Returns the platform's side.
    pub(crate) fn space(&self) -> &Arc<dyn AddressSpace> {
        &self.space
    }

    /// Returns a copy-on-write copy.
    ///
    /// # Errors
    ///
    /// If the host has no room for another process.
    pub(crate) fn fork(&self) -> Result<Arc<Self>, Errno> {
        Ok(Arc::new(Self::new(self.space.fork()?)))
    }
}
