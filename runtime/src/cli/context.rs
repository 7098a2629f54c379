//! What the global flags come to.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::time::Duration;

use cloister_proto::container::Overlay;
use cloister_runtime::cgroup::Policy;
use cloister_runtime::launch::{Binaries, HostLimits};
use cloister_runtime::sandbox::Options;
use cloister_runtime::state::{StateError, Store};

use super::{Global, Log};

/// What the global flags come to.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) global: Global,
    log: Log,
    preserved: Vec<OwnedFd>,
}

impl Context {
    pub(crate) fn new(global: Global, log: Log, preserved: Vec<OwnedFd>) -> Self {
        Self { global, log, preserved }
    }

    /// The caller's descriptors that are for the container's process.
    pub(crate) fn preserved(&self) -> &[OwnedFd] {
        &self.preserved
    }

    /// The containers' state.
    pub(crate) fn store(&self) -> Result<Store, StateError> {
        match &self.global.root {
            Some(root) => Ok(Store::new(std::path::absolute(root).unwrap_or_else(|_| root.clone()))),
            None => Store::of_user(),
        }
    }

    /// Where the sandbox's programs are.
    pub(crate) fn binaries(&self) -> Binaries {
        Binaries { boot: self.global.boot_binary.clone(), gofer: self.global.gofer_binary.clone() }
    }

    /// How a sandbox is started.
    pub(crate) fn sandbox(&self) -> Options {
        Options {
            binaries: self.binaries(),
            platform: self.global.platform.clone(),
            dcache: self.global.dcache,
            strace: self.global.strace,
            log_format: self.global.log_format.name(),
            log_level: if self.global.debug { "debug" } else { "warn" },
            limits: HostLimits::default(),
            owns_terminal: false,
            timeout: Duration::from_secs(self.global.start_timeout),
        }
    }

    /// How the control groups of containers are chosen.
    pub(crate) fn cgroup_policy(&self) -> Policy {
        match (self.global.cgroups.ignore_cgroups, self.global.cgroups.systemd_cgroup) {
            (true, _) => Policy::Ignored,
            (false, true) => Policy::Systemd,
            (false, false) => Policy::Configured,
        }
    }

    /// Where writes to the root go.
    pub(crate) fn overlay(&self, default: Overlay) -> Overlay {
        self.global.overlay.map_or(default, |overlay| overlay.0)
    }

    /// The log file, if there is one.
    pub(crate) fn log_file(&self) -> Option<&File> {
        self.log.file()
    }
}
