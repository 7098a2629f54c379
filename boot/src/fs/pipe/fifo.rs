//! The opening of named pipes (`fifo(7)`).

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::pipe::EndsEver;
use super::{Access, Pipe, PipeEnd};
use crate::context::SyscallCx;
use crate::error::{Errno, Fail, Restart, fail};
use crate::event::Events;
use crate::fs::{FileKind, FileOps, Inode, OpenFlags};
use crate::prelude::errno;
use crate::task::{Held, HeldImage};

/// An end that is open as far as others see, while its opener waits for the other end.
#[derive(Debug)]
struct Opening {
    end: PipeEnd,
    access: Access,
    before: EndsEver,
    /// Whether the other end was seen before a checkpoint.
    had_met: bool,
    /// Kept because it has the pipe: a file system that forgets what nobody uses would give the opener of the other end
    /// another inode, with another pipe.
    inode: Arc<dyn Inode>,
}

impl Opening {
    fn new(inode: &Arc<dyn Inode>, pipe: Arc<Pipe>, access: Access) -> Self {
        let before = pipe.ends_ever();
        let end = PipeEnd::of_fifo(pipe, access);
        Self { end, access, before, had_met: false, inode: Arc::clone(inode) }
    }

    /// Returns whether the other end is open, or was since this one is.
    fn has_met(&self) -> bool {
        let pipe = self.end.pipe();
        let (readers, writers) = pipe.ends();
        let ever = pipe.ends_ever();
        match self.access {
            _ if self.had_met => true,
            Access::Read => writers > 0 || ever.writers != self.before.writers,
            Access::Write => readers > 0 || ever.readers != self.before.readers,
            Access::Both => true,
        }
    }
}

impl Held for Opening {
    fn to_image(&self, inode_id: &dyn Fn(&Arc<dyn Inode>) -> u64) -> HeldImage {
        let opening = OpeningImage { access: self.access, has_met: self.has_met() };
        HeldImage::Fifo { inode: inode_id(&self.inode), opening }
    }
}

/// The saved form of a FIFO's end that waits for the other one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OpeningImage {
    access: Access,
    has_met: bool,
}

impl OpeningImage {
    /// Opens the end of the FIFO `inode` again.
    ///
    /// # Errors
    ///
    /// `EINVAL` if that is none.
    pub(crate) fn restore(self, inode: &Arc<dyn Inode>) -> Result<Box<dyn Held>, Errno> {
        if inode.kind() != FileKind::Fifo {
            return Err(errno::EINVAL);
        }
        let mut opening = Opening::new(inode, pipe_of(&**inode), self.access);
        opening.had_met = self.has_met;
        Ok(Box::new(opening))
    }
}

/// Opens the FIFO `inode`: waits until the other end is open too, unless `flags` say otherwise.
///
/// # Errors
///
/// `ENXIO` if it is opened for writing with `O_NONBLOCK`, and nobody has it open for reading.
pub(crate) fn open_fifo(
    cx: &mut SyscallCx<'_>,
    inode: &Arc<dyn Inode>,
    flags: OpenFlags,
) -> Result<Box<dyn FileOps>, Fail> {
    let (pipe, access) = (pipe_of(&**inode), Access::of(flags));
    // A pipe that was found through /proc/PID/fd has had both of its ends.
    let waits = !flags.contains(OpenFlags::NON_BLOCKING) && !pipe.is_anonymous();
    let opening = match cx.run.take_held::<Opening>() {
        // The path may lead to another FIFO by now.
        Some(opening) if Arc::ptr_eq(opening.end.pipe(), &pipe) => opening,
        _ if access == Access::Write && !waits && !pipe.is_anonymous() && pipe.ends().0 == 0 => {
            return Err(fail(errno::ENXIO, "nobody reads the FIFO"));
        }
        _ => Box::new(Opening::new(inode, pipe, access)),
    };
    if !waits || opening.has_met() {
        return Ok(Box::new(opening.end));
    }
    cx.wake_on(opening.end.pipe().queue(), Events::READABLE | Events::WRITABLE);
    if opening.has_met() {
        return Ok(Box::new(opening.end));
    }
    let failure = cx.park(None, Restart::Sys);
    cx.run.held = Some(opening);
    Err(failure)
}

/// Returns the pipe of a FIFO, which exists from its first opening on.
fn pipe_of(inode: &dyn Inode) -> Arc<Pipe> {
    let mut object = inode.anchors().get_or_init().object.lock();
    let pipe = object.clone().and_then(|object| object.downcast::<Pipe>().ok());
    pipe.unwrap_or_else(|| {
        let pipe = Arc::new(Pipe::default());
        *object = Some(Arc::clone(&pipe) as Arc<_>);
        pipe
    })
}
