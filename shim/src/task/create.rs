//! A container is created, or brought back from a snapshot.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use cloister_proto::control::{Client, OnHangUp, RestoreAs, RestoreMemory, Ticket, Wait};
use cloister_runtime::bundle::Bundle;
use cloister_runtime::cgroup::Group;
use cloister_runtime::container::{CreateOptions, connect, create as create_container, delete};
use cloister_runtime::sandbox::Saved;
use cloister_runtime::snapshot::{Snapshot, Verify};
use cloister_runtime::state::{ContainerId, ProcessIdentity, Record, Store};
use containerd_shim_protos::api::CreateTaskRequest;
use parking_lot::Mutex;

use super::container::ProcessName;
use super::oom::Oom;
use super::{Container, Process, blocking, end};
use crate::error::ShimError;
use crate::options::Options;
use crate::pod::Pod;
use crate::rootfs;
use crate::stdio::{Files, Owner, Stdio};

/// Creates the container that containerd asks for.
///
/// # Errors
///
/// Whatever fails on the way; nothing is left behind.
pub(crate) async fn create(pod: &Arc<Pod>, request: &CreateTaskRequest) -> Result<Arc<Container>, ShimError> {
    let bad = |error: &dyn std::fmt::Display| ShimError::Request(format!("id {:?}: {error}", request.id));
    let id: ContainerId = request.id.parse().map_err(|error| bad(&error))?;
    let folder = PathBuf::from(&request.bundle);
    let bundle = Bundle::load(&folder)?;
    let annotations = bundle.spec.annotations().clone().unwrap_or_default();
    let options = Options::of(request.options.as_ref())?.annotated(&annotations)?;
    let kept = options.kept();
    kept.write(&folder)?;
    let stdio = Stdio {
        stdin: request.stdin.clone(),
        stdout: request.stdout.clone(),
        stderr: request.stderr.clone(),
        terminal: request.terminal,
    };
    let owner = Owner { namespace: &pod.namespace, id: &request.id };
    let (files, streams) = stdio.open(owner, bundle.spec.process().as_ref()).await?;
    let making = Making {
        store: kept.store(&pod.namespace),
        id: id.clone(),
        bundle: folder.clone(),
        options,
        debug: pod.debug,
        snapshot: (!request.checkpoint.is_empty()).then(|| request.checkpoint.clone().into()),
    };
    let (store, is_restored) = (making.store.clone(), making.snapshot.is_some());
    let mounts = request.rootfs.clone();
    let Made { record, client, ticket, group } = blocking(move || {
        let mounted = rootfs::mount(&mounts, &making.bundle.join("rootfs"))?;
        let made = making.make(&files)?;
        mounted.keep();
        Ok(made)
    })
    .await?;
    let name = ProcessName { container: request.id.clone(), exec_id: String::new() };
    let pid = u32::try_from(record.process().pid).unwrap_or_default();
    let container = Arc::new(Container {
        id,
        bundle: folder,
        store,
        init: Arc::new(Process::new(name, stdio, Some(streams), pid)),
        execs: Mutex::new(BTreeMap::new()),
        is_paused: AtomicBool::new(false),
        is_restored,
    });
    for process in children(&record) {
        tokio::spawn(end::reap(process));
    }
    tokio::spawn(end::attend(pod.clone(), container.clone(), client, ticket, Oom::watch(group)));
    Ok(container)
}

/// Processes of the host that were started for a container, and so are our children.
fn children(record: &Record) -> impl Iterator<Item = ProcessIdentity> {
    let boot = record.sandbox.is_none().then_some(record.boot);
    boot.into_iter().chain([record.gofer]).chain(record.deputy)
}

/// What is to be made.
struct Making {
    store: Store,
    id: ContainerId,
    bundle: PathBuf,
    options: Options,
    debug: bool,
    snapshot: Option<PathBuf>,
}

/// A container that was made, and whose end was asked for.
struct Made {
    record: Record,
    client: Client,
    ticket: Ticket,
    /// What the programs of the container alone, or of its pod, are in.
    group: Option<Group>,
}

impl Making {
    fn make(&self, files: &Files) -> Result<Made, ShimError> {
        // containerd removes the folder when the container is created, which does not matter.
        let open = |place| Snapshot::open(place, Verify::Size);
        let snapshot = self.snapshot.as_deref().map(open).transpose()?;
        let saved = snapshot.as_ref().map(|snapshot| Saved {
            snapshot,
            memory: RestoreMemory::Map,
            identity: RestoreAs::Itself,
        });
        let options = CreateOptions {
            overlay: self.options.overlay(),
            pid_file: None,
            console_socket: None,
            share_terminal: false,
            stdio: Some(files.all()),
            preserved: &[],
            cgroups: self.options.cgroups(),
            sandbox: self.options.sandbox(self.debug),
            deputy: Some(self.options.deputy(&self.store, &self.id)?),
            saved,
        };
        let created = create_container(&self.store, &self.id, Bundle::load(&self.bundle)?, &options)?;
        let record = created.record.clone();
        created.release()?;
        // The kernel tells the end of a container to those who have asked by then.
        let asked = self.ask();
        if asked.is_err() {
            // The failure is what the user should see.
            let _ =
                self.store.open(&self.id).map_err(ShimError::from).and_then(|entry| Ok(delete(entry, true)?));
        }
        let (client, ticket) = asked?;
        // The programs of others of a pod are not in the groups of their own.
        let group = if record.sandbox.is_none() { self.store.peek(&self.id)?.group()? } else { None };
        Ok(Made { record, client, ticket, group })
    }

    fn ask(&self) -> Result<(Client, Ticket), ShimError> {
        let action = "wait for";
        let fail = |source| ShimError::Client { action, id: self.id.to_string(), source };
        let mut client = connect(&self.store.peek(&self.id)?, action)?;
        client.set_timeout(None).map_err(fail)?;
        let request = Wait { id: self.id.to_string(), on_hang_up: OnHangUp::GoOn };
        let ticket = client.start(request, &[]).map_err(fail)?;
        Ok((client, ticket))
    }
}
