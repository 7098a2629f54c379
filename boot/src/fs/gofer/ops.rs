//! What the virtual file system asks of a host file.

use std::any::Any;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use cloister_9p::client::{Created, Found, Make, NewFile, Opened};
use rustix::fs::{AtFlags, OFlags, RenameFlags, XattrFlags, makedev};

use super::attributes::{self, from_host};
use super::directory::OpenDirectory;
use super::file::HostFile;
use super::handles::HostAccess;
use super::inode::walk_errno;
use super::{GoferInode, Trust};
use crate::error::{Errno, Fail, fail};
use crate::fs::{
    Anchors, AttributeChange, Attributes, Change, DirectorySink, FileKind, FileOps, FileSystem, Inode,
    NameEntry, NewInode, NewInodeKind, OpenCx, RenameMode, XattrMode,
};
use crate::prelude::errno;
use crate::task::Task;

impl Inode for GoferInode {
    fn file_system(&self) -> Arc<dyn FileSystem> {
        Arc::clone(&self.file_system) as Arc<_>
    }

    fn kind(&self) -> FileKind {
        self.kind
    }

    fn attributes(&self) -> Result<Attributes, Errno> {
        Ok(attributes::to_attributes(&self.attr()?, self.kind, self.file_system.root_device()))
    }

    fn set_attributes(&self, change: &AttributeChange) -> Result<(), Errno> {
        let mut rest = *change;
        if let (FileKind::Regular, Some(size)) = (self.kind, change.size) {
            self.set_size(size)?;
            rest.size = None;
            if rest.modified == Some(Change::Now) {
                // Which the host has done with the size.
                rest.modified = None;
            }
        }
        if rest != AttributeChange::default() {
            let fid = self.fid()?;
            self.file_system.call(|client| client.setattr(fid, &attributes::to_request(&rest)))?;
            self.set_owner(rest.uid, rest.gid);
        }
        self.outdate();
        Ok(())
    }

    fn lookup(&self, name: &[u8]) -> Result<Arc<dyn Inode>, Errno> {
        self.find(name).map(|inode| inode as Arc<_>)
    }

    fn create(&self, name: &[u8], new: &NewInode) -> Result<Arc<dyn Inode>, Errno> {
        let dir = self.fid()?;
        let file = NewFile { mode: new.permissions, uid: new.uid, gid: new.gid };
        let node = |file_type, (major, minor)| Make::Node { file_type, rdev: makedev(major, minor) };
        let make = match &new.kind {
            NewInodeKind::Regular => return self.create_file(name, file).map(|inode| inode as Arc<_>),
            NewInodeKind::Directory => Make::Directory,
            NewInodeKind::Symlink(target) => Make::Symlink(target),
            NewInodeKind::CharDevice(major, minor) => node(FileKind::CharDevice.to_mode(), (*major, *minor)),
            NewInodeKind::BlockDevice(major, minor) => {
                node(FileKind::BlockDevice.to_mode(), (*major, *minor))
            }
            NewInodeKind::Fifo => node(FileKind::Fifo.to_mode(), (0, 0)),
            NewInodeKind::Socket => node(FileKind::Socket.to_mode(), (0, 0)),
        };
        let found = self.file_system.call(|client| client.make(dir, name, make, file))?;
        self.outdate();
        Ok(self.file_system.inode(found))
    }

    fn link(&self, name: &[u8], target: &Arc<dyn Inode>) -> Result<(), Errno> {
        let (dir, file) = (self.fid()?, of(target)?.fid()?);
        self.file_system.call(|client| client.link(dir, name, file))?;
        self.outdate();
        // The new name is one by which the file can be opened when the other has gone.
        self.find(name).map(drop)
    }

    fn unlink(&self, name: &[u8], victim: &Arc<dyn Inode>) -> Result<(), Errno> {
        self.remove(name, victim, AtFlags::empty())
    }

    fn remove_directory(&self, name: &[u8], victim: &Arc<dyn Inode>) -> Result<(), Errno> {
        self.remove(name, victim, AtFlags::REMOVEDIR)
    }

    fn rename(
        &self,
        name: &[u8],
        to: &Arc<dyn Inode>,
        to_name: &[u8],
        mode: RenameMode,
    ) -> Result<(), Errno> {
        let to = of(to)?;
        let flags = match mode {
            RenameMode::Replace => RenameFlags::empty(),
            RenameMode::NoReplace => RenameFlags::NOREPLACE,
            RenameMode::Exchange => RenameFlags::EXCHANGE,
        };
        let (from_dir, to_dir) = (self.fid()?, to.fid()?);
        self.file_system.call(|client| client.renameat((from_dir, name), (to_dir, to_name), flags.bits()))?;
        self.file_system.note_rename();
        self.outdate();
        to.outdate();
        if self.file_system.trust() == Trust::Exclusive {
            // It tells the new `changed` of what was moved. The rename is done, whatever comes of this.
            let _ = to.find(to_name);
            if mode == RenameMode::Exchange {
                let _ = self.find(name);
            }
        }
        Ok(())
    }

    fn read_link(&self, _task: &Task) -> Result<Vec<u8>, Errno> {
        self.target()
    }

    fn symlink_target(&self) -> Result<Vec<u8>, Errno> {
        self.target()
    }

    fn names(self: Arc<Self>) -> Result<Vec<NameEntry>, Errno> {
        if self.kind != FileKind::Directory {
            return Err(errno::ENOTDIR);
        }
        let mut names = Names(Vec::new());
        OpenDirectory::new(self).read(&mut 0, &mut names)?;
        Ok(names.0)
    }

    fn host_file(&self) -> Result<Arc<OwnedFd>, Errno> {
        self.host(HostAccess::Read)
    }

    fn open(self: Arc<Self>, cx: &OpenCx<'_>) -> Result<Box<dyn FileOps>, Fail> {
        match self.kind {
            FileKind::Directory => Ok(Box::new(OpenDirectory::new(self))),
            FileKind::Regular => {
                let access = if cx.flags.is_writable() { HostAccess::Write } else { HostAccess::Read };
                Ok(Box::new(self.open_file(access)?))
            }
            FileKind::Symlink => Err(errno::ELOOP.into()),
            _ => Err(fail(errno::ENXIO, "the host's devices, pipes and sockets can't be opened")),
        }
    }

    fn xattr(&self, name: &[u8]) -> Result<Vec<u8>, Errno> {
        if let Some(told) = self.missing_xattr(name) {
            return Err(told);
        }
        let fid = self.fid()?;
        let value = self.file_system.call(|client| client.getxattr(fid, name));
        // Each `execve` asks for a program's capabilities, which few have.
        if let (Err(told @ (errno::ENODATA | errno::EOPNOTSUPP)), Trust::Exclusive) =
            (&value, self.file_system.trust())
        {
            self.note_missing_xattr(name, *told);
        }
        value
    }

    fn set_xattr(&self, name: &[u8], value: &[u8], mode: XattrMode) -> Result<(), Errno> {
        let fid = self.fid()?;
        let flags = match mode {
            XattrMode::Any => XattrFlags::empty(),
            XattrMode::Create => XattrFlags::CREATE,
            XattrMode::Replace => XattrFlags::REPLACE,
        };
        self.file_system.call(|client| client.setxattr(fid, name, value, flags.bits()))?;
        self.outdate();
        Ok(())
    }

    fn xattr_names(&self) -> Result<Vec<Vec<u8>>, Errno> {
        let fid = self.fid()?;
        let names = self.file_system.call(|client| client.listxattr(fid))?;
        Ok(names.split(|&byte| byte == 0).filter(|name| !name.is_empty()).map(<[u8]>::to_vec).collect())
    }

    fn remove_xattr(&self, name: &[u8]) -> Result<(), Errno> {
        let fid = self.fid()?;
        self.file_system.call(|client| client.removexattr(fid, name))?;
        self.outdate();
        Ok(())
    }

    fn anchors(&self) -> &Anchors {
        &self.anchors
    }
}

impl GoferInode {
    /// Finds an entry of this directory.
    pub(super) fn find(&self, name: &[u8]) -> Result<Arc<Self>, Errno> {
        if let Some(known) = self.find_listed(name) {
            return known;
        }
        if self.file_system.trust() == Trust::Exclusive && self.note_look_up() {
            // A directory may be searched but not read: then each name is asked for.
            let _ = self.first_part();
            if let Some(known) = self.find_listed(name) {
                return known;
            }
        }
        let dir = self.fid()?;
        let is_ahead = self.file_system.trust() == Trust::Exclusive && self.file_system.ahead.is_worth_it();
        let mut walk = self.file_system.call(|client| {
            if is_ahead {
                client.walk_open(dir, &[name], OFlags::RDONLY.bits())
            } else {
                client.walk_attr(dir, &[name])
            }
        })?;
        let found = walk.found.pop().ok_or_else(|| walk_errno(walk.error))?;
        let inode = self.file_system.inode(found);
        if let Some(own) = self.file_system.known(self.id) {
            inode.note_origin(own, name);
        }
        if let Some(target) = walk.target {
            inode.set_target(target);
        }
        // A file that can't be read is found nevertheless.
        if let Some(Ok(host)) = walk.opened {
            inode.keep_reader_ahead(host);
        }
        Ok(inode)
    }

    /// Returns what this symbolic link holds.
    pub(super) fn target(&self) -> Result<Vec<u8>, Errno> {
        if self.kind != FileKind::Symlink {
            return Err(errno::EINVAL);
        }
        // A link is never changed, only replaced.
        if let Some(target) = &self.state.lock().target {
            return Ok(target.to_vec());
        }
        let fid = self.fid()?;
        let target = self.file_system.call(|client| client.readlink(fid))?;
        self.set_target(target.clone());
        Ok(target)
    }

    /// Opens this regular file.
    pub(super) fn open_file(self: Arc<Self>, access: HostAccess) -> Result<HostFile, Errno> {
        let host = self.host(access)?;
        match access {
            HostAccess::Read => self.keep_reader(&host),
            HostAccess::Write => self.file_system.keep_writer(None),
        }
        Ok(HostFile::new(self, host))
    }

    fn create_file(&self, name: &[u8], new: NewFile) -> Result<Arc<Self>, Errno> {
        let dir = self.fid()?;
        let flags = OFlags::RDWR.bits();
        let Created { fid, attr, opened } =
            self.file_system.call(|client| client.create(dir, name, flags, new))?;
        self.outdate();
        let inode = self.file_system.inode(Found { fid, attr });
        match opened {
            Opened::Host(host) => {
                let host = Arc::new(host);
                inode.state.lock().handles.set_writer(&host);
                inode.outdate();
                self.file_system.keep_writer(Some(host));
            }
            Opened::Remote(fid) => self.file_system.give_back([fid]),
        }
        Ok(inode)
    }

    fn remove(&self, name: &[u8], victim: &Arc<dyn Inode>, flags: AtFlags) -> Result<(), Errno> {
        let (dir, victim) = (self.fid()?, of(victim)?);
        // Without its name it could not be found any more.
        victim.fid()?;
        self.file_system.call(|client| client.unlinkat(dir, name, flags.bits()))?;
        self.outdate();
        victim.outdate();
        Ok(())
    }

    /// Changes the size by a descriptor, which the next open will want anyway.
    fn set_size(&self, size: u64) -> Result<(), Errno> {
        let host = self.host(HostAccess::Write)?;
        rustix::fs::ftruncate(&host, size).map_err(from_host)?;
        self.file_system.keep_writer(Some(host));
        Ok(())
    }
}

/// Returns the host file that an inode is.
///
/// # Errors
///
/// `EXDEV` if it is none.
fn of(inode: &Arc<dyn Inode>) -> Result<&GoferInode, Errno> {
    let inode: &dyn Any = &**inode;
    inode.downcast_ref().ok_or(errno::EXDEV)
}

/// Takes all names of a directory.
struct Names(Vec<NameEntry>);

impl DirectorySink for Names {
    fn entry(&mut self, inode: u64, _next: u64, kind: FileKind, name: &[u8]) -> bool {
        if name != b"." && name != b".." {
            self.0.push(NameEntry { name: name.to_vec(), inode, kind });
        }
        true
    }
}
