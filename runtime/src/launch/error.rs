//! Why a sandbox's process could not be started.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// A sandbox's process could not be started.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// A program of Cloister's is not where it should be.
    #[error(
        "cannot open {name} at {path}: {source}; install it beside `cloister`, or name it with --{flag} or {variable}"
    )]
    Binary {
        /// The program.
        name: &'static str,
        /// Where it was looked for.
        path: PathBuf,
        /// The flag that names it.
        flag: &'static str,
        /// The environment variable that names it.
        variable: &'static str,
        /// Why it cannot be opened.
        source: io::Error,
    },
    /// An argument cannot be passed on.
    #[error("cannot start {name}: an argument {what}")]
    Argument {
        /// The program.
        name: &'static str,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The system refused something on the way.
    #[error("cannot {action}: {source}")]
    System {
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// The namespaces cannot be made.
    #[error("cannot create the namespaces of {name}: {source}; {advice}")]
    Namespaces {
        /// The program.
        name: &'static str,
        /// Why they cannot be made.
        source: io::Error,
        /// What to do.
        advice: &'static str,
    },
    /// The child failed on its way to the program.
    #[error("cannot start {name}: cannot {step}: {source}")]
    Child {
        /// The program.
        name: &'static str,
        /// What failed.
        step: String,
        /// Why it failed.
        source: io::Error,
    },
    /// The child does not come to an end.
    #[error("cannot start {name}: nothing was heard of it for {} s", .after.as_secs())]
    TimedOut {
        /// The program.
        name: &'static str,
        /// How long was waited.
        after: Duration,
    },
}

impl LaunchError {
    /// Wraps the failure of a system call.
    pub(super) fn system(action: &'static str) -> impl FnOnce(rustix::io::Errno) -> Self {
        move |errno| Self::System { action, source: errno.into() }
    }
}
