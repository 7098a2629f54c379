//! The folder of all templates.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rustix::fs::{CWD, FlockOperation, RenameFlags, flock, renameat_with};
use rustix::io::retry_on_intr;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use super::error::failed;
use super::{TemplateError, TemplateName};
use crate::bundle::Bundle;
use crate::container::{AfterCheckpoint, checkpoint};
use crate::snapshot::{Manifest, Snapshot, Verify};
use crate::state::{Entry, RootWrites, Store};

const DESCRIPTION: &str = "template.json";
const CONFIG: &str = "config.json";
const SNAPSHOT: &str = "snapshot";
/// How the names of folders begin and end that are being made or removed.
const HIDDEN: (&str, &str) = (".", ".tmp");

/// The folder of all templates.
#[derive(Clone, Debug)]
pub struct Templates {
    root: PathBuf,
}

/// What a template is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Description {
    /// Version of this form; readers refuse others.
    pub format: u32,
    /// When it was made, RFC 3339.
    pub created: String,
    /// What it was made of.
    pub source: Source,
    /// The bundle of the container that it was made of: paths of the configuration are relative to it.
    pub bundle: PathBuf,
    /// Where writes to the root go.
    pub root_writes: RootWrites,
}

/// What a template was made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// A container that ran, with this id.
    Container(String),
    /// A snapshot.
    Image(PathBuf),
}

impl Description {
    const FORMAT: u32 = 1;
}

/// A template.
#[derive(Clone, Debug)]
pub struct Template {
    /// Its name.
    pub name: TemplateName,
    /// Its folder.
    pub path: PathBuf,
    /// What it is.
    pub description: Description,
    /// What is saved in it.
    pub manifest: Manifest,
}

impl Template {
    /// Where the container is.
    #[must_use]
    pub fn snapshot(&self) -> PathBuf {
        self.path.join(SNAPSHOT)
    }

    /// How many bytes its files have.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.manifest.files.values().map(|file| file.bytes).sum()
    }

    /// Reads the bundle that copies are made from.
    ///
    /// # Errors
    ///
    /// The system's, or the configuration makes no sense.
    pub fn bundle(&self) -> Result<Bundle, TemplateError> {
        let path = self.path.join(CONFIG);
        let spec = read_json(&path)?;
        Ok(Bundle { path: self.description.bundle.clone(), spec })
    }
}

/// A template that is being made. Dropping it removes what was.
struct NewTemplate {
    name: TemplateName,
    folder: TempDir,
    _lock: File,
}

impl Templates {
    /// The templates in `root`. Nothing is made before a template is.
    #[must_use]
    pub fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// Those of a store of containers: in a folder that no container's id stands for.
    #[must_use]
    pub fn of(store: &Store) -> Self {
        Self::new(store.root().join("@templates"))
    }

    /// The folder's path.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Makes a template of a container, which goes on.
    ///
    /// # Errors
    ///
    /// There is one of this name, the container cannot be saved, or copies of it would share what they write.
    pub fn create_from_container(&self, name: &TemplateName, entry: Entry) -> Result<(), TemplateError> {
        let new = self.begin(name)?;
        let record = entry.record()?;
        if record.root_writes == RootWrites::Host {
            return Err(TemplateError::WritesToHost(entry.id().to_string()));
        }
        let (spec, source) = (entry.config()?, Source::Container(entry.id().to_string()));
        checkpoint(entry, &new.folder.path().join(SNAPSHOT), AfterCheckpoint::LeaveRunning)?;
        new.commit(self, &Bundle { path: record.bundle, spec }, source, record.root_writes)
    }

    /// Makes a template of a snapshot that was made with this bundle. Its files are shared, or copied if they are elsewhere.
    ///
    /// # Errors
    ///
    /// There is one of this name, the snapshot cannot be used, or copies of it would share what they write.
    pub fn create_from_image(
        &self,
        name: &TemplateName,
        image: &Path,
        bundle: &Bundle,
        root_writes: RootWrites,
    ) -> Result<(), TemplateError> {
        let new = self.begin(name)?;
        let snapshot = Snapshot::open(image, Verify::Pages)?;
        if root_writes == RootWrites::Host {
            return Err(TemplateError::WritesToHost(snapshot.manifest.container));
        }
        let place = new.folder.path().join(SNAPSHOT);
        fs::create_dir(&place).map_err(failed("make", &place))?;
        for file in fs::read_dir(image).map_err(failed("read", image))? {
            let from = file.map_err(failed("read", image))?.path();
            let to = place.join(from.file_name().unwrap_or_default());
            // What a snapshot consists of never changes; another takes its place.
            if fs::hard_link(&from, &to).is_err() {
                fs::copy(&from, &to).map_err(failed("copy", &from))?;
                sync(&to)?;
            }
        }
        sync(&place)?;
        let image = std::path::absolute(image).unwrap_or_else(|_| image.to_owned());
        new.commit(self, bundle, Source::Image(image), root_writes)
    }

    /// Opens a template.
    ///
    /// # Errors
    ///
    /// There is none, or it cannot be read.
    pub fn open(&self, name: &TemplateName) -> Result<Template, TemplateError> {
        let path = self.root.join(name.as_str());
        if !path.is_dir() {
            return Err(TemplateError::NotFound { name: name.clone(), root: self.root.clone() });
        }
        let file = path.join(DESCRIPTION);
        let description: Description = read_json(&file)?;
        if description.format != Description::FORMAT {
            let text = format!("it was written by another version (format {})", description.format);
            return Err(failed("use", file)(io::Error::new(io::ErrorKind::InvalidData, text)));
        }
        let manifest = Manifest::read(&path.join(SNAPSHOT))?;
        Ok(Template { name: name.clone(), path, description, manifest })
    }

    /// All templates, in the order of their names; those that cannot be read are left out, with a warning.
    ///
    /// # Errors
    ///
    /// The system's: the folder cannot be read.
    pub fn list(&self) -> Result<Vec<Template>, TemplateError> {
        let entries = match fs::read_dir(&self.root) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed("read", &self.root)(error)),
        };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        let mut templates: Vec<Template> = names
            .filter_map(|name: TemplateName| match self.open(&name) {
                Ok(template) => Some(template),
                Err(TemplateError::NotFound { .. }) => None,
                Err(error) => {
                    tracing::warn!("template {name} is left out: {error}");
                    None
                }
            })
            .collect();
        templates.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(templates)
    }

    /// Removes a template. Containers that were made of it keep what they have of it.
    ///
    /// # Errors
    ///
    /// There is none, or another template or a container of `store` that is suspended needs its memory.
    pub fn remove(&self, name: &TemplateName, store: &Store) -> Result<(), TemplateError> {
        // Without the folder of all there is nothing to be locked.
        self.open(name)?;
        let _lock = self.lock()?;
        let template = self.open(name)?;
        let needed_by = self.needed_by(&template, store)?;
        if !needed_by.is_empty() {
            return Err(TemplateError::Needed { name: name.clone(), needed_by });
        }
        let hidden = self.root.join(format!("{}{name}{}", HIDDEN.0, HIDDEN.1));
        renameat_with(CWD, &template.path, CWD, &hidden, RenameFlags::NOREPLACE)
            .map_err(|errno| failed("rename", &template.path)(errno.into()))?;
        sync(&self.root)?;
        fs::remove_dir_all(&hidden).map_err(failed("remove", hidden))
    }

    /// What has pages in the template's build, in words.
    fn needed_by(&self, template: &Template, store: &Store) -> Result<Vec<String>, TemplateError> {
        let build = &template.manifest.build;
        let needs = |manifest: &Manifest| manifest.build != *build && manifest.parent.as_ref() == Some(build);
        let others = self.list()?.into_iter().filter(|other| needs(&other.manifest));
        let mut needed_by: Vec<_> = others.map(|other| format!("template {}", other.name)).collect();
        for id in store.list()? {
            // One that is gone needs nothing.
            let Ok(Some(suspension)) = store.peek(&id).and_then(|entry| entry.suspension()) else { continue };
            if Manifest::read(&suspension.image).is_ok_and(|manifest| needs(&manifest)) {
                needed_by.push(format!("container {id}"));
            }
        }
        Ok(needed_by)
    }

    /// Makes the folder of a new template.
    fn begin(&self, name: &TemplateName) -> Result<NewTemplate, TemplateError> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.root)
            .map_err(failed("make", &self.root))?;
        let lock = self.lock()?;
        if self.root.join(name.as_str()).exists() {
            return Err(TemplateError::Exists(name.clone()));
        }
        let folder = tempfile::Builder::new()
            .prefix(&format!("{}{name}-", HIDDEN.0))
            .suffix(HIDDEN.1)
            .tempdir_in(&self.root)
            .map_err(failed("make a folder in", &self.root))?;
        Ok(NewTemplate { name: name.clone(), folder, _lock: lock })
    }

    /// Locks the folder for who changes what is in it, and removes what others left who were killed.
    fn lock(&self) -> Result<File, TemplateError> {
        let folder = match File::open(&self.root) {
            Ok(folder) => folder,
            Err(error) => return Err(failed("open", &self.root)(error)),
        };
        retry_on_intr(|| flock(&folder, FlockOperation::LockExclusive))
            .map_err(|errno| failed("lock", &self.root)(errno.into()))?;
        for entry in fs::read_dir(&self.root).map_err(failed("read", &self.root))?.flatten() {
            let name = entry.file_name();
            let is_hidden = |name: &str| name.starts_with(HIDDEN.0) && name.ends_with(HIDDEN.1);
            if name.to_str().is_some_and(is_hidden)
                && let Err(error) = fs::remove_dir_all(entry.path())
            {
                tracing::warn!("cannot remove {}: {error}", entry.path().display());
            }
        }
        Ok(folder)
    }
}

impl NewTemplate {
    /// Puts it in its place, once all of it is on the disk.
    fn commit(
        self,
        templates: &Templates,
        bundle: &Bundle,
        source: Source,
        root_writes: RootWrites,
    ) -> Result<(), TemplateError> {
        let description = Description {
            format: Description::FORMAT,
            created: Timestamp::now().to_string(),
            source,
            bundle: bundle.path.clone(),
            root_writes,
        };
        let folder = self.folder.path();
        write_json(&folder.join(CONFIG), &bundle.spec)?;
        write_json(&folder.join(DESCRIPTION), &description)?;
        sync(folder)?;
        let place = templates.root.join(self.name.as_str());
        renameat_with(CWD, folder, CWD, &place, RenameFlags::NOREPLACE)
            .map_err(|errno| failed("put a template at", &place)(errno.into()))?;
        // It has another name now, which is not to be removed.
        let _ = self.folder.keep();
        sync(&templates.root)
    }
}

fn sync(path: &Path) -> Result<(), TemplateError> {
    let file = File::open(path).map_err(failed("open", path))?;
    rustix::fs::fsync(file.as_fd()).map_err(|errno| failed("write", path)(errno.into()))
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, TemplateError> {
    let text = fs::read(path).map_err(failed("read", path))?;
    serde_json::from_slice(&text).map_err(|error| failed("read", path)(error.into()))
}

fn write_json(path: &Path, value: &impl Serialize) -> Result<(), TemplateError> {
    let write = || -> io::Result<()> {
        let mut file = File::create_new(path)?;
        serde_json::to_writer_pretty(&mut file, value)?;
        file.write_all(b"\n")?;
        file.sync_all()
    };
    write().map_err(failed("write", path))
}
