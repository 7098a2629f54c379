//! The vDSO in programs (`vdso(7)`).

use std::sync::{Arc, OnceLock};

use cloister_platform::vdso;

use crate::error::Errno;
use crate::mm::MemoryObject;

/// The vDSO's image as memory that programs map; made when the first one does.
#[derive(Debug, Default)]
pub(crate) struct VdsoObject {
    object: OnceLock<Arc<MemoryObject>>,
}

impl VdsoObject {
    /// Returns the memory, and how many bytes it has: whole pages.
    ///
    /// # Errors
    ///
    /// The host's, if it has no room for it.
    pub(super) fn get(&self) -> Result<(Arc<MemoryObject>, u64), Errno> {
        let image = vdso::image();
        let object = match self.object.get() {
            Some(object) => Arc::clone(object),
            None => {
                let object = MemoryObject::with_bytes(image)?;
                Arc::clone(self.object.get_or_init(|| object))
            }
        };
        Ok((object, image.len() as u64))
    }
}
