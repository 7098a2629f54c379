//! `/proc/cloister`: what a program can know of snapshots that it was brought back from.
//!
//! | file | holds |
//! |---|---|
//! | `generation` | a number, which is another one after every restore; `poll(2)` tells `POLLPRI` and `POLLERR` until it is read again, as for the files of `/sys` |
//! | `environment` | what `cloister spawn --env` gave this copy, as in `/proc/PID/environ` |

use std::sync::Arc;

use crate::error::Errno;
use crate::fs::kernfs::{Changes, Content, StaticDirectory, Text};
use crate::kernel::Kernel;
use crate::task::Task;

/// Makes the directory.
pub(super) fn directory(kernel: &Arc<Kernel>) -> Content {
    let mut directory = StaticDirectory::default();
    let content = |file| Content::Text(Arc::new(File { kernel: Arc::clone(kernel), file }));
    directory.add("environment", 0x210, 0o444, content(Which::Environment));
    directory.add("generation", 0x211, 0o444, content(Which::Generation));
    Content::Directory(Arc::new(directory))
}

/// Which file it is.
#[derive(Clone, Copy, Debug)]
enum Which {
    Environment,
    Generation,
}

/// A file of the directory.
#[derive(Debug)]
struct File {
    kernel: Arc<Kernel>,
    file: Which,
}

impl Text for File {
    fn read(&self, _task: &Arc<Task>) -> Result<Vec<u8>, Errno> {
        let generation = &self.kernel.generation;
        Ok(match self.file {
            Which::Environment => generation.environment(),
            Which::Generation => format!("{}\n", generation.number()).into_bytes(),
        })
    }

    fn changes(&self) -> Option<&Changes> {
        Some(self.kernel.generation.changes())
    }
}
