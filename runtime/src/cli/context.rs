//! What the global flags come to.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cloister_proto::container::Overlay;
use cloister_runtime::cgroup::Policy;
use cloister_runtime::launch::{Binaries, HostLimits};
use cloister_runtime::sandbox::{LOG_LIMIT, Logs, Options};
use cloister_runtime::state::{ContainerId, StateError, Store};

use super::args::LogArgs;
use super::log_pattern::{self, LogPattern, Names};
use super::{Global, Log};

/// What the global flags come to.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) global: Global,
    log: Log,
    names: Names,
    preserved: Vec<OwnedFd>,
}

/// How many bytes the kernel's log of `--debug-log` takes unless it is said.
const DEBUG_LOG_LIMIT: u64 = 1 << 30;

impl Context {
    pub(crate) fn new(global: Global, log: Log, names: Names, preserved: Vec<OwnedFd>) -> Self {
        Self { global, log, names, preserved }
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

    /// How the sandbox of container `id` is started. Calls that are missing are told in the file `user_log`.
    ///
    /// # Errors
    ///
    /// A log cannot be opened.
    pub(crate) fn sandbox(&self, id: &ContainerId, user_log: Option<&Path>) -> anyhow::Result<Options> {
        Ok(Options {
            binaries: self.binaries(),
            platform: self.global.platform.clone(),
            dcache: self.global.dcache,
            strace: self.global.strace.clone(),
            logs: self.logs(id, user_log)?,
            limits: HostLimits::default(),
            owns_terminal: false,
            timeout: Duration::from_secs(self.global.start_timeout),
        })
    }

    fn logs(&self, id: &ContainerId, user_log: Option<&Path>) -> anyhow::Result<Logs> {
        let Global { log_format, logs: LogArgs { debug_log, panic_log, log_limit, .. }, .. } = &self.global;
        let open = |pattern: Option<&LogPattern>, command| {
            let names = self.names.of_program(id, command);
            pattern.map(|pattern| pattern.open(&names).map(Arc::new)).transpose()
        };
        let shared = || self.log.file().map(|file| file.try_clone().map(Arc::new)).transpose();
        let (level, limit) = match debug_log {
            Some(_) => (self.global.debug_log_level(), DEBUG_LOG_LIMIT),
            None => (self.global.log_level(), LOG_LIMIT),
        };
        Ok(Logs {
            boot: if debug_log.is_some() { open(debug_log.as_ref(), "boot")? } else { shared()? },
            gofer: open(debug_log.as_ref(), "gofer")?,
            panics: open(panic_log.as_ref(), "boot")?,
            unsupported: user_log.map(|path| log_pattern::append(path).map(Arc::new)).transpose()?,
            limit: log_limit.unwrap_or(limit),
            format: log_format.name(),
            level: level.name(),
        })
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
}
