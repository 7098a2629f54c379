//! Extended attributes.

use super::Client;
use super::error::{ClientError, ProtocolError};
use super::fids::Fid;
use crate::base::xattrcreate::Txattrcreate;
use crate::base::xattrwalk::Txattrwalk;
use crate::codec::Data;
use crate::ext::getxattr::Tgetxattr;
use crate::ext::listxattr::Tlistxattr;
use crate::ext::removexattr::Tremovexattr;
use crate::ext::setxattr::Tsetxattr;

/// Linux' limit for a value and for a list of names (`xattr(7)`).
const XATTR_SIZE_MAX: u64 = 65536;

/// `XATTR_REPLACE` of `setxattr(2)`.
const XATTR_REPLACE: u32 = 2;

impl Client {
    /// The value of an attribute (`getxattr(2)`).
    pub fn getxattr(&mut self, fid: Fid, name: &[u8]) -> Result<Vec<u8>, ClientError> {
        if !self.has_extensions {
            return self.read_xattr(fid, name);
        }
        Ok(self.call(&Tgetxattr { fid: fid.0, name })?.value.0.to_vec())
    }

    /// The names of all attributes, each ended by a zero byte (`listxattr(2)`).
    pub fn listxattr(&mut self, fid: Fid) -> Result<Vec<u8>, ClientError> {
        if !self.has_extensions {
            return self.read_xattr(fid, b"");
        }
        Ok(self.call(&Tlistxattr { fid: fid.0 })?.names.0.to_vec())
    }

    /// Sets an attribute (`setxattr(2)`, whose flags these are).
    pub fn setxattr(&mut self, fid: Fid, name: &[u8], value: &[u8], flags: u32) -> Result<(), ClientError> {
        if !self.has_extensions {
            return self.write_xattr(fid, name, value, flags);
        }
        self.call(&Tsetxattr { fid: fid.0, name, value: Data(value), flags })?;
        Ok(())
    }

    /// Removes an attribute (`removexattr(2)`).
    pub fn removexattr(&mut self, fid: Fid, name: &[u8]) -> Result<(), ClientError> {
        if !self.has_extensions {
            return self.write_xattr(fid, name, b"", XATTR_REPLACE);
        }
        self.call(&Tremovexattr { fid: fid.0, name })?;
        Ok(())
    }

    fn read_xattr(&mut self, fid: Fid, name: &[u8]) -> Result<Vec<u8>, ClientError> {
        let value_fid = self.allocate()?;
        let request = Txattrwalk { fid: fid.0, newfid: value_fid.0, name };
        let (reply, _) = self.call_for_fid(&request, value_fid)?;
        let size = reply.size;
        if size > XATTR_SIZE_MAX {
            return Err(self.broken(ProtocolError::Mismatch));
        }
        let mut value = vec![0; usize::try_from(size).unwrap_or(0)];
        let result = self.read_exactly(value_fid, &mut value);
        self.clunk(value_fid)?;
        result.map(|()| value)
    }

    fn read_exactly(&mut self, fid: Fid, value: &mut [u8]) -> Result<(), ClientError> {
        let mut done = 0_usize;
        while let Some(rest) = value.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let count = self.read(fid, rest, done as u64)?;
            if count == 0 {
                return Err(self.broken(ProtocolError::Mismatch));
            }
            done = done.saturating_add(count);
        }
        Ok(())
    }

    fn write_xattr(&mut self, fid: Fid, name: &[u8], value: &[u8], flags: u32) -> Result<(), ClientError> {
        let value_fid = self.walk_fid(fid, &[])?;
        let request = Txattrcreate { fid: value_fid.0, name, attr_size: value.len() as u64, flags };
        let mut result = self.call(&request).map(|_| ());
        let mut rest = value;
        while result.is_ok() && !rest.is_empty() {
            let offset = value.len().saturating_sub(rest.len()) as u64;
            match self.write(value_fid, rest, offset) {
                Ok(0) => return Err(self.broken(ProtocolError::Mismatch)),
                Ok(count) => rest = rest.get(count..).unwrap_or_default(),
                Err(error) => result = Err(error),
            }
        }
        // The clunk is what sets the attribute.
        let clunked = self.clunk(value_fid);
        result.and(clunked)
    }
}
