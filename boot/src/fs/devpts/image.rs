//! The saved form of an instance of devpts.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{DevptsOptions, Directory};
use crate::fs::{Attributes, reserve_device_number};
use crate::tty::Terminal;

/// The saved form of an instance of devpts: what it was mounted with, and the names of terminals.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DevptsImage {
    device: (u32, u32),
    options: DevptsOptions,
    /// The number, the id of the terminal, and the owner and the rights.
    pub(crate) names: Vec<(u32, u64, Attributes)>,
}

impl Directory {
    /// Returns the saved form; `id_of` tells the ids of terminals.
    pub(crate) fn to_image(&self, id_of: impl Fn(&Arc<dyn Terminal>) -> u64) -> DevptsImage {
        let name = |(index, terminal, attributes)| (index, id_of(&terminal), attributes);
        DevptsImage {
            device: self.devpts().device,
            options: self.devpts().options,
            names: self.terminals().into_iter().map(name).collect(),
        }
    }

    /// Makes the instance again; [`Directory::restore`] gives terminals their names.
    pub(crate) fn from_image(image: &DevptsImage) -> Arc<Self> {
        reserve_device_number(image.device);
        Self::with_device(image.options, image.device)
    }
}
