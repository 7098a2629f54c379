//! One control connection: the handshake, requests and replies.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use cloister_proto::control::{
    Done, Envelope, ErrorKind, ExecuteReply, Failure, OnHangUp, Request, Response,
};
use cloister_proto::transport::{Connection, Received};
use cloister_proto::version::Handshake;
use cloister_sync::{Lock, class};

use super::container::Replier;
use super::freeze::Held;
use crate::event::Events;
use crate::kernel::{HostEvents, Kernel, Watch};
use crate::signal::{self, Signal};
use crate::task::{Pid, number};

/// What does not live on without a connection.
#[derive(Debug)]
enum Tied {
    /// A process.
    Process(Pid),
    /// A container.
    Container(String),
    /// A container's standing still.
    Pause(Held),
}

/// A control connection.
#[derive(Debug)]
pub(crate) struct ControlConnection {
    kernel: Arc<Kernel>,
    connection: Connection,
    watch: OnceLock<Watch>,
    is_greeted: AtomicBool,
    is_closed: AtomicBool,
    /// What ends with the connection.
    tied: Lock<Vec<Tied>, { class::CONTAINER }>,
    this: Weak<Self>,
}

impl ControlConnection {
    /// Serves `connection` for as long as the result lives.
    pub(super) fn start(kernel: &Arc<Kernel>, connection: Connection) -> std::io::Result<Arc<Self>> {
        // A client that does not read its replies must not hold up the sandbox.
        rustix::io::ioctl_fionbio(&connection, true)?;
        let this = Arc::new_cyclic(|this: &Weak<Self>| Self {
            kernel: Arc::clone(kernel),
            connection,
            watch: OnceLock::new(),
            is_greeted: AtomicBool::new(false),
            is_closed: AtomicBool::new(false),
            tied: Lock::default(),
            this: Weak::clone(this),
        });
        let watcher: Weak<dyn HostEvents> = Arc::downgrade(&this) as Weak<_>;
        let watch = kernel.reactor.watch(this.connection.as_fd(), Events::IN | Events::RDHUP, watcher)?;
        let _ = this.watch.set(watch);
        Ok(this)
    }

    /// Returns whether the client has hung up, or was hung up on.
    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Relaxed)
    }

    fn close(&self) {
        self.is_closed.store(true, Ordering::Relaxed);
        let _ = rustix::net::shutdown(&self.connection, rustix::net::Shutdown::Both);
    }

    /// Ends what is not to last without the connection.
    fn let_go_of_tied(&self) {
        let (kernel, tied) = (&self.kernel, std::mem::take(&mut *self.tied.lock()));
        for tied in tied {
            match tied {
                Tied::Process(pid) => {
                    if let Some(group) = kernel.processes.group(pid) {
                        signal::send_from_outside(kernel, &group, Signal::KILL);
                    }
                }
                Tied::Container(id) => {
                    if let Ok(container) = kernel.containers.get(&id) {
                        kernel.containers.kill(kernel, &container);
                    }
                }
                Tied::Pause(held) => held.let_go(kernel),
            }
        }
    }

    /// Sends a reply; a client that does not take it is hung up on.
    pub(super) fn reply(&self, id: u64, result: Result<Response, Failure>) {
        let body = result.unwrap_or_else(Response::from);
        if let Err(error) = self.connection.send(&Envelope { id, body }, &[]) {
            tracing::debug!(%error, "a reply was not taken");
            self.close();
        }
    }

    fn handle(&self, envelope: Envelope<Request>, descriptors: Vec<OwnedFd>) {
        let Envelope { id, body } = envelope;
        tracing::debug!(method = body.name(), "control request");
        if let Request::Hello(hello) = &body {
            let check = hello.handshake.check();
            self.is_greeted.store(check.is_ok(), Ordering::Relaxed);
            let reply = check.map_err(|error| Failure::new(ErrorKind::Version, error.to_string()));
            let refused = reply.is_err();
            self.reply(id, reply.map(|()| Handshake::ours().into()));
            if refused {
                self.close();
            }
            return;
        }
        if !self.is_greeted.load(Ordering::Relaxed) {
            self.reply(id, Err(Failure::new(ErrorKind::Version, "the first request must be Hello")));
            self.close();
            return;
        }
        let replier = Replier::new(Weak::clone(&self.this), id);
        if let Some(result) = self.perform(body, descriptors, replier) {
            self.reply(id, result);
        }
    }

    /// Carries out a request. `None`: the `replier` answers it later.
    fn perform(
        &self,
        request: Request,
        descriptors: Vec<OwnedFd>,
        replier: Replier,
    ) -> Option<Result<Response, Failure>> {
        let (kernel, containers) = (&self.kernel, &self.kernel.containers);
        Some(match request {
            Request::Hello(_) => Ok(Done.into()),
            Request::Wait(request) => {
                let result = containers.wait(&request.id, None, replier);
                if let (Ok(None), OnHangUp::Kill) = (&result, request.on_hang_up) {
                    self.tied.lock().push(Tied::Container(request.id));
                }
                return result.transpose();
            }
            Request::WaitPid(request) => {
                return containers.wait(&request.id, Some(request.pid), replier).transpose();
            }
            Request::Signal(request) => super::signal::signal(kernel, &request).map(|()| Done.into()),
            Request::State(request) => containers.get(&request.id).map(|c| c.state().into()),
            Request::Processes(request) => super::processes::processes(kernel, &request.id).map(Into::into),
            Request::ReadFile(request) => super::read_file::read_file(kernel, &request).map(Into::into),
            Request::Strace(request) => super::debug::strace(kernel, &request.calls).map(|()| Done.into()),
            Request::SetLog(request) => super::debug::set_log(&request.filter).map(|()| Done.into()),
            Request::Stacks(_) => Ok(super::debug::stacks(kernel).into()),
            Request::Statistics(request) => super::debug::statistics(kernel, &request.id).map(Into::into),
            Request::SetLimits(request) => containers.get(&request.id).map(|container| {
                container.tasks.set_limit(request.pids);
                Done.into()
            }),
            Request::Destroy(request) => return containers.destroy(kernel, &request.id, replier).transpose(),
            Request::CreateContainer(request) => {
                super::create::create(kernel, request, descriptors).map(|()| Done.into())
            }
            Request::StartContainer(request) => {
                super::start::start(kernel, &request.id).map(|()| Done.into())
            }
            Request::Execute(request) => {
                let result = super::execute::execute(kernel, &request, descriptors);
                if let (Ok(pid), OnHangUp::Kill) = (&result, request.on_hang_up) {
                    self.tied.lock().push(Tied::Process(*pid));
                }
                result.map(|pid| ExecuteReply { pid: number(pid) }.into())
            }
            Request::Pause(request) => {
                return super::freeze::pause(kernel, &request.id, replier).err().map(Err);
            }
            Request::Hold(request) => Held::new(kernel, request, descriptors).map(|held| {
                self.tied.lock().push(Tied::Pause(held));
                Done.into()
            }),
            Request::Timeline(_) => Ok(kernel.timeline.reply().into()),
            Request::Keep(_) => super::keep::keep().map(|()| Done.into()),
            Request::Resume(request) => super::freeze::resume(kernel, &request.id).map(|()| Done.into()),
            Request::PrepareCheckpoint(request) => {
                super::checkpoint::prepare(kernel, &request.id).map(Into::into)
            }
            Request::Checkpoint(request) => {
                super::checkpoint::checkpoint(kernel, &request, descriptors).map(Into::into)
            }
            Request::Restore(request) => {
                super::checkpoint::restore(kernel, request, descriptors).map(|()| Done.into())
            }
        })
    }
}

impl HostEvents for ControlConnection {
    fn on_host_events(&self, _events: Events) {
        while !self.is_closed() {
            match self.connection.try_receive::<Envelope<Request>>() {
                Ok(Received::Message(envelope, descriptors)) => self.handle(envelope, descriptors),
                Ok(Received::Nothing) => return,
                Ok(Received::Closed) => {
                    self.close();
                    self.let_go_of_tied();
                }
                Err(error) => {
                    tracing::warn!(%error, "a control connection broke the protocol");
                    self.close();
                    self.let_go_of_tied();
                }
            }
        }
    }
}
