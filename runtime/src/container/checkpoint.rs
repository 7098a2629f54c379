//! `checkpoint`: a container goes to disk.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use caps::{CapSet, Capability};
use cloister_proto::control::{
    Checkpoint, Client, ClientError, Hold, Method, Otherwise, Pause, PrepareCheckpoint, Resume,
};
use cloister_proto::snapshot::PAGEMAPS_PER_PACKET;
use cloister_proto::transport::Connection;

use super::{ContainerError, delete, status};
use crate::snapshot::{NewSnapshot, SnapshotError};
use crate::state::{ContainerId, Entry, Record, StateError, Status};

/// What becomes of the container once it is saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterCheckpoint {
    /// It ends, and is deleted.
    Delete,
    /// It goes on; one that was paused stays so.
    LeaveRunning,
}

/// Saves a container to the folder `place`.
///
/// # Errors
///
/// The container does not run, something of it cannot be saved, or the system's; it then goes on as before.
pub fn checkpoint(entry: Entry, place: &Path, after: AfterCheckpoint) -> Result<(), ContainerError> {
    const ACTION: &str = "checkpoint";
    let record = entry.record()?;
    let status = status(&entry, &record)?;
    if !matches!(status, Status::Running | Status::Paused) {
        let id = entry.id().clone();
        return Err(StateError::WrongStatus { id, action: ACTION, status }.into());
    }
    let snapshot = NewSnapshot::new(place)?;
    let mut saving = Saving::begin(&entry, ACTION, status, None)?;
    saving.save(&record, snapshot)?;
    match after {
        AfterCheckpoint::Delete => {
            // As long as this is held, it does not go on.
            saving.resumes = false;
            delete(entry, true)
        }
        AfterCheckpoint::LeaveRunning => Ok(()),
    }
}

/// Connects to a container's kernel and [holds](Hold) the container for as long as the connection lasts; `note` is the file whose
/// names tell whether it is on the disk by then.
pub(super) fn hold(
    entry: &Entry,
    action: &'static str,
    otherwise: Otherwise,
    note: Option<&File>,
) -> Result<Client, ContainerError> {
    let fail = |source| ContainerError::Client { action, id: entry.id().clone(), source };
    // Without a time-out: how long it takes is a matter of how much there is, and a kernel that ends hangs up.
    let connection = entry.connect().map_err(|error| fail(error.into()))?;
    let mut client = Client::new(connection, None).map_err(fail)?;
    let descriptors: Vec<_> = note.iter().map(|note| note.as_fd()).collect();
    client.call(Hold { id: entry.id().to_string(), otherwise }, &descriptors).map_err(fail)?;
    Ok(client)
}

/// A container that is being saved. It goes on if it ran before, when this is dropped or the process is killed.
pub(super) struct Saving {
    id: ContainerId,
    action: &'static str,
    client: Client,
    resumes: bool,
}

impl Saving {
    /// Has a container stand still.
    pub(super) fn begin(
        entry: &Entry,
        action: &'static str,
        status: Status,
        note: Option<&File>,
    ) -> Result<Self, ContainerError> {
        let runs = status == Status::Running;
        let otherwise = if runs { Otherwise::GoesOn } else { Otherwise::Stays };
        let client = hold(entry, action, otherwise, note)?;
        let mut saving = Self { id: entry.id().clone(), action, client, resumes: false };
        if runs {
            saving.call(Pause { id: entry.id().to_string() })?;
            saving.resumes = true;
        }
        Ok(saving)
    }

    /// Lets go of the container without having it go on: the names of its note decide what becomes of it.
    pub(super) fn leave_paused(mut self) {
        self.resumes = false;
    }

    fn fail(&self, source: ClientError) -> ContainerError {
        ContainerError::Client { action: self.action, id: self.id.clone(), source }
    }

    fn call<M: Method>(&mut self, request: M) -> Result<M::Reply, ContainerError> {
        self.client.call(request, &[]).map_err(|source| self.fail(source))
    }

    /// Saves it.
    pub(super) fn save(&mut self, record: &Record, snapshot: NewSnapshot) -> Result<(), ContainerError> {
        let id = self.id.to_string();
        let processes = self.call(PrepareCheckpoint { id: id.clone() })?.processes;
        let lists = pagemaps(record.boot.pid, &processes)?;
        let transport = |error| self.fail(ClientError::Transport(error));
        let (ours, theirs) = Connection::pair().map_err(transport)?;
        for lists in lists.chunks(PAGEMAPS_PER_PACKET) {
            let lists: Vec<_> = lists.iter().map(AsFd::as_fd).collect();
            let count = u32::try_from(lists.len()).unwrap_or(u32::MAX);
            ours.send(&count, &lists).map_err(transport)?;
        }
        drop(lists);
        let mut descriptors: Vec<_> = snapshot.files().iter().map(AsFd::as_fd).collect();
        descriptors.push(theirs.as_fd());
        let request = Checkpoint { id, build: snapshot.build() };
        let reply = self.client.call(request, &descriptors);
        let reply = reply.map_err(|source| self.fail(source))?;
        snapshot.commit(&self.id, &reply.files)?;
        Ok(())
    }
}

impl Drop for Saving {
    fn drop(&mut self) {
        if self.resumes {
            // A kernel that has ended needs no resume, and any other takes it.
            let _ = self.client.call(Resume { id: self.id.to_string() }, &[]);
        }
    }
}

/// For as long as it lives, lists of pages that are opened tell nobody where in the host's memory pages are: the host asks who
/// opened them.
struct NoAddresses {
    had_right: bool,
}

impl NoAddresses {
    fn begin() -> Self {
        let had_right = caps::has_cap(None, CapSet::Effective, Capability::CAP_SYS_ADMIN).unwrap_or(false);
        let dropped = had_right && caps::drop(None, CapSet::Effective, Capability::CAP_SYS_ADMIN).is_ok();
        Self { had_right: dropped }
    }
}

impl Drop for NoAddresses {
    fn drop(&mut self) {
        if self.had_right {
            // It is still permitted, so it can be had again.
            let _ = caps::raise(None, CapSet::Effective, Capability::CAP_SYS_ADMIN);
        }
    }
}

/// Opens the lists of pages of processes, which are named by their ids in the PID namespace of `boot`.
fn pagemaps(boot: i32, processes: &[i32]) -> Result<Vec<File>, SnapshotError> {
    let failed = |pid: i32| move |source| SnapshotError::Pages { pid, source };
    let namespace = fs::read_link(format!("/proc/{boot}/ns/pid_for_children")).map_err(failed(0))?;
    let mut inside = std::collections::HashMap::new();
    for process in fs::read_dir("/proc").map_err(failed(0))?.flatten() {
        let path = process.path();
        // Those of other namespaces may have the same ids. Processes come and go: those that matter stand still.
        if fs::read_link(path.join("ns/pid")).is_ok_and(|own| own == namespace)
            && let Ok(text) = fs::read_to_string(path.join("status"))
            && let Some(ids) = text.lines().find_map(|line| line.strip_prefix("NSpid:"))
            && let Some(Ok(pid)) = ids.split_whitespace().next_back().map(str::parse::<i32>)
        {
            inside.insert(pid, path);
        }
    }
    let _addresses = NoAddresses::begin();
    let open = |pid: &i32| {
        let gone = || io::Error::from(io::ErrorKind::NotFound);
        let path = inside.get(pid).ok_or_else(gone).map_err(failed(*pid))?;
        File::open(path.join("pagemap")).map_err(failed(*pid))
    };
    processes.iter().map(open).collect()
}
