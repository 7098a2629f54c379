//! What a process gets, prepared before the fork.

use std::ffi::{CString, c_char};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr;
use std::sync::Arc;

use rustix::io::fcntl_dupfd_cloexec;

use super::{Binary, LaunchError};
use crate::cgroup::Membership;

/// What a process gets.
#[derive(Debug)]
pub struct Plan {
    /// What the process is called in errors.
    pub(super) name: &'static str,
    /// `CLONE_NEW*` flags.
    pub(super) namespaces: u64,
    /// Ids inside and outside.
    pub(super) identity: Identity,
    /// Root file system.
    pub(super) root: Root,
    /// Capabilities that stay in the bounding, permitted and effective sets, as a mask.
    pub(super) capabilities: u64,
    /// What the host limits the process by.
    pub limits: HostLimits,
    /// Whether the process is killed when the thread that started it ends.
    pub(super) die_with_parent: bool,
    /// What becomes the controlling terminal of its session, if it is to have one.
    pub terminal: Option<OwnedFd>,
    /// The program with its arguments.
    pub(super) image: Image,
    /// Descriptor N of the process is the Nth of these. They are all above the numbers that they go to, see [`lift`].
    pub(super) descriptors: Vec<OwnedFd>,
}

/// What the host's kernel limits a process by.
#[derive(Clone, Debug, Default)]
pub struct HostLimits {
    /// The control group that the process is in from its first instruction.
    pub group: Option<Arc<Membership>>,
    /// Its `/proc/PID/oom_score_adj`; ours if there is none, or it may not be set.
    pub oom_score_adj: Option<i32>,
}

/// Ids of a process in its user namespace, and what they are outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// User and group id inside.
    pub inside: u32,
    /// User id outside.
    pub uid: u32,
    /// Group id outside.
    pub gid: u32,
    /// Whether we may map ids that are not ours: we have `CAP_SETUID` and `CAP_SETGID`.
    pub privileged: bool,
}

/// The root file system of a process: a tmpfs that is read-only once it is built.
#[derive(Debug, Default)]
pub struct Root {
    /// What is bound into it: entry N at `/N`.
    pub binds: Vec<Bind>,
}

/// A folder or file of the host that is bound into the root.
#[derive(Debug)]
pub struct Bind {
    /// Where it is on the host.
    pub source: CString,
    /// Whether the mount is read-only.
    pub readonly: bool,
    /// Whether later mounts of the host appear below it (`rslave`); they do not otherwise (`rprivate`).
    pub follow_mounts: bool,
    /// Whether it is a folder.
    pub folder: bool,
    /// Names in it that are covered with empty folders, if they exist: the host's `/proc`, for one.
    pub covered: Vec<CString>,
    /// `N`, the name in the root.
    pub(super) target: CString,
    /// `N/NAME` for each covered name.
    pub(super) covers: Vec<CString>,
}

impl Bind {
    /// A bind of `source` without extras.
    #[must_use]
    pub fn new(source: CString, folder: bool, readonly: bool) -> Self {
        let (target, covers) = (CString::default(), Vec::new());
        Self { source, readonly, follow_mounts: false, folder, covered: Vec::new(), target, covers }
    }
}

impl Root {
    /// Gives the binds their names. The path of entry N is `/N`.
    #[must_use]
    pub fn new(mut binds: Vec<Bind>) -> Self {
        for (number, bind) in binds.iter_mut().enumerate() {
            let target = number.to_string().into_bytes();
            bind.covers = bind
                .covered
                .iter()
                .map(|name| {
                    let path = [&target, &b"/"[..], name.as_bytes()].concat();
                    CString::new(path).expect("the parts have no NUL")
                })
                .collect();
            bind.target = CString::new(target).expect("digits have no NUL");
        }
        Self { binds }
    }
}

/// A program ready to be executed, with the arrays of pointers that `execveat` takes.
///
/// The strings are on the heap and never change, so the pointers stay good when the value moves.
#[derive(Debug)]
pub(super) struct Image {
    pub(super) program: OwnedFd,
    argv: Vec<*const c_char>,
    envp: [*const c_char; 1],
    _strings: Vec<CString>,
}

impl Image {
    /// Prepares `binary` with `arguments`, the name of the program excluded, and an empty environment.
    pub(super) fn new(binary: Binary, arguments: Vec<String>) -> Result<Self, LaunchError> {
        let strings = [binary.name.to_owned()]
            .into_iter()
            .chain(arguments)
            .map(|text| {
                CString::new(text)
                    .map_err(|_| LaunchError::Argument { name: binary.name, what: "has a NUL byte" })
            })
            .collect::<Result<Vec<_>, _>>()?;
        let argv = strings.iter().map(|string| string.as_ptr()).chain([ptr::null()]).collect();
        Ok(Self { program: binary.file, argv, envp: [ptr::null()], _strings: strings })
    }

    /// The arguments, ended by a null pointer.
    pub(super) fn argv(&self) -> *const *const c_char {
        self.argv.as_ptr()
    }

    /// The environment, ended by a null pointer.
    pub(super) fn envp(&self) -> *const *const c_char {
        self.envp.as_ptr()
    }
}

/// Duplicates descriptors to numbers above all that they will have in the process, so that putting them into place
/// overwrites none of them.
pub(super) fn lift(descriptors: &[BorrowedFd<'_>]) -> Result<Vec<OwnedFd>, LaunchError> {
    descriptors.iter().map(|descriptor| lift_one(descriptor.as_fd(), descriptors.len())).collect()
}

/// Duplicates a descriptor to a number that is not below `count`.
pub(super) fn lift_one(descriptor: BorrowedFd<'_>, count: usize) -> Result<OwnedFd, LaunchError> {
    let floor = i32::try_from(count).unwrap_or(i32::MAX);
    fcntl_dupfd_cloexec(descriptor, floor).map_err(LaunchError::system("duplicate descriptors"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binds_are_named_by_their_number() {
        let mut second = Bind::new(c"/b".into(), true, true);
        second.covered = vec![c"proc".into()];
        let root = Root::new(vec![Bind::new(c"/a".into(), true, false), second]);
        assert_eq!(root.binds[0].target.as_c_str(), c"0");
        assert_eq!(root.binds[1].target.as_c_str(), c"1");
        assert_eq!(root.binds[1].covers, [CString::from(c"1/proc")]);
    }
}
