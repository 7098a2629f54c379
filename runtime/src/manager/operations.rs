//! What is done with one sandbox.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use cloister_proto::container::Overlay;
use cloister_proto::control::{ClientError, Resume};
use rustix::process::{Pid, WaitOptions, waitpid};

use super::{Command, ManagerError, Output, Running};
use crate::bundle::{Bundle, default_config};
use crate::cgroup::Policy;
use crate::container::{
    ContainerError, CreateOptions, Created, create, delete, start_with, status, suspend, wake,
};
use crate::launch::{Binaries, HostLimits};
use crate::sandbox::{Logs, Options};
use crate::state::{ContainerId, Lifetime, Record, StateError, Status, Store};
use crate::template::{Personal, Template, TemplateName, Templates, spawn};

/// What a manager works with.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the state of sandboxes is.
    pub store: Store,
    /// Where templates are.
    pub templates: Templates,
    /// How the control groups of sandboxes are chosen.
    pub cgroups: Policy,
    /// How sandboxes are started.
    pub sandbox: Options,
}

impl Config {
    /// The usual with this store: templates in it, the programs beside the caller's, 10 seconds for a start.
    #[must_use]
    pub fn new(store: Store) -> Self {
        let sandbox = Options {
            binaries: Binaries { boot: None, gofer: None },
            platform: None,
            dcache: None,
            strace: None,
            logs: Logs::default(),
            limits: HostLimits::default(),
            owns_terminal: false,
            timeout: Duration::from_secs(10),
        };
        Self { templates: Templates::of(&store), store, cgroups: Policy::Configured, sandbox }
    }
}

/// What a sandbox is made of.
#[derive(Clone, Debug)]
pub enum Origin {
    /// An OCI bundle.
    Bundle {
        /// Its folder.
        folder: PathBuf,
        /// Where writes to the root go.
        overlay: Overlay,
    },
    /// A root file system, which is not written to, and a program to be run with few rights.
    Rootfs {
        /// The root's folder.
        folder: PathBuf,
        /// The program and its arguments.
        args: Vec<String>,
        /// Variables, each `NAME=value`.
        env: Vec<String>,
    },
    /// A template.
    Template {
        /// Its name.
        name: TemplateName,
        /// What the copy has of its own.
        personal: Personal,
    },
}

impl Origin {
    /// A template, to be copied as it is.
    #[must_use]
    pub fn template(name: TemplateName) -> Self {
        Self::Template { name, personal: Personal::default() }
    }
}

/// What a sandbox is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sandbox {
    /// Its id.
    pub id: ContainerId,
    /// Where in its life it is.
    pub status: Status,
    /// When it was created, RFC 3339.
    pub created: String,
    /// How long it may do nothing; `None` if no manager made it.
    pub lifetime: Option<Lifetime>,
    /// When it did something last; `None` if it does now, or no manager made it.
    pub last_activity: Option<SystemTime>,
}

/// The sandboxes of a host.
#[derive(Clone, Debug)]
pub struct Manager {
    pub(super) config: Config,
}

impl Manager {
    /// A manager. Nothing is done before it is asked to.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self { config }
    }

    /// Makes a sandbox, and lets it run. It has no standard input, and what it writes to its standard output is lost.
    ///
    /// # Errors
    ///
    /// There is one of this id, or whatever fails on the way; nothing is left behind.
    pub fn create(&self, id: &ContainerId, origin: Origin, lifetime: Lifetime) -> Result<(), ManagerError> {
        let null = null()?;
        let options = self.options(&null);
        // Until it is released, dropping it kills and removes it.
        let mut created = match origin {
            Origin::Bundle { folder, overlay } => {
                let options = CreateOptions { overlay, ..options };
                self.start(id, Bundle::load(&folder)?, &options)?
            }
            Origin::Rootfs { folder, args, env } => {
                let options = CreateOptions { overlay: Overlay::Memory { size: None }, ..options };
                self.start(id, bundle_of(folder, args, env)?, &options)?
            }
            Origin::Template { name, personal } => {
                let template = self.config.templates.open(&name)?;
                spawn(&self.config.store, &template, id, &personal, options)?
            }
        };
        created.entry().set_lifetime(&lifetime)?;
        if created.is_restored() {
            let resumed = created.sandbox.client.call(Resume { id: id.to_string() }, &[]);
            resumed.map_err(fail("start", id))?;
        }
        Ok(created.release()?)
    }

    fn start(
        &self,
        id: &ContainerId,
        bundle: Bundle,
        options: &CreateOptions<'_>,
    ) -> Result<Created, ManagerError> {
        let mut created = create(&self.config.store, id, bundle, options)?;
        let hooks = created.hooks().cloned();
        match start_with(&mut created.sandbox.client, id, &created.record, hooks.as_ref()) {
            Ok(()) => Ok(created),
            Err(error) => {
                created.destroy(id);
                Err(error.into())
            }
        }
    }

    /// Ends a sandbox and removes all of it.
    ///
    /// # Errors
    ///
    /// There is none, or it cannot be ended.
    pub fn destroy(&self, id: &ContainerId) -> Result<(), ManagerError> {
        let entry = self.config.store.open(id)?;
        let record = entry.record().ok();
        delete(entry, true)?;
        reap_children(record.as_ref());
        Ok(())
    }

    /// Puts a sandbox to the disk, and frees all that it uses of the host.
    ///
    /// # Errors
    ///
    /// It does not run, or something of it cannot be saved; it goes on.
    pub fn pause(&self, id: &ContainerId) -> Result<(), ManagerError> {
        let entry = self.config.store.open(id)?;
        suspend(&entry, None)?;
        reap_children(entry.record().ok().as_ref());
        Ok(())
    }

    /// Brings a sandbox back from the disk; what is not needed at once is read when it is.
    ///
    /// # Errors
    ///
    /// It is not there, or cannot be brought back; it stays there.
    pub fn resume(&self, id: &ContainerId) -> Result<(), ManagerError> {
        let null = null()?;
        let entry = self.config.store.open(id)?;
        // What no manager made has no last activity.
        let in_use = entry.lifetime()?.map(|_| entry.begin_use()).transpose()?;
        wake(&self.config.store, entry, self.options(&null))?;
        drop(in_use);
        Ok(())
    }

    /// Makes a template of a sandbox, which goes on.
    ///
    /// # Errors
    ///
    /// There is one of this name, or the sandbox cannot be saved.
    pub fn create_template(&self, name: &TemplateName, id: &ContainerId) -> Result<(), ManagerError> {
        let entry = self.config.store.open(id)?;
        Ok(self.config.templates.create_from_container(name, entry)?)
    }

    /// Removes a template.
    ///
    /// # Errors
    ///
    /// There is none, or others need it.
    pub fn delete_template(&self, name: &TemplateName) -> Result<(), ManagerError> {
        Ok(self.config.templates.remove(name, &self.config.store)?)
    }

    /// All templates, in the order of their names.
    ///
    /// # Errors
    ///
    /// They cannot be read.
    pub fn templates(&self) -> Result<Vec<Template>, ManagerError> {
        Ok(self.config.templates.list()?)
    }

    /// Runs a command in a sandbox to its end, and returns what it wrote.
    ///
    /// # Errors
    ///
    /// The sandbox does not run, the command cannot be executed, or it was killed as it did not keep to its bounds.
    pub fn exec(&self, id: &ContainerId, command: &Command) -> Result<Output, ManagerError> {
        Running::start(&self.config.store.peek(id)?, command)?.output(command)
    }

    /// Starts a command in a sandbox, with pipes for its input and output.
    ///
    /// # Errors
    ///
    /// The sandbox does not run, or the command cannot be executed.
    pub fn exec_streaming(&self, id: &ContainerId, command: &Command) -> Result<Running, ManagerError> {
        Running::start(&self.config.store.peek(id)?, command)
    }

    /// Notes that a sandbox is in use.
    ///
    /// # Errors
    ///
    /// There is none, or no manager made it.
    pub fn touch(&self, id: &ContainerId) -> Result<(), ManagerError> {
        drop(self.config.store.peek(id)?.begin_use()?);
        Ok(())
    }

    /// What a sandbox is.
    ///
    /// # Errors
    ///
    /// There is none, or it does not answer.
    pub fn get(&self, id: &ContainerId) -> Result<Sandbox, ManagerError> {
        let entry = self.config.store.peek(id)?;
        let record = entry.record()?;
        let status = status(&entry, &record)?;
        if status == Status::Stopped {
            reap_children(Some(&record));
        }
        let lifetime = entry.lifetime()?;
        let last_activity = match lifetime {
            Some(_) => entry.last_activity()?,
            None => None,
        };
        Ok(Sandbox { id: id.clone(), status, created: record.created, lifetime, last_activity })
    }

    /// All sandboxes, in the order of their ids. Those that are gone by the time that they are looked at are left out.
    ///
    /// # Errors
    ///
    /// They cannot be read, or one does not answer.
    pub fn list(&self) -> Result<Vec<Sandbox>, ManagerError> {
        let mut all = Vec::new();
        for id in self.config.store.list()? {
            match self.get(&id) {
                Err(error) if is_gone(&error) => {}
                found => all.push(found?),
            }
        }
        Ok(all)
    }

    fn options<'a>(&self, null: &'a File) -> CreateOptions<'a> {
        CreateOptions {
            overlay: Overlay::None,
            pid_file: None,
            console_socket: None,
            share_terminal: false,
            stdio: Some([null.as_fd(); 3]),
            preserved: &[],
            cgroups: self.config.cgroups,
            sandbox: self.config.sandbox.clone(),
            deputy: None,
            saved: None,
        }
    }
}

/// Returns whether something failed because the sandbox is not there, or not to the end.
pub(super) fn is_gone(error: &ManagerError) -> bool {
    let state = match error {
        ManagerError::State(state) | ManagerError::Container(ContainerError::State(state)) => state,
        _ => return false,
    };
    matches!(state, StateError::NotFound(_) | StateError::Incomplete(_))
}

pub(super) fn fail(action: &'static str, id: &ContainerId) -> impl Fn(ClientError) -> ManagerError {
    let id = id.clone();
    move |source| ManagerError::Client { action, id: id.clone(), source }
}

fn null() -> Result<File, ManagerError> {
    let null = File::options().read(true).write(true).open("/dev/null");
    null.map_err(ManagerError::host("open /dev/null"))
}

/// A bundle of a root file system.
fn bundle_of(folder: PathBuf, args: Vec<String>, env: Vec<String>) -> Result<Bundle, ManagerError> {
    let folder = std::path::absolute(&folder).unwrap_or(folder);
    let mut spec = default_config()?;
    let mut root = spec.root().clone().unwrap_or_default();
    root.set_path(folder.clone()).set_readonly(Some(false));
    let mut process = spec.process().clone().unwrap_or_default();
    process.set_terminal(Some(false)).set_args(Some(args)).set_env(Some(env));
    spec.set_root(Some(root)).set_process(Some(process));
    Ok(Bundle { path: folder, spec })
}

/// Takes note of the end of a sandbox's processes, if they are children of this process: nobody else does.
fn reap_children(record: Option<&Record>) {
    for process in record.iter().flat_map(|record| [record.boot, record.gofer]) {
        // It fails for those that are not ours.
        let _ = Pid::from_raw(process.pid).map(|pid| waitpid(Some(pid), WaitOptions::NOHANG));
    }
}
