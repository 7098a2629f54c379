//! The plan of `cloister-boot`: the sandbox's kernel, which gets nothing but its descriptors.

use std::os::fd::{AsFd, BorrowedFd};

use super::plan::{HostLimits, Image, lift, lift_one};
use super::{Binary, Identity, LaunchError, Plan, Root, idmap};

/// User and group id of the kernel, inside its user namespace and, when root starts it, outside as well: `nobody`.
pub const NOBODY: u32 = 65534;

/// What the kernel is told on its command line.
#[derive(Debug)]
pub struct Options<'a> {
    /// Id of the sandbox, for the log and process lists.
    pub id: &'a str,
    /// Listening control socket.
    pub control: BorrowedFd<'a>,
    /// Where panics and errors that end it go.
    pub errors: BorrowedFd<'a>,
    /// Where the log goes.
    pub log: BorrowedFd<'a>,
    /// How many bytes the log takes; `None` is without a limit.
    pub log_limit: Option<u64>,
    /// `text` or `json`.
    pub log_format: &'a str,
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub log_level: &'a str,
    /// How guest code is run; `None` leaves it to the kernel.
    pub platform: Option<&'a str>,
    /// How many names of files the kernel keeps in its cache; `None` leaves it to the kernel.
    pub dcache: Option<u32>,
    /// How many processors the guest sees; `None` is all.
    pub cpus: Option<u32>,
    /// How much memory the guest sees, in bytes; `None` is all.
    pub memory: Option<u64>,
    /// Which system calls are logged from the start: `all`, or names with commas between them.
    pub strace: Option<&'a str>,
    /// Where missing system calls are told.
    pub user_log: Option<BorrowedFd<'a>>,
    /// Where panics go as well.
    pub panic_log: Option<BorrowedFd<'a>>,
    /// The container's terminal, if it is nobody else's: the kernel passes the signals of its keys on.
    pub terminal: Option<BorrowedFd<'a>>,
}

/// Makes the plan.
///
/// # Errors
///
/// The system's: no free descriptors.
pub fn plan(binary: Binary, options: &Options<'_>) -> Result<Plan, LaunchError> {
    let null = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/null")
        .map_err(|source| LaunchError::System { action: "open /dev/null", source })?;
    let mut descriptors = vec![null.as_fd(), null.as_fd(), options.errors, options.control, options.log];
    let mut arguments: Vec<String> =
        ["--id", options.id, "--control-fd", "3", "--log-fd", "4"].map(Into::into).into();
    arguments.extend(["--log-format", options.log_format, "--log-level", options.log_level].map(Into::into));
    if let Some(limit) = options.log_limit {
        arguments.extend(["--log-limit".into(), limit.to_string()]);
    }
    if let Some(platform) = options.platform {
        arguments.extend(["--platform".into(), platform.into()]);
    }
    if let Some(bound) = options.dcache {
        arguments.extend(["--dcache".into(), bound.to_string()]);
    }
    if let Some(cpus) = options.cpus {
        arguments.extend(["--cpus".into(), cpus.to_string()]);
    }
    if let Some(memory) = options.memory {
        arguments.extend(["--memory".into(), memory.to_string()]);
    }
    if let Some(calls) = options.strace {
        arguments.push(format!("--strace={calls}"));
    }
    for (flag, log) in [("--user-log-fd", options.user_log), ("--panic-log-fd", options.panic_log)] {
        if let Some(log) = log {
            arguments.extend([flag.into(), descriptors.len().to_string()]);
            descriptors.push(log);
        }
    }
    if options.terminal.is_some() {
        arguments.push("--terminal-signals".into());
    }
    let descriptors = lift(&descriptors)?;
    Ok(Plan {
        name: "cloister-boot",
        namespaces: namespaces(),
        identity: identity(),
        root: Root::default(),
        capabilities: 0,
        limits: HostLimits::default(),
        // Until it is told to stay: who starts it may be killed before anybody else knows of it.
        die_with_parent: true,
        terminal: options.terminal.map(|terminal| lift_one(terminal, descriptors.len())).transpose()?,
        image: Image::new(binary, arguments)?,
        descriptors,
    })
}

fn namespaces() -> u64 {
    let flags = libc::CLONE_NEWUSER
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWNS
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWUTS
        | libc::CLONE_NEWNET;
    u64::try_from(flags).expect("the flags are positive")
}

/// Root's sandboxes run as nobody; another user's can run only as that user, as can those of a namespace's superuser
/// where there is no nobody.
fn identity() -> Identity {
    let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
    if idmap::may_map(NOBODY) {
        Identity { inside: NOBODY, uid: NOBODY, gid: NOBODY, privileged: true }
    } else {
        Identity { inside: NOBODY, uid: uid.as_raw(), gid: gid.as_raw(), privileged: false }
    }
}
