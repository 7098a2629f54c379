//! Signals of the terminal that a container was given.
//!
//! The host's line discipline turns keys, changes of size and the hang-up into signals to the host's foreground process
//! group of the terminal, which is this process alone. What stands for it in the sandbox gets them.

use std::os::fd::AsFd;
use std::sync::{Arc, OnceLock, Weak};

use cloister_proto::control::{Signal as Request, SignalTarget};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use crate::event::Events;
use crate::kernel::{HostEvents, Kernel, Watch};

/// What a terminal sends.
const SIGNALS: [Signal; 5] =
    [Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTSTP, Signal::SIGWINCH, Signal::SIGHUP];

/// The signals, which are held back.
#[derive(Debug)]
pub(crate) struct TerminalSignals(SignalFd);

/// Passes the signals on for as long as it lives.
#[derive(Debug)]
pub(crate) struct Relay {
    kernel: Arc<Kernel>,
    container: String,
    signals: SignalFd,
    watch: OnceLock<Watch>,
}

impl TerminalSignals {
    /// Holds the signals back, in this thread and those that it starts from now on.
    ///
    /// # Errors
    ///
    /// The system's: no free descriptors.
    pub(crate) fn hold_back() -> std::io::Result<Self> {
        let set = SigSet::from_iter(SIGNALS);
        set.thread_block()?;
        Ok(Self(SignalFd::with_flags(&set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?))
    }

    /// Passes them on to the container.
    ///
    /// # Errors
    ///
    /// If the descriptor can't be watched.
    pub(crate) fn pass_on(self, kernel: &Arc<Kernel>, container: String) -> std::io::Result<Arc<Relay>> {
        let relay = Arc::new(Relay {
            kernel: Arc::clone(kernel),
            container,
            signals: self.0,
            watch: OnceLock::new(),
        });
        let watcher: Weak<dyn HostEvents> = Arc::downgrade(&relay) as Weak<_>;
        let watch = kernel.reactor.watch(relay.signals.as_fd(), Events::IN, watcher)?;
        let _ = relay.watch.set(watch);
        Ok(relay)
    }
}

impl Relay {
    fn send(&self, signal: i32, target: SignalTarget) {
        let request = Request { id: self.container.clone(), signal, target };
        if let Err(failure) = super::signal::signal(&self.kernel, &request) {
            tracing::debug!("a signal of the terminal is lost: {failure}");
        }
    }
}

impl HostEvents for Relay {
    fn on_host_events(&self, _events: Events) {
        while let Ok(Some(signal)) = self.signals.read_signal() {
            let Ok(number) = i32::try_from(signal.ssi_signo) else { continue };
            // A hang-up is told to the session's leader as well (`drivers/tty/tty_jobctrl.c`).
            if number == Signal::SIGHUP as i32 {
                self.send(number, SignalTarget::Init);
            }
            self.send(number, SignalTarget::ForegroundGroup(0));
        }
    }
}
