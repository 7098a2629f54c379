//! Extended attributes in memory.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::Errno;
use crate::fs::XattrMode;
use crate::prelude::errno;

/// The most bytes that the names and values of an inode's attributes have together.
const MAX_BYTES: usize = 128 << 10;

/// The extended attributes of an inode.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Xattrs {
    values: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Xattrs {
    pub(super) fn get(&self, name: &[u8]) -> Result<Vec<u8>, Errno> {
        check_name(name)?;
        self.values.get(name).cloned().ok_or(errno::ENODATA)
    }

    pub(super) fn set(&mut self, name: &[u8], value: &[u8], mode: XattrMode) -> Result<(), Errno> {
        check_name(name)?;
        let values = &mut self.values;
        match (mode, values.contains_key(name)) {
            (XattrMode::Create, true) => return Err(errno::EEXIST),
            (XattrMode::Replace, false) => return Err(errno::ENODATA),
            _ => {}
        }
        let others = values.iter().filter(|(other, _)| *other != name);
        let used: usize = others.map(|(name, value)| name.len() + value.len()).sum();
        if used + name.len() + value.len() > MAX_BYTES {
            return Err(errno::ENOSPC);
        }
        values.insert(name.to_vec(), value.to_vec());
        Ok(())
    }

    pub(super) fn remove(&mut self, name: &[u8]) -> Result<(), Errno> {
        check_name(name)?;
        self.values.remove(name).map(drop).ok_or(errno::ENODATA)
    }

    pub(super) fn names(&self) -> Vec<Vec<u8>> {
        self.values.keys().cloned().collect()
    }
}

/// Checks that an attribute is of a namespace that tmpfs has (`xattr(7)`): there are no access control lists.
fn check_name(name: &[u8]) -> Result<(), Errno> {
    let namespaces: [&[u8]; 3] = [b"user.", b"trusted.", b"security."];
    if namespaces.iter().any(|namespace| name.starts_with(namespace)) {
        Ok(())
    } else {
        Err(errno::EOPNOTSUPP)
    }
}
