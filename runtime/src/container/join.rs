//! Containers that join the sandbox of another one: what is known of the sandbox, and the process of the host that stands
//! for each of them.
//!
//! Callers know a container by an id of the host: they wait for it and send it signals. That of a root container is the
//! kernel's. For each of the others there is a *deputy*, a process that does nothing but pass signals on, end as the
//! container does, and take it with it when it is killed. It is there before the container, and sees to it that nothing is
//! left if who creates it is killed: then the connection ends over which it is told what has been done.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use cloister_proto::control::{ClientError, Destroy, ErrorKind, OnHangUp, State};
use rustix::process::Pid;

use super::{ContainerError, connect};
use crate::bundle::{Pod, network_path};
use crate::foreground::Foreground;
use crate::launch;
use crate::state::{ContainerId, Entry, ProcessIdentity, Store};

/// The sandbox that a container joins.
#[derive(Debug)]
pub(super) struct Joined {
    /// The sandbox's kernel.
    pub(super) boot: ProcessIdentity,
    /// Its containers.
    pub(super) pod: Pod,
}

impl Joined {
    /// Looks at the sandbox with the root container `root`.
    ///
    /// # Errors
    ///
    /// There is no such container, or it is not a root container.
    pub(super) fn look(store: &Store, root: &ContainerId) -> Result<Self, ContainerError> {
        let entry = store.peek(root)?;
        let record = entry.record()?;
        if let Some(sandbox) = record.sandbox {
            return Err(ContainerError::NotRoot { id: root.clone(), root: sandbox });
        }
        let mut members = vec![(root.clone(), record.boot.pid)];
        for id in store.list()? {
            // One that is not made to the end has no process yet.
            let Ok(other) = store.peek(&id).and_then(|entry| entry.record()) else { continue };
            if other.sandbox.as_deref() == Some(root.as_str()) && other.boot == record.boot {
                members.extend(other.deputy.map(|deputy| (id, deputy.pid)));
            }
        }
        let pod = Pod { root: root.clone(), members, network: network_path(&entry.config()?) };
        Ok(Self { boot: record.boot, pod })
    }
}

/// Has the kernel destroy a container that joined a sandbox. If the kernel is gone, or knows nothing of it, that is done.
///
/// # Errors
///
/// The kernel does not answer.
pub(super) fn destroy(entry: &Entry) -> Result<(), ContainerError> {
    let action = "destroy";
    let fail = |source| ContainerError::Client { action, id: entry.id().clone(), source };
    let Ok(mut client) = connect(entry, action) else { return Ok(()) };
    match client.call(Destroy { id: entry.id().to_string() }, &[]) {
        Ok(_) | Err(ClientError::Closed) => Ok(()),
        Err(ClientError::Failed(failure)) if failure.kind == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(fail(error)),
    }
}

/// How a deputy is started: a program with arguments that has it call [`attend`].
#[derive(Clone, Debug)]
pub struct DeputyCommand {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
}

/// A deputy on its way. It is killed when this is dropped, unless it was released.
#[derive(Debug)]
pub(super) struct Deputy {
    child: Option<Child>,
    /// Each byte to it says that a step was done, and one from it that the container is bound to it.
    connection: UnixStream,
}

impl DeputyCommand {
    /// Starts the deputy of a container that is about to be made; the `terminal` that the container gets is to be its own, so
    /// that it passes the signals of keys on.
    ///
    /// # Errors
    ///
    /// The system's: the program is not there.
    pub(super) fn start(
        &self,
        entry: &Entry,
        terminal: Option<BorrowedFd<'_>>,
    ) -> Result<Deputy, ContainerError> {
        let fail = |source| ContainerError::Deputy { id: entry.id().clone(), source };
        // What our caller has open is not for it.
        launch::close_on_exec_from(3).map_err(|errno| fail(errno.into()))?;
        let (connection, theirs) = UnixStream::pair().map_err(fail)?;
        let terminal = terminal.map(|terminal| terminal.try_clone_to_owned()).transpose().map_err(fail)?;
        let child = Command::new(&self.program)
            .args(&self.arguments)
            .stdin(OwnedFd::from(theirs))
            .stdout(terminal.map_or_else(Stdio::null, Stdio::from))
            .stderr(entry.log()?)
            .spawn()
            .map_err(fail)?;
        Ok(Deputy { child: Some(child), connection })
    }
}

impl Deputy {
    /// Binds the container, which was made, to it.
    ///
    /// # Errors
    ///
    /// What the deputy could not do is in the container's log.
    pub(super) fn bind(&mut self, entry: &Entry) -> Result<(), ContainerError> {
        let bound = self.connection.write_all(&[0]).and_then(|()| self.connection.read_exact(&mut [0]));
        bound.map_err(|source| ContainerError::Deputy { id: entry.id().clone(), source })
    }

    /// What it is known by; `None` if it has ended.
    pub(super) fn identity(&self) -> Option<ProcessIdentity> {
        let pid = self.child.as_ref().and_then(|child| Pid::from_raw(i32::try_from(child.id()).ok()?))?;
        ProcessIdentity::of(pid)
    }

    /// Lets it live on after this value.
    pub(super) fn release(mut self) {
        // If it has ended the container has, which is seen by who looks next.
        let _ = self.connection.write_all(&[0]);
        self.child = None;
    }
}

impl Drop for Deputy {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // Fails only if it has ended.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Stands for a container until it ends. Returns its exit code, as shells tell it.
///
/// A byte from the `creator` says that the container was made, a second one that its creation is complete. It gets one as soon
/// as the container is bound to this process. If the connection ends before, the container is destroyed. A `terminal` that
/// the container has becomes the controlling one of this process, which gets the signals of its keys.
///
/// # Errors
///
/// The control group cannot be joined, or the kernel does not answer.
pub fn attend(
    entry: &Entry,
    mut creator: UnixStream,
    terminal: Option<OwnedFd>,
) -> Result<u8, ContainerError> {
    let action = "stand for";
    let fail = |source| ContainerError::Client { action, id: entry.id().clone(), source };
    // What the terminal of who creates the container sends is not for it. Fails if we lead a process group.
    let _ = rustix::process::setsid();
    if let Some(group) = entry.group()? {
        group.membership()?.join()?;
    }
    let foreground = Foreground::begin()?;
    if let Some(terminal) = terminal {
        // Fails if it is that of another session: then that one gets the signals.
        let _ = rustix::process::ioctl_tiocsctty(&terminal);
    }
    if creator.read_exact(&mut [0]).is_err() {
        destroy(entry)?;
        return Ok(KILLED);
    }
    let mut client = connect(entry, action)?;
    let ticket = Foreground::watch(&mut client, entry.id(), OnHangUp::Kill).map_err(fail)?;
    // Requests are handled in order: the container is bound to this connection when this is answered.
    client.call(State { id: entry.id().to_string() }, &[]).map_err(fail)?;
    client.set_timeout(None).map_err(fail)?;
    if creator.write_all(&[0]).and_then(|()| creator.read_exact(&mut [0])).is_err() {
        destroy(entry)?;
        return Ok(KILLED);
    }
    drop(creator);
    // A kernel that ends takes its containers with it.
    Ok(foreground.wait(&mut client, &[], entry.id(), ticket).map_or(KILLED, |status| status.code()))
}

/// The exit code of what `SIGKILL` ended.
const KILLED: u8 = 128 + 9;
