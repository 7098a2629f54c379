//! The plan of `cloister-gofer`: the file server, whose root holds only what it serves.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::thread::CapabilitySet;

use super::plan::{HostLimits, Image, lift};
use super::{Binary, Bind, Identity, LaunchError, Plan, Root, idmap};

/// What the gofer serves and where it logs.
#[derive(Debug)]
pub struct Options<'a> {
    /// What it serves, each over a connection of its own.
    pub binds: Vec<Bind>,
    /// Where errors go, and the log if it has no file of its own.
    pub errors: BorrowedFd<'a>,
    /// Where the log goes.
    pub log: Option<BorrowedFd<'a>>,
    /// `text` or `json`.
    pub log_format: &'a str,
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub log_level: &'a str,
}

/// Makes the plan, and the kernel's ends of the connections in the order of the binds.
///
/// # Errors
///
/// The system's: no free descriptors.
pub fn plan(binary: Binary, options: Options<'_>) -> Result<(Plan, Vec<OwnedFd>), LaunchError> {
    let null = std::fs::File::open("/dev/null")
        .map_err(|source| LaunchError::System { action: "open /dev/null", source })?;
    let mut kernel_ends = Vec::new();
    let mut own_ends = Vec::new();
    let mut descriptors = vec![null.as_fd(), null.as_fd(), options.errors];
    descriptors.extend(options.log);
    let nr_files = descriptors.len();
    let mut arguments: Vec<String> =
        ["--log-level", options.log_level, "--log-format", options.log_format].map(Into::into).into();
    arguments.extend(["--log-fd".into(), (nr_files - 1).to_string()]);
    for (number, bind) in options.binds.iter().enumerate() {
        let (kernel_end, own_end) =
            socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
                .map_err(LaunchError::system("make a socket pair"))?;
        kernel_ends.push(kernel_end);
        own_ends.push(own_end);
        let access = if bind.readonly { ":ro" } else { "" };
        arguments.extend(["--serve".into(), format!("{}:/{number}{access}", number + nr_files)]);
    }
    descriptors.extend(own_ends.iter().map(AsFd::as_fd));
    let descriptors = lift(&descriptors)?;
    let (namespaces, identity) = user();
    let plan = Plan {
        name: "cloister-gofer",
        namespaces,
        identity,
        capabilities: capabilities(options.binds.iter().all(|bind| bind.readonly)),
        root: Root::new(options.binds),
        limits: HostLimits::default(),
        // It ends when nobody is left at the other ends of its connections.
        die_with_parent: false,
        terminal: None,
        image: Image::new(binary, arguments)?,
        descriptors,
    };
    Ok((plan, kernel_ends))
}

/// What file access as the container's superuser needs; to read, passing by permissions is enough.
fn capabilities(readonly: bool) -> u64 {
    let mut kept = CapabilitySet::DAC_READ_SEARCH;
    if !readonly {
        kept |= CapabilitySet::CHOWN
            | CapabilitySet::DAC_OVERRIDE
            | CapabilitySet::FOWNER
            | CapabilitySet::FSETID
            | CapabilitySet::SETFCAP;
    }
    kept.bits()
}

/// Root's gofer stays root, so that files keep their owners; another user's is root of a namespace that maps it to the
/// user.
fn user() -> (u64, Identity) {
    let mut flags =
        libc::CLONE_NEWPID | libc::CLONE_NEWNS | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS | libc::CLONE_NEWNET;
    let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
    if !uid.is_root() {
        flags |= libc::CLONE_NEWUSER;
    }
    let identity =
        Identity { inside: 0, uid: uid.as_raw(), gid: gid.as_raw(), privileged: idmap::may_map(0) };
    (u64::try_from(flags).expect("the flags are positive"), identity)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_get_one_capability() {
        assert_eq!(capabilities(true), CapabilitySet::DAC_READ_SEARCH.bits());
        assert_eq!(capabilities(false).count_ones(), 6);
    }
}
