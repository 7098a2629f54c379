//! UTS namespaces (`uts_namespaces(7)`).

use cloister_sync::{Lock, class};
use serde::{Deserialize, Serialize};

use crate::error::Errno;
use crate::prelude::errno;

/// The longest name in bytes (`__NEW_UTS_LEN`).
const MAX_NAME: usize = 64;

/// The names of a UTS namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct UtsNames {
    /// The host name.
    pub(crate) host: Vec<u8>,
    /// The NIS domain name.
    pub(crate) domain: Vec<u8>,
}

/// A UTS namespace.
#[derive(Debug)]
pub(crate) struct UtsNamespace {
    names: Lock<UtsNames, { class::UTS }>,
}

impl UtsNamespace {
    /// Makes a namespace with these names, cut to what is allowed.
    pub(crate) fn new(mut names: UtsNames) -> Self {
        names.host.truncate(MAX_NAME);
        names.domain.truncate(MAX_NAME);
        Self { names: Lock::new(names) }
    }

    /// Returns the names.
    pub(crate) fn names(&self) -> UtsNames {
        self.names.lock().clone()
    }

    /// Sets the host name.
    ///
    /// # Errors
    ///
    /// `EINVAL` if it is longer than 64 bytes.
    pub(crate) fn set_host(&self, name: &[u8]) -> Result<(), Errno> {
        self.names.lock().host = checked(name)?;
        Ok(())
    }

    /// Sets the domain name.
    ///
    /// # Errors
    ///
    /// `EINVAL` if it is longer than 64 bytes.
    pub(crate) fn set_domain(&self, name: &[u8]) -> Result<(), Errno> {
        self.names.lock().domain = checked(name)?;
        Ok(())
    }
}

fn checked(name: &[u8]) -> Result<Vec<u8>, Errno> {
    if name.len() > MAX_NAME { Err(errno::EINVAL) } else { Ok(name.to_vec()) }
}
