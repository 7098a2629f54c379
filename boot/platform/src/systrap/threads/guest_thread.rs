//! What the kernel has of a thread.

use std::sync::Arc;

use cloister_abi::{Errno, Registers, errno};
use rustix::process::Pid;

use super::GuestThreads;
use super::table::{Phase, State};
use crate::ptrace::tables::Request;
use crate::ptrace::thread::Meter;
use crate::systrap::slot::FpuPlace;
use crate::{CpuTime, FpuState, Thread};

/// A handle of a guest thread.
#[derive(Debug)]
pub(super) struct GuestThread {
    pub(super) threads: Arc<GuestThreads>,
    pub(super) pid: Pid,
    pub(super) meter: Meter,
}

impl GuestThread {
    /// Returns the process, which may be another thread when this one has ended.
    fn pid(&self) -> Option<Pid> {
        (!self.meter.has_ended()).then_some(self.pid)
    }
}

impl Thread for GuestThread {
    fn resume(&self, registers: &Registers) {
        let Some(pid) = self.pid() else { return };
        if self.threads.tracer.is_home() {
            self.threads.resume(pid, registers);
        } else {
            self.threads.tracer.request(Request::Resume(pid, Box::new(*registers)));
        }
    }

    fn fpu(&self) -> Result<FpuState, Errno> {
        let pid = self.pid().ok_or(errno::ESRCH)?;
        if let Some(State { phase: Phase::Begins { fpu, .. }, .. }) = self.threads.table().threads.get(&pid) {
            return Ok(fpu.clone().unwrap_or_else(FpuState::initial));
        }
        let (slot, place) = self.threads.saved(pid)?;
        self.threads.slots.fpu(slot, place)
    }

    fn fpu_form(&self) -> Result<FpuState, Errno> {
        self.pid().ok_or(errno::ESRCH)?;
        Ok(self.threads.slots.fpu_form())
    }

    fn set_fpu(&self, state: &FpuState) -> Result<(), Errno> {
        let pid = self.pid().ok_or(errno::ESRCH)?;
        if let Some(State { phase: Phase::Begins { fpu, .. }, .. }) =
            self.threads.table().threads.get_mut(&pid)
        {
            *fpu = Some(state.clone());
            return Ok(());
        }
        let mut table = self.threads.table();
        let thread = table.threads.get_mut(&pid).ok_or(errno::ESRCH)?;
        match &mut thread.phase {
            Phase::Stopped(frame) => self.threads.slots.set_fpu(thread.slot, FpuPlace::Frame(*frame), state),
            Phase::Calls { is_fpu_set, .. } => {
                self.threads.slots.set_fpu(thread.slot, FpuPlace::Slot, state)?;
                *is_fpu_set = true;
                Ok(())
            }
            _ => Err(errno::ESRCH),
        }
    }

    fn interrupt(&self) {
        let Some(pid) = self.pid() else { return };
        if self.threads.tracer.is_home() {
            self.threads.interrupt(pid);
        } else {
            self.threads.tracer.request(Request::Interrupt(pid));
        }
    }

    fn exit(&self) {
        if self.meter.end(&self.threads.tracer) {
            self.threads.end(self.pid);
        }
    }

    fn cpu_time(&self) -> CpuTime {
        self.meter.read(&self.threads.tracer)
    }
}
