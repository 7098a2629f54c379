//! What went wrong, as the control protocol tells it.

use std::fmt::Display;

use cloister_proto::control::{ErrorKind, Failure};

use crate::error::Errno;

/// The result of a step.
pub(super) type Result<T> = std::result::Result<T, Failure>;

/// Something can't be saved.
pub(super) fn unsupported(what: impl Display) -> Failure {
    Failure::new(ErrorKind::Unsupported, format!("can't save {what}"))
}

/// The image makes no sense.
pub(super) fn damaged(what: impl Display) -> Failure {
    Failure::new(ErrorKind::InvalidArgument, format!("the image is damaged: {what}"))
}

/// A step failed with an error number.
pub(super) fn failed(what: impl Display, errno: Errno) -> Failure {
    Failure::new(ErrorKind::Os(errno.raw()), format!("{what}: {errno}"))
}

/// Returns a function that makes a failure of an error number.
pub(super) fn because<D: Display>(what: impl FnOnce() -> D) -> impl FnOnce(Errno) -> Failure {
    move |errno| failed(what(), errno)
}

/// Makes a failure of an error of the host.
pub(super) fn host(what: &str, errno: rustix::io::Errno) -> Failure {
    failed(what, Errno::from_raw(errno.raw_os_error()))
}
