//! The end of a container's file server.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, OnceLock, Weak};

use crate::event::Events;
use crate::kernel::{HostEvents, Kernel, Watch};

/// A watch over a connection to a gofer: without its files a container can't go on, and should not stumble from error to
/// error either. When the watch ends, with the container, the gofer is hung up on, whoever still has a file of it.
#[derive(Debug)]
pub(super) struct FileServerWatch {
    kernel: Weak<Kernel>,
    connection: OwnedFd,
    container: String,
    watch: OnceLock<Watch>,
}

impl FileServerWatch {
    /// Watches a connection of `container` for as long as the result lives.
    ///
    /// # Errors
    ///
    /// If it can't be watched.
    pub(super) fn start(
        kernel: &Arc<Kernel>,
        container: String,
        connection: &impl AsFd,
    ) -> std::io::Result<Arc<Self>> {
        let connection = connection.as_fd().try_clone_to_owned()?;
        let kernel_of = Arc::downgrade(kernel);
        let this = Arc::new(Self { kernel: kernel_of, connection, container, watch: OnceLock::new() });
        let watcher: Weak<dyn HostEvents> = Arc::downgrade(&this) as Weak<_>;
        let watch = kernel.reactor.watch(this.connection.as_fd(), Events::RDHUP, watcher)?;
        let _ = this.watch.set(watch);
        Ok(this)
    }
}

impl Drop for FileServerWatch {
    fn drop(&mut self) {
        // Fails only if the gofer has ended.
        let _ = rustix::net::shutdown(&self.connection, rustix::net::Shutdown::Both);
    }
}

impl HostEvents for FileServerWatch {
    fn on_host_events(&self, events: Events) {
        if events.intersects(Events::RDHUP | Events::HUP | Events::ERR)
            && let Some(kernel) = self.kernel.upgrade()
        {
            let container = &*self.container;
            tracing::error!(container, "a file server (cloister-gofer) has ended: its container can't go on");
            kernel.containers.on_file_server_end(&kernel, container);
        }
    }
}
