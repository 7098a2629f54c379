//! The control socket.
//!
//! # Locking
//!
//! The list of connections is under [`class::CONNECTIONS`], the outermost class: a connection's request is handled
//! without it.

use std::os::fd::AsFd;
use std::sync::{Arc, OnceLock, Weak};

use cloister_proto::transport::Listener;
use cloister_sync::{Lock, class};

use super::connection::ControlConnection;
use crate::event::Events;
use crate::kernel::{HostEvents, Kernel, Watch};

/// The most connections at a time; who has the socket's path is trusted, so this only stops accidents.
const MAX_CONNECTIONS: usize = 256;

/// The control socket and its connections.
#[derive(Debug)]
pub(crate) struct ControlServer {
    kernel: Arc<Kernel>,
    listener: Listener,
    watch: OnceLock<Watch>,
    connections: Lock<Vec<Arc<ControlConnection>>, { class::CONNECTIONS }>,
}

impl ControlServer {
    /// Serves `listener` for as long as the server lives.
    ///
    /// # Errors
    ///
    /// If the socket can't be watched.
    pub(crate) fn start(kernel: &Arc<Kernel>, listener: Listener) -> std::io::Result<Arc<Self>> {
        rustix::io::ioctl_fionbio(&listener, true)?;
        let server = Arc::new(Self {
            kernel: Arc::clone(kernel),
            listener,
            watch: OnceLock::new(),
            connections: Lock::default(),
        });
        let watcher: Weak<dyn HostEvents> = Arc::downgrade(&server) as Weak<_>;
        let watch = kernel.reactor.watch(server.listener.as_fd(), Events::IN, watcher)?;
        let _ = server.watch.set(watch);
        Ok(server)
    }

    fn add(&self, connection: Arc<ControlConnection>) {
        let mut connections = self.connections.lock();
        connections.retain(|connection| !connection.is_closed());
        if connections.len() < MAX_CONNECTIONS {
            connections.push(connection);
        } else {
            tracing::warn!("a control connection is refused: there are {MAX_CONNECTIONS}");
        }
    }
}

impl HostEvents for ControlServer {
    fn on_host_events(&self, _events: Events) {
        // Edge-triggered: until nobody is left. Errors are told by the client's own end.
        while let Ok(connection) = self.listener.accept() {
            match ControlConnection::start(&self.kernel, connection) {
                Ok(connection) => {
                    self.add(Arc::clone(&connection));
                    // What was sent before the watch began makes no edge.
                    connection.on_host_events(Events::IN);
                }
                Err(error) => tracing::warn!(%error, "a control connection can't be served"),
            }
        }
    }
}
