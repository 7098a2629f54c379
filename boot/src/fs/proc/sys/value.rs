//! What a value is, and how it is read and written.

use std::sync::Arc;

use crate::error::Errno;
use crate::fs::kernfs::Text;
use crate::kernel::{Kernel, Parameter, Parameters};
use crate::prelude::errno;
use crate::task::{Capabilities, Task};

/// A value of the kernel.
#[derive(Clone, Copy)]
pub(super) enum Value {
    /// It never changes.
    Fixed(&'static str),
    /// It is made when it is read.
    Made(fn(&Kernel) -> String),
    /// It can be set by who has this capability; text as read and as written.
    Settable(fn(&Task) -> String, fn(&Task, &[u8]) -> Result<(), Errno>, Capabilities),
    /// It is one or more numbers that can be set.
    Numbers(fn(&Parameters) -> &[Parameter]),
}

impl Value {
    /// Returns whether its file can be written.
    pub(super) fn is_settable(self) -> bool {
        matches!(self, Self::Settable(..) | Self::Numbers(_))
    }

    /// Returns the capability that is needed to set the value at `path`.
    fn capability(self, path: &str) -> Capabilities {
        match self {
            Self::Settable(_, _, capability) => capability,
            _ if path.starts_with("net/") => Capabilities::NET_ADMIN,
            _ => Capabilities::SYS_ADMIN,
        }
    }

    /// Returns its text, without the end of the line, as `task` sees it.
    pub(super) fn text(self, task: &Task) -> String {
        match self {
            Self::Fixed(text) => text.to_owned(),
            Self::Made(make) => make(task.kernel()),
            Self::Settable(get, ..) => get(task),
            Self::Numbers(numbers) => {
                let numbers = numbers(&task.kernel().parameters).iter();
                numbers.map(|number| number.get().to_string()).collect::<Vec<_>>().join("\t")
            }
        }
    }

    /// Sets it.
    ///
    /// # Errors
    ///
    /// `EINVAL` for what it can't be; `EPERM` if it can't be set.
    pub(super) fn set(self, task: &Task, text: &[u8]) -> Result<(), Errno> {
        match self {
            Self::Fixed(_) | Self::Made(_) => Err(errno::EPERM),
            Self::Settable(_, set, _) => set(task, text),
            Self::Numbers(numbers) => set_numbers(numbers(&task.kernel().parameters), text),
        }
    }
}

/// Sets numbers that are separated by white space; there may be fewer than there are parameters, which leaves the others.
fn set_numbers(parameters: &[Parameter], text: &[u8]) -> Result<(), Errno> {
    let text = str::from_utf8(text).map_err(|_| errno::EINVAL)?;
    let numbers = text.split_ascii_whitespace().map(str::parse).collect::<Result<Vec<u64>, _>>();
    let numbers = numbers.map_err(|_| errno::EINVAL)?;
    let fits = numbers.iter().zip(parameters).all(|(number, parameter)| parameter.can_be(*number));
    if !(1..=parameters.len()).contains(&numbers.len()) || !fits {
        return Err(errno::EINVAL);
    }
    for (number, parameter) in numbers.iter().zip(parameters) {
        parameter.set(*number);
    }
    Ok(())
}

/// The file of a value.
pub(super) struct SysText {
    pub(super) path: &'static str,
    pub(super) value: Value,
}

impl Text for SysText {
    fn read(&self, task: &Arc<Task>) -> Result<Vec<u8>, Errno> {
        let mut text = self.value.text(task);
        text.push('\n');
        Ok(text.into_bytes())
    }

    fn write(&self, task: &Arc<Task>, text: &[u8]) -> Result<(), Errno> {
        if !self.value.is_settable() || !task.credentials().has(self.value.capability(self.path)) {
            return Err(errno::EPERM);
        }
        self.value.set(task, text.trim_ascii_end())
    }
}

impl std::fmt::Debug for SysText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SysText").field("path", &self.path).finish_non_exhaustive()
    }
}
