//! Opening, creating, reading and writing files.

use std::os::fd::OwnedFd;

use super::Client;
use super::attr::SetAttr;
use super::error::{ClientError, ProtocolError};
use super::fids::Fid;
use super::make::NewFile;
use crate::attr::Attr;
use crate::base::fsync::Tfsync;
use crate::base::lcreate::Tlcreate;
use crate::base::lopen::Tlopen;
use crate::base::read::Tread;
use crate::base::write::Twrite;
use crate::codec::Data;
use crate::ext::create_fd::TcreateFd;
use crate::ext::open_fd::TopenFd;
use crate::ext::syncfs::Tsyncfs;

/// An open file.
#[derive(Debug)]
pub enum Opened {
    /// The host's own descriptor.
    Host(OwnedFd),
    /// A fid to read and write by, from a server that cannot give descriptors. It is the caller's to clunk.
    Remote(Fid),
}

/// A file just created.
#[derive(Debug)]
pub struct Created {
    /// The fid for it.
    pub fid: Fid,
    /// Its attributes.
    pub attr: Attr,
    /// The open file.
    pub opened: Opened,
}

/// The bytes of a `Tread`, `Rread` or `Twrite` that are not contents, rounded up.
const IO_OVERHEAD: u32 = 32;

impl Client {
    /// Opens a regular file with Linux' open flags. `fid` stays as it is, and can be opened again.
    pub fn open(&mut self, fid: Fid, flags: u32) -> Result<Opened, ClientError> {
        if !self.has_extensions {
            return self.open_plainly(fid, flags).map(Opened::Remote);
        }
        let (_, fd) = self.call_with_fd(&TopenFd { fid: fid.0, flags })?;
        fd.map(Opened::Host).ok_or_else(|| self.broken(ProtocolError::NoDescriptor))
    }

    /// Opens a second fid for the file of `fid` by the standard's request.
    pub(super) fn open_plainly(&mut self, fid: Fid, flags: u32) -> Result<Fid, ClientError> {
        let open = self.walk_fid(fid, &[])?;
        if let Err(error) = self.call(&Tlopen { fid: open.0, flags }) {
            self.clunk(open)?;
            return Err(error);
        }
        Ok(open)
    }

    /// Creates a regular file in `dir`, which must not hold the name yet, and opens it with Linux' open flags.
    pub fn create(
        &mut self,
        dir: Fid,
        name: &[u8],
        flags: u32,
        new: NewFile,
    ) -> Result<Created, ClientError> {
        if !self.has_extensions {
            return self.create_plainly(dir, name, flags, new);
        }
        let fid = self.allocate()?;
        let NewFile { mode, uid, gid } = new;
        let request = TcreateFd { dfid: dir.0, newfid: fid.0, name, flags, mode, uid, gid };
        let (reply, fd) = self.call_for_fid(&request, fid)?;
        let attr = reply.attr;
        let fd = fd.ok_or_else(|| self.broken(ProtocolError::NoDescriptor))?;
        Ok(Created { fid, attr, opened: Opened::Host(fd) })
    }

    fn create_plainly(
        &mut self,
        dir: Fid,
        name: &[u8],
        flags: u32,
        new: NewFile,
    ) -> Result<Created, ClientError> {
        let open = self.walk_fid(dir, &[])?;
        let NewFile { mode, gid, .. } = new;
        let flags = flags | rustix::fs::OFlags::EXCL.bits();
        if let Err(error) = self.call(&Tlcreate { fid: open.0, name, flags, mode, gid }) {
            self.clunk(open)?;
            return Err(error);
        }
        let made = self.walk_made(dir, name, new);
        match made {
            Ok((fid, attr)) => Ok(Created { fid, attr, opened: Opened::Remote(open) }),
            Err(error) => {
                self.clunk(open)?;
                Err(error)
            }
        }
    }

    /// Gives a fid and the attributes of what was just made by a standard request, which has no field for the owner.
    pub(super) fn walk_made(
        &mut self,
        dir: Fid,
        name: &[u8],
        new: NewFile,
    ) -> Result<(Fid, Attr), ClientError> {
        let fid = self.walk_fid(dir, &[name])?;
        let result = self.getattr(fid).and_then(|attr| {
            if attr.uid == new.uid {
                return Ok(attr);
            }
            self.setattr(fid, &SetAttr { uid: Some(new.uid), ..SetAttr::default() })?;
            self.getattr(fid)
        });
        match result {
            Ok(attr) => Ok((fid, attr)),
            Err(error) => {
                self.clunk(fid)?;
                Err(error)
            }
        }
    }

    /// Reads from an open fid, at most what one message holds (`pread(2)`).
    pub fn read(&mut self, open: Fid, buffer: &mut [u8], offset: u64) -> Result<usize, ClientError> {
        let count = self.io_count(buffer.len());
        let data = self.call(&Tread { fid: open.0, offset, count })?.data.0;
        let Some(room) = buffer.get_mut(..data.len()) else {
            return Err(self.broken(ProtocolError::Mismatch));
        };
        room.copy_from_slice(data);
        Ok(room.len())
    }

    /// Writes to an open fid, at most what one message holds (`pwrite(2)`).
    pub fn write(&mut self, open: Fid, bytes: &[u8], offset: u64) -> Result<usize, ClientError> {
        let part = bytes.get(..self.io_count(bytes.len()) as usize).unwrap_or(bytes);
        let count = self.call(&Twrite { fid: open.0, offset, data: Data(part) })?.count as usize;
        if count > part.len() {
            return Err(self.broken(ProtocolError::Mismatch));
        }
        Ok(count)
    }

    /// Puts a file, open or not, to stable storage.
    pub fn fsync(&mut self, fid: Fid, only_data: bool) -> Result<(), ClientError> {
        let request = Tfsync { fid: fid.0, datasync: u32::from(only_data) };
        match self.call(&request) {
            // A standard server takes this request for open files only.
            Err(ClientError::Errno(_)) if !self.has_extensions => {}
            other => return other.map(|_| ()),
        }
        let open = self.open_plainly(fid, rustix::fs::OFlags::RDONLY.bits())?;
        let result = self.call(&Tfsync { fid: open.0, ..request }).map(|_| ());
        self.clunk(open)?;
        result
    }

    /// Puts all that was written to the file system of `fid` to stable storage (`syncfs(2)`). A standard server can do it for
    /// the one file only.
    pub fn syncfs(&mut self, fid: Fid) -> Result<(), ClientError> {
        if !self.has_extensions {
            return self.fsync(fid, false);
        }
        self.call(&Tsyncfs { fid: fid.0 })?;
        Ok(())
    }

    /// How many bytes of contents to move by one message.
    pub(super) fn io_count(&self, wanted: usize) -> u32 {
        u32::try_from(wanted).unwrap_or(u32::MAX).min(self.msize.saturating_sub(IO_OVERHEAD))
    }
}
