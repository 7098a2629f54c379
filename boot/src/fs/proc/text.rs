//! Files about the kernel as a whole.

use std::sync::Arc;

use crate::error::Errno;
use crate::fs::kernfs::{Content, Text};
use crate::kernel::Kernel;
use crate::task::Task;

/// A file whose text is made from the kernel's state.
#[derive(Debug)]
pub(super) struct KernelText {
    kernel: Arc<Kernel>,
    make: fn(&Kernel) -> String,
}

impl KernelText {
    /// Makes the content of a file.
    pub(super) fn content(kernel: &Arc<Kernel>, make: fn(&Kernel) -> String) -> Content {
        Content::Text(Arc::new(Self { kernel: Arc::clone(kernel), make }))
    }
}

impl Text for KernelText {
    fn read(&self, _task: &Arc<Task>) -> Result<Vec<u8>, Errno> {
        Ok((self.make)(&self.kernel).into_bytes())
    }
}
