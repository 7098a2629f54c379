//! Removing and renaming entries.

use super::Client;
use super::error::ClientError;
use super::fids::Fid;
use crate::base::renameat::Trenameat;
use crate::base::unlinkat::Tunlinkat;
use crate::ext::rename2::Trename2;

impl Client {
    /// Removes an entry (`unlinkat(2)`; flags 0 or `AT_REMOVEDIR`).
    pub fn unlinkat(&mut self, dir: Fid, name: &[u8], flags: u32) -> Result<(), ClientError> {
        self.call(&Tunlinkat { dirfid: dir.0, name, flags })?;
        Ok(())
    }

    /// Renames an entry (`renameat2(2)`). A standard server can do it without flags only, else it is `EINVAL`.
    pub fn renameat(&mut self, old: (Fid, &[u8]), new: (Fid, &[u8]), flags: u32) -> Result<(), ClientError> {
        let ((olddir, oldname), (newdir, newname)) = (old, new);
        let (olddirfid, newdirfid) = (olddir.0, newdir.0);
        if flags == 0 {
            self.call(&Trenameat { olddirfid, oldname, newdirfid, newname })?;
        } else if self.has_extensions {
            self.call(&Trename2 { olddirfid, oldname, newdirfid, newname, flags })?;
        } else {
            return Err(ClientError::Errno(rustix::io::Errno::INVAL.raw_os_error().cast_unsigned()));
        }
        Ok(())
    }
}
