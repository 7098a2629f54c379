//! How the process gives up what it does not need.
//!
//! The runtime starts the gofer in namespaces of its own, in a root that holds only what it serves, with file capabilities
//! only. Here it takes the rest away, and whoever starts it by hand gets what it can do by itself: [`enter_root`], the
//! capabilities, and the system call filter.

mod capabilities;
mod filter;
mod limits;

use std::path::Path;

pub use capabilities::keep_file_capabilities;
pub use filter::{FilterError, Rule, install, rules};
pub use limits::raise_descriptor_limit;

/// Makes `root` the root directory, to which no descriptor of a directory outside may be open.
pub fn enter_root(root: &Path) -> rustix::io::Result<()> {
    rustix::process::chroot(root)?;
    rustix::process::chdir("/")
}
