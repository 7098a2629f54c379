//! Path resolution (`path_resolution(7)`, `openat2(2)`).

use std::sync::Arc;

use bitflags::bitflags;

use super::{FileKind, Path, permission};
use crate::error::Errno;
use crate::prelude::errno;
use crate::task::{Credentials, Task};

bitflags! {
    /// Restrictions of a path resolution (`openat2(2)`), with Linux' numbers.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub(crate) struct Resolve: u64 {
        /// `RESOLVE_NO_XDEV`: mount points are not crossed.
        const NO_CROSSING = 0x01;
        /// `RESOLVE_NO_MAGICLINKS`.
        const NO_MAGIC_LINKS = 0x02;
        /// `RESOLVE_NO_SYMLINKS`.
        const NO_SYMLINKS = 0x04;
        /// `RESOLVE_BENEATH`: a way out of the starting directory is an error.
        const BENEATH = 0x08;
        /// `RESOLVE_IN_ROOT`: the starting directory is the root.
        const IN_ROOT = 0x10;
        /// `RESOLVE_CACHED`: only what needs no waiting.
        const CACHED = 0x20;
    }
}

/// Whether a symbolic link that a path ends with is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Follow {
    /// It is followed.
    Yes,
    /// It is the result.
    No,
}

/// The last component of a path, which is looked up after its directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Last<'p> {
    /// What it is.
    pub(crate) name: LastName<'p>,
    /// Whether `/` follows, so that it must be a directory.
    pub(crate) has_slash: bool,
}

/// What the last component of a path is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LastName<'p> {
    /// A name.
    Normal(&'p [u8]),
    /// `.`.
    Dot,
    /// `..`.
    DotDot,
    /// Nothing: the path is `/`.
    Root,
}

impl<'p> Last<'p> {
    /// Returns the name.
    ///
    /// # Errors
    ///
    /// `otherwise` if it is none that can be made or removed.
    pub(crate) fn name_or(&self, otherwise: Errno) -> Result<&'p [u8], Errno> {
        match self.name {
            LastName::Normal(name) => Ok(name),
            LastName::Dot | LastName::DotDot | LastName::Root => Err(otherwise),
        }
    }
}

/// The most symbolic links that a resolution follows.
const MAX_LINKS: u32 = 40;

/// The longest name in bytes (`NAME_MAX`).
pub(crate) const NAME_MAX: usize = 255;

/// A path resolution on behalf of a task.
#[derive(Debug)]
pub(crate) struct Walker<'a> {
    task: &'a Task,
    credentials: Arc<Credentials>,
    root: Path,
    umask: u32,
    resolve: Resolve,
    links: u32,
}

impl<'a> Walker<'a> {
    /// Makes a resolution with the task's own root directory and credentials.
    pub(crate) fn new(task: &'a Task) -> Self {
        Self::with_credentials(task, task.credentials())
    }

    /// Makes a resolution with other credentials (`access(2)`).
    pub(crate) fn with_credentials(task: &'a Task, credentials: Arc<Credentials>) -> Self {
        let (root, umask) = task.fs().root_and_umask();
        Self { task, credentials, root, umask, resolve: Resolve::empty(), links: 0 }
    }

    /// Restricts it (`openat2(2)`); `base` is the directory where it will start.
    pub(crate) fn restricted(mut self, resolve: Resolve, base: &Path) -> Self {
        self.resolve = resolve;
        if resolve.intersects(Resolve::IN_ROOT | Resolve::BENEATH) {
            self.root = base.clone();
        }
        self
    }

    /// Returns the task.
    pub(crate) fn task(&self) -> &'a Task {
        self.task
    }

    /// Returns the bits that new files do not get.
    pub(crate) fn umask(&self) -> u32 {
        self.umask
    }

    /// Returns the credentials that are used.
    pub(crate) fn credentials(&self) -> &Arc<Credentials> {
        &self.credentials
    }

    /// Returns what the path `path` names, starting at `base` unless it is absolute.
    ///
    /// # Errors
    ///
    /// `ENOENT` if there is no such name, or `path` is empty; `ENOTDIR`, `EACCES`, `ELOOP`, `ENAMETOOLONG`; what the file
    /// system says.
    pub(crate) fn lookup(&mut self, base: Path, path: &[u8], follow: Follow) -> Result<Path, Errno> {
        let (directory, last) = self.walk_to_last(base, path)?;
        let found = self.step_to_last(directory, last, follow)?;
        if last.has_slash && found.inode().kind() != FileKind::Directory {
            return Err(errno::ENOTDIR);
        }
        Ok(found)
    }

    /// Resolves all of `path` but its last component, which is not looked up.
    ///
    /// # Errors
    ///
    /// As [`Walker::lookup`].
    pub(crate) fn walk_to_last<'p>(&mut self, base: Path, path: &'p [u8]) -> Result<(Path, Last<'p>), Errno> {
        let mut at = base;
        let mut rest = skip_slashes(path);
        if path.is_empty() {
            return Err(errno::ENOENT);
        }
        if rest.len() < path.len() {
            at = self.jump_to_root(&at)?;
        }
        if rest.is_empty() {
            return Ok((at, Last { name: LastName::Root, has_slash: true }));
        }
        loop {
            let end = rest.iter().position(|byte| *byte == b'/').unwrap_or(rest.len());
            let (name, behind) = rest.split_at(end);
            let has_slash = !behind.is_empty();
            rest = skip_slashes(behind);
            if rest.is_empty() {
                let name = match name {
                    b"." => LastName::Dot,
                    b".." => LastName::DotDot,
                    _ => LastName::Normal(name),
                };
                return Ok((at, Last { name, has_slash }));
            }
            at = self.step(at, name, Follow::Yes)?;
        }
    }

    /// Resolves the last component of a path in its directory.
    ///
    /// # Errors
    ///
    /// As [`Walker::lookup`].
    pub(crate) fn step_to_last(
        &mut self,
        directory: Path,
        last: Last<'_>,
        follow: Follow,
    ) -> Result<Path, Errno> {
        let follow = if last.has_slash { Follow::Yes } else { follow };
        match last.name {
            LastName::Root => Ok(directory),
            LastName::Dot => self.step(directory, b".", follow),
            LastName::DotDot => self.step(directory, b"..", follow),
            LastName::Normal(name) => self.step(directory, name, follow),
        }
    }

    /// Checks that `name` can be looked up in `directory`.
    ///
    /// # Errors
    ///
    /// `ENOTDIR`, `EACCES`, `ENAMETOOLONG`.
    pub(crate) fn check_step(&self, directory: &Path, name: &[u8]) -> Result<(), Errno> {
        permission::check_search(&self.credentials, &**directory.inode())?;
        if name.len() > NAME_MAX { Err(errno::ENAMETOOLONG) } else { Ok(()) }
    }

    /// Goes from a directory to a dentry of it that was just looked up: over mount points.
    ///
    /// # Errors
    ///
    /// `EXDEV` if that is not allowed.
    pub(crate) fn enter(&self, found: Path) -> Result<Path, Errno> {
        if !found.dentry.may_be_mount_point() {
            return Ok(found);
        }
        let before = found.mount.id;
        let found = found.into_mounted();
        self.check_crossing(before, &found)?;
        Ok(found)
    }

    fn step(&mut self, directory: Path, name: &[u8], follow: Follow) -> Result<Path, Errno> {
        self.check_step(&directory, name)?;
        match name {
            b"." => return Ok(directory),
            b".." => return self.step_up(directory),
            _ => {}
        }
        let dentry = directory.dentry.lookup(name, &directory.mount.cache)?;
        if follow == Follow::Yes && dentry.inode().kind() == FileKind::Symlink {
            let link = directory.with_dentry(dentry);
            return self.follow(directory, &link);
        }
        self.enter(Path { mount: directory.mount, dentry })
    }

    fn step_up(&self, directory: Path) -> Result<Path, Errno> {
        match directory.parent(&self.root) {
            Some(parent) => {
                self.check_crossing(directory.mount.id, &parent)?;
                self.enter(parent)
            }
            None if self.resolve.contains(Resolve::BENEATH) && directory.is_same(&self.root) => {
                Err(errno::EXDEV)
            }
            None => Ok(directory),
        }
    }

    /// Follows the symbolic link `link` of `directory`.
    ///
    /// # Errors
    ///
    /// `ELOOP` if it is one too many or not allowed; as [`Walker::lookup`].
    pub(crate) fn follow(&mut self, directory: Path, link: &Path) -> Result<Path, Errno> {
        match self.read(link)? {
            Target::Object(path) => Ok(path),
            Target::Path(path) => self.lookup(directory, &path, Follow::Yes),
        }
    }

    /// Reads a symbolic link that is to be followed.
    ///
    /// # Errors
    ///
    /// As [`Walker::follow`].
    pub(crate) fn read(&mut self, link: &Path) -> Result<Target, Errno> {
        self.links += 1;
        if self.links > MAX_LINKS || self.resolve.contains(Resolve::NO_SYMLINKS) {
            return Err(errno::ELOOP);
        }
        if let Some(target) = link.inode().magic_link(self.task) {
            if self.resolve.contains(Resolve::NO_MAGIC_LINKS) {
                return Err(errno::ELOOP);
            }
            if self.resolve.intersects(Resolve::BENEATH | Resolve::IN_ROOT) {
                return Err(errno::EXDEV);
            }
            let target = target?;
            self.check_crossing(link.mount.id, &target)?;
            return Ok(Target::Object(target));
        }
        let target = link.inode().read_link(self.task)?;
        if target.is_empty() { Err(errno::ENOENT) } else { Ok(Target::Path(target)) }
    }

    fn jump_to_root(&self, at: &Path) -> Result<Path, Errno> {
        if self.resolve.contains(Resolve::BENEATH) {
            return Err(errno::EXDEV);
        }
        self.check_crossing(at.mount.id, &self.root)?;
        Ok(self.root.clone())
    }

    fn check_crossing(&self, before: u32, now: &Path) -> Result<(), Errno> {
        if self.resolve.contains(Resolve::NO_CROSSING) && now.mount.id != before {
            return Err(errno::EXDEV);
        }
        Ok(())
    }
}

/// Where a symbolic link leads.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    /// To a path.
    Path(Vec<u8>),
    /// To an object, whatever its name.
    Object(Path),
}

fn skip_slashes(path: &[u8]) -> &[u8] {
    let start = path.iter().position(|byte| *byte != b'/').unwrap_or(path.len());
    path.get(start..).unwrap_or_default()
}
