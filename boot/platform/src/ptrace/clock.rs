//! The page by which the guest's vDSO finds the host's clocks.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use cloister_abi::{Errno, Registers};
use cloister_sync::{Lock, class};
use rustix::fs::MemfdFlags;
use zerocopy::IntoBytes;

use super::host_vdso::HostVdso;
use super::image::{Layout, PAGE};
use super::space::Space;
use super::sys;
use super::tracer::to_io;
use crate::Protection;
use crate::vdso::{ClockOffsets, TIME_PAGE, TimePage};

/// The page, which all stub processes share.
#[derive(Debug)]
pub(super) struct Clock {
    file: OwnedFd,
    page: Lock<TimePage, { class::PLATFORM }>,
}

impl Clock {
    /// Makes the page and maps it in the first stub process.
    pub(super) fn new(space: &Space, layout: &Layout, vdso: Option<&HostVdso>) -> std::io::Result<Self> {
        let file = rustix::fs::memfd_create("cloister-clock", MemfdFlags::CLOEXEC)?;
        rustix::fs::ftruncate(&file, PAGE)?;
        let page = match vdso {
            Some(vdso) if works(space, layout, vdso).map_err(to_io)? => functions(vdso),
            _ => TimePage::default(),
        };
        let clock = Self { file, page: Lock::new(page) };
        clock.store(&page).map_err(to_io)?;
        let range = TIME_PAGE..TIME_PAGE + PAGE;
        let file: BorrowedFd<'_> = clock.file.as_fd();
        space.map_file(&range, Protection::READ, libc::MAP_SHARED, file, 0).map_err(to_io)?;
        Ok(clock)
    }

    /// Sets what is added to the host's clocks.
    pub(super) fn set_offsets(&self, offsets: ClockOffsets) -> Result<(), Errno> {
        let mut page = self.page.lock();
        page.set_offsets(offsets);
        self.store(&page)
    }

    fn store(&self, page: &TimePage) -> Result<(), Errno> {
        rustix::io::pwrite(&self.file, page.as_bytes(), 0)
            .map(drop)
            .map_err(|error| Errno::from_raw(error.raw_os_error()))
    }
}

fn functions(vdso: &HostVdso) -> TimePage {
    let function = |name| vdso.function(name).unwrap_or(0);
    TimePage {
        clock_gettime: function("__vdso_clock_gettime"),
        gettimeofday: function("__vdso_gettimeofday"),
        time: function("__vdso_time"),
        clock_getres: function("__vdso_clock_getres"),
        getcpu: function("__vdso_getcpu"),
        ..TimePage::default()
    }
}

/// Returns whether the host's vDSO can read the clock by itself, which depends on the host's clock source. Where it
/// makes a system call the kernel answers, whose time has its offset already, and the guest's vDSO would add it again.
fn works(space: &Space, layout: &Layout, vdso: &HostVdso) -> Result<bool, Errno> {
    let Some(function) = vdso.function("__vdso_clock_gettime") else { return Ok(false) };
    let helper = space.helper();
    // A frame in the scratch page that returns to the breakpoint of a routine.
    let frame = layout.scratch + PAGE / 2 + 8;
    let breakpoint = layout.call.end - 1;
    if sys::write_memory(helper, frame, &breakpoint.to_ne_bytes()) != 8 {
        return Ok(false);
    }
    let clock = u64::try_from(libc::CLOCK_MONOTONIC).unwrap_or_default();
    let registers = Registers { rdi: clock, rsi: layout.scratch, ..Registers::start_at(function, frame) };
    space.runs_without_calls(&registers, layout.call.end)
}
