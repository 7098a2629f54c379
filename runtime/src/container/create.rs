//! `create`: from a bundle to a container that is ready to start.

use std::fs;
use std::io::{IsTerminal, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cloister_proto::container::Overlay;
use jiff::Timestamp;
use oci_spec::runtime::{Hooks, Spec};
use tempfile::NamedTempFile;
use tracing::debug;

use super::join::{Deputy, DeputyCommand, Joined, destroy};
use super::{Console, ContainerError};
use crate::bundle::{Bundle, Prepared, Role, prepare};
use crate::cgroup::{Group, Hierarchies, Membership, Policy, has_limits};
use crate::hooks::{self, Point};
use crate::launch::HostLimits;
use crate::sandbox::{self, Sandbox, Saved};
use crate::snapshot::SnapshotError;
use crate::state::{ContainerId, Entry, OciState, ProcessIdentity, Record, RootWrites, Status, Store};
use crate::timeline::Timeline;

/// How a container is created.
#[derive(Debug)]
pub struct CreateOptions<'a> {
    /// Where writes to the root go.
    pub overlay: Overlay,
    /// File that is to hold the process id, written last.
    pub pid_file: Option<&'a Path>,
    /// Socket that the terminal's master end is sent to.
    pub console_socket: Option<&'a Path>,
    /// Whether the caller's own terminal may become the container's.
    pub share_terminal: bool,
    /// The process' standard files; the caller's own if there are none. Of a process with a terminal they are that terminal,
    /// which nobody else on the host has.
    pub stdio: Option<[BorrowedFd<'a>; 3]>,
    /// Descriptors that the process has as 3 and on.
    pub preserved: &'a [OwnedFd],
    /// How its control group is chosen.
    pub cgroups: Policy,
    /// How the sandbox is started.
    pub sandbox: sandbox::Options,
    /// What stands for a container that joins a sandbox; this process if there is none.
    pub deputy: Option<DeputyCommand>,
    /// What it is brought back from, if it was saved; it is paused then.
    pub saved: Option<Saved<'a>>,
}

/// A container that was created. Dropping it kills and removes it.
#[derive(Debug)]
pub struct Created {
    /// The running sandbox.
    pub sandbox: Sandbox,
    /// What was written to disk.
    pub record: Record,
    /// The configuration.
    pub spec: Spec,
    deputy: Option<Deputy>,
    restored: bool,
    folder: Folder,
}

/// A container's folder that is removed when it is dropped, unless the container is on the disk.
#[derive(Debug)]
struct Folder(Option<Entry>);

impl Folder {
    fn entry(&self) -> &Entry {
        self.0.as_ref().expect("it is taken out only when this ends")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Some(entry) = self.0.take() {
            if entry.is_suspended() {
                // What is left is removed by the next attempt to wake it as well.
                let _ = remove_traces(&entry);
                return;
            }
            // Nothing can be done about a failure, and the one that led here is what the user should see.
            if entry.has_joined() {
                let _ = destroy(&entry);
            }
            let _ = entry.remove();
        }
    }
}

impl Created {
    /// The container's folder.
    #[must_use]
    pub fn entry(&self) -> &Entry {
        self.folder.entry()
    }

    /// The configuration's hooks.
    #[must_use]
    pub fn hooks(&self) -> Option<&Hooks> {
        self.spec.hooks().as_ref()
    }

    /// Ends the container, whose process has ended, and removes it unless it is to be kept.
    pub fn end(mut self, patience: Duration, keep: bool) {
        if keep {
            self.folder.0 = None;
        } else if self.entry().has_joined() {
            // Its file server ends when nobody has its files any more; what cannot be destroyed ends with the sandbox.
            let _ = destroy(self.entry());
        }
        self.sandbox.finish(patience);
    }

    /// Ends and removes the container, which cannot be created or started, and runs its `poststop` hooks.
    pub fn destroy(self, id: &ContainerId) {
        let hooks = self.hooks().cloned();
        let state = OciState::new(id, &self.record, Status::Stopped);
        drop(self);
        hooks::run_poststop(hooks.as_ref(), &state);
    }

    /// Returns whether the container was saved before, so that it stands still until it is resumed.
    #[must_use]
    pub fn is_restored(&self) -> bool {
        self.restored
    }

    /// Returns whether the container is suspended, or was since it was created: its sandbox is none of ours any more.
    #[must_use]
    pub fn has_left(&self) -> bool {
        let is_ours = |record: Record| record.boot == self.record.boot;
        self.entry().is_suspended() || !self.entry().record().is_ok_and(is_ours)
    }

    /// Lets the container live on after this value and this process.
    ///
    /// # Errors
    ///
    /// Its kernel has ended; nothing is left behind.
    pub fn release(self) -> Result<(), ContainerError> {
        self.release_locked().map(drop)
    }

    /// As [`Created::release`]; returns the folder, which is locked if it was.
    pub(super) fn release_locked(mut self) -> Result<Entry, ContainerError> {
        self.sandbox.release()?;
        if let Some(deputy) = self.deputy {
            deputy.release();
        }
        Ok(self.folder.0.take().expect("it is taken out only when this ends"))
    }
}

/// Removes what a sandbox that has ended leaves in the folder of its container and on the host: socket and control group.
pub(super) fn remove_traces(entry: &Entry) -> Result<(), ContainerError> {
    entry.remove_socket()?;
    if let Some(group) = entry.group()? {
        group.remove()?;
        entry.forget_group()?;
    }
    Ok(())
}

/// Creates a container from a bundle.
///
/// # Errors
///
/// Whatever fails on the way; nothing is left behind.
pub fn create(
    store: &Store,
    id: &ContainerId,
    bundle: Bundle,
    options: &CreateOptions<'_>,
) -> Result<Created, ContainerError> {
    let created = create_in(store, || Ok(store.create(id)?), bundle, options)?;
    // Others can signal and even delete it while we wait for its end in the foreground.
    created.entry().unlock()?;
    Ok(created)
}

/// Creates a container in the folder that `open` makes once all else makes sense. It stays locked.
pub(super) fn create_in(
    store: &Store,
    open: impl FnOnce() -> Result<Entry, ContainerError>,
    bundle: Bundle,
    options: &CreateOptions<'_>,
) -> Result<Created, ContainerError> {
    let mut timeline = Timeline::default();
    timeline.mark("create: begins");
    let role = Role::of(&bundle.spec)?;
    let joined = match &role {
        Role::Member(root) => Some(Joined::look(store, root)?),
        Role::Alone | Role::Root => None,
    };
    let mut prepared = prepare(&bundle, options.overlay, joined.as_ref().map(|joined| &joined.pod))?;
    prepared.spec.process.preserved = u32::try_from(options.preserved.len()).unwrap_or(u32::MAX);
    let rootfs =
        prepared.binds.first().map(|root| root.source.to_string_lossy().into_owned()).unwrap_or_default();
    let root_writes = RootWrites::of(&prepared.spec.root);
    let folder = Folder(Some(open()?));
    let id = &folder.entry().id().clone();
    // Only one that is woken has a record already.
    let created =
        folder.entry().record().map_or_else(|_| Timestamp::now().to_string(), |record| record.created);
    let console = console(&bundle.spec, &prepared, options)?;
    let given = options.stdio.filter(|_| prepared.spec.process.terminal).map(|[terminal, ..]| terminal);
    let terminal = console.as_ref().map(AsFd::as_fd).or(given);
    let mut files = stdio(console.as_ref(), options).to_vec();
    files.extend(options.preserved.iter().map(AsFd::as_fd));
    let limits = HostLimits {
        group: group(folder.entry(), &bundle.spec, &role, options.cgroups)?,
        oom_score_adj: prepared.spec.process.oom_score_adj,
    };
    timeline.mark("create: bundle, folder and control group are ready");
    let sandbox_options =
        sandbox::Options { limits, owns_terminal: terminal.is_some(), ..options.sandbox.clone() };
    if joined.is_some() && options.saved.is_some() {
        return Err(SnapshotError::Pod.into());
    }
    if let Some(joined) = &joined {
        folder.entry().join(&joined.pod.root)?;
        // Remains of a creation that was killed: the folder was taken over, and nobody else has the id.
        destroy(folder.entry())?;
    }
    let mut deputy = match (&joined, &options.deputy) {
        (Some(_), Some(command)) => Some(command.start(folder.entry(), terminal)?),
        _ => None,
    };
    let sandbox = match (&joined, options.saved.clone()) {
        (None, Some(saved)) => Sandbox::restore(folder.entry(), prepared, &files, &sandbox_options, saved)?,
        (None, None) => Sandbox::create(folder.entry(), prepared, &files, &sandbox_options)?,
        (Some(_), _) => Sandbox::join(folder.entry(), prepared, &files, &sandbox_options)?,
    };
    if let Some(deputy) = &mut deputy {
        deputy.bind(folder.entry())?;
    }
    let gone = || ContainerError::Gone(id.clone());
    let identity = |pid| ProcessIdentity::of(pid).ok_or_else(gone);
    let boot = match (&joined, &sandbox.boot) {
        (Some(joined), _) => joined.boot,
        (None, Some(boot)) => identity(boot.pid())?,
        (None, None) => return Err(gone()),
    };
    let stands_for_it = match &deputy {
        Some(deputy) => Some(deputy.identity().ok_or_else(gone)?),
        None if joined.is_some() => Some(identity(rustix::process::getpid())?),
        None => None,
    };
    timeline.append(&sandbox.timeline);
    let record = Record {
        format: Record::FORMAT,
        oci_version: bundle.spec.version().clone(),
        bundle: bundle.path,
        rootfs: rootfs.into(),
        annotations: bundle.spec.annotations().clone().unwrap_or_default().into_iter().collect(),
        created,
        owner: rustix::process::getuid().as_raw(),
        timeline,
        root_writes,
        sandbox: joined.map(|joined| joined.pod.root.to_string()),
        boot,
        gofer: identity(sandbox.gofer.pid())?,
        deputy: stands_for_it,
    };
    let restored = options.saved.is_some();
    let created = Created { sandbox, record, spec: bundle.spec, deputy, restored, folder };
    let state = OciState::new(id, &created.record, Status::Creating);
    let mut points = [Point::Prestart, Point::CreateRuntime, Point::CreateContainer].into_iter();
    if let Err(error) = points.try_for_each(|point| hooks::run(created.hooks(), point, &state)) {
        created.destroy(id);
        return Err(error.into());
    }
    created.entry().write_config(&created.spec)?;
    created.entry().write_record(&created.record)?;
    if let Some(path) = options.pid_file {
        write_pid_file(path, created.record.process().pid)?;
    }
    Ok(created)
}

/// Makes the control group, and opens what processes join it by. Where groups cannot be managed there is none, unless limits
/// are asked for.
///
/// In the group of a pod's root container are the programs of all its containers, so the little weight that Kubernetes gives
/// to the root container alone is left out.
fn group(
    entry: &Entry,
    spec: &Spec,
    role: &Role,
    policy: Policy,
) -> Result<Option<Arc<Membership>>, ContainerError> {
    let linux = spec.linux().as_ref();
    let path = linux.and_then(|linux| linux.cgroups_path().as_deref());
    let hierarchies = Hierarchies::of_this_machine()?;
    let Some(group) = Group::choose(&hierarchies, path, entry.id().as_str(), policy)? else {
        return Ok(None);
    };
    // Before it is made: whatever happens from here on, it is known what is to be removed.
    entry.write_group(&group)?;
    let mut resources = linux.and_then(|linux| linux.resources().clone());
    if *role == Role::Root
        && let Some(resources) = &mut resources
        && let Some(mut cpu) = resources.cpu().clone()
    {
        cpu.set_shares(None);
        resources.set_cpu(Some(cpu));
    }
    match group.make() {
        Err(error) if error.is_denied() && !resources.as_ref().is_some_and(has_limits) => {
            debug!("{error}");
            entry.forget_group()?;
            return Ok(None);
        }
        result => result?,
    }
    if let Some(resources) = resources {
        group.apply(&resources)?;
    }
    Ok(Some(Arc::new(group.membership()?)))
}

/// The terminal's container end, if one is to be made.
fn console(
    spec: &Spec,
    prepared: &Prepared,
    options: &CreateOptions<'_>,
) -> Result<Option<OwnedFd>, ContainerError> {
    match (prepared.spec.process.terminal, options.console_socket) {
        (true, None) if options.stdio.is_some() => Ok(None),
        (false, None) => Ok(None),
        (false, Some(_)) => Err(ContainerError::UnusedConsole),
        (true, Some(socket)) => Console::new(spec.process().as_ref())?.send(socket).map(Some),
        (true, None) if options.share_terminal && std::io::stdin().is_terminal() => Ok(None),
        (true, None) if options.share_terminal => {
            Err(ContainerError::NoTerminal("standard input is not a terminal; use --console-socket"))
        }
        (true, None) => Err(ContainerError::NoTerminal("there is no --console-socket to send it to")),
    }
}

fn stdio<'a>(console: Option<&'a OwnedFd>, options: &CreateOptions<'a>) -> [BorrowedFd<'a>; 3] {
    match (console, options.stdio) {
        (Some(terminal), _) => [terminal.as_fd(); 3],
        (None, Some(given)) => given,
        (None, None) => [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()],
    }
}

/// Writes a pid file in one step, so that who waits for it never reads half of it.
///
/// # Errors
///
/// [`ContainerError::PidFile`].
pub fn write_pid_file(path: &Path, pid: i32) -> Result<(), ContainerError> {
    let fail = |source| ContainerError::PidFile { path: path.to_owned(), source };
    let folder =
        path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let mut file = NamedTempFile::new_in(folder).map_err(fail)?;
    write!(file, "{pid}").map_err(fail)?;
    fs::set_permissions(file.path(), std::os::unix::fs::PermissionsExt::from_mode(0o644)).map_err(fail)?;
    file.persist(path).map_err(|error| fail(error.error))?;
    Ok(())
}
