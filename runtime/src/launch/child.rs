//! The way from the fork to the program.
//!
//! Runs in the child, a copy of a process whose other threads may have held locks: nothing here allocates, locks or
//! panics; all is prepared in the [`Plan`].

use std::convert::Infallible;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, mkdirat, openat, statat};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags,
    UnmountFlags, fsconfig_create, fsconfig_set_string, fsmount, fsopen, mount_change, move_mount, open_tree,
    unmount,
};
use rustix::net::RecvFlags;
use rustix::process::{
    Resource, Rlimit, Signal, fchdir, getrlimit, ioctl_tiocsctty, pivot_root,
    set_parent_process_death_signal, setrlimit, setsid, umask,
};
use rustix::thread::{
    CapabilitySet, CapabilitySets, Gid, Uid, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_no_new_privs, set_thread_groups,
    set_thread_res_gid, set_thread_res_uid,
};

use super::plan::{Bind, Identity, Plan, Root};
use super::sys;

/// Most binds of one root: their descriptors are kept on the stack.
pub(super) const MAX_BINDS: usize = 48;

/// What the child was doing when it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Step {
    Sync,
    Group,
    Propagation,
    OpenBind,
    Attributes,
    Root,
    Target,
    Attach,
    Cover,
    Pivot,
    Hostname,
    Session,
    Terminal,
    Ids,
    Limits,
    Capabilities,
    ParentDeath,
    Descriptors,
    Execute,
}

/// A failure as it travels to the parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) step: Step,
    /// Which bind it was, for the steps that deal with them.
    pub(super) bind: u8,
    pub(super) errno: i32,
}

impl Step {
    const ALL: [Self; 19] = [
        Self::Sync,
        Self::Group,
        Self::Propagation,
        Self::OpenBind,
        Self::Attributes,
        Self::Root,
        Self::Target,
        Self::Attach,
        Self::Cover,
        Self::Pivot,
        Self::Hostname,
        Self::Session,
        Self::Terminal,
        Self::Ids,
        Self::Limits,
        Self::Capabilities,
        Self::ParentDeath,
        Self::Descriptors,
        Self::Execute,
    ];

    /// What the step does, to stand behind "cannot".
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Sync => "hear from the parent",
            Self::Group => "join its control group",
            Self::Propagation => "cut its mounts off from the host's",
            Self::OpenBind => "open what it serves",
            Self::Attributes => "set the mount's attributes",
            Self::Root => "make its root file system",
            Self::Target => "make a mount point",
            Self::Attach => "mount what it serves",
            Self::Cover => "cover a folder of the host",
            Self::Pivot => "change its root",
            Self::Hostname => "set its host name",
            Self::Session => "start a session",
            Self::Terminal => "take its terminal",
            Self::Ids => "change its user and groups",
            Self::Limits => "set its limits",
            Self::Capabilities => "drop its capabilities",
            Self::ParentDeath => "tie its life to the parent's",
            Self::Descriptors => "arrange its descriptors",
            Self::Execute => "execute the program",
        }
    }

    /// Whether [`Failure::bind`] says what the step failed on.
    pub(super) fn concerns_bind(self) -> bool {
        matches!(self, Self::OpenBind | Self::Attributes | Self::Target | Self::Attach | Self::Cover)
    }

    fn fails(self, bind: usize) -> impl FnOnce(Errno) -> Failure {
        move |errno| Failure {
            step: self,
            bind: u8::try_from(bind).unwrap_or(u8::MAX),
            errno: errno.raw_os_error(),
        }
    }

    fn failed(self) -> impl FnOnce(Errno) -> Failure {
        self.fails(0)
    }
}

impl Failure {
    pub(super) const SIZE: usize = 6;

    pub(super) fn to_bytes(self) -> [u8; Self::SIZE] {
        let [a, b, c, d] = self.errno.to_le_bytes();
        [self.step as u8, self.bind, a, b, c, d]
    }

    pub(super) fn from_bytes(bytes: [u8; Self::SIZE]) -> Option<Self> {
        let [step, bind, a, b, c, d] = bytes;
        let step = Step::ALL.into_iter().find(|candidate| *candidate as u8 == step)?;
        Some(Self { step, bind, errno: i32::from_le_bytes([a, b, c, d]) })
    }
}

/// Follows the plan up to its program.
pub(super) fn run(plan: &Plan, sync: BorrowedFd<'_>) -> Result<Infallible, Failure> {
    // A foreground parent has signals blocked that are its own to read.
    nix::sys::signal::SigSet::empty().thread_set_mask().map_err(|_| Step::Sync.failed()(Errno::INVAL))?;
    hear(sync)?;
    for tasks in plan.limits.group.iter().flat_map(|group| &group.tasks) {
        rustix::io::write(tasks, b"0").map_err(Step::Group.failed())?;
    }
    enter_root(&plan.root)?;
    rustix::system::sethostname(b"cloister").map_err(Step::Hostname.failed())?;
    setsid().map_err(Step::Session.failed())?;
    if let Some(terminal) = &plan.terminal {
        ioctl_tiocsctty(terminal).map_err(Step::Terminal.failed())?;
    }
    limit().map_err(Step::Limits.failed())?;
    become_user(plan).map_err(Step::Ids.failed())?;
    drop_capabilities(plan.capabilities).map_err(Step::Capabilities.failed())?;
    if plan.die_with_parent {
        die_with_parent(sync).map_err(Step::ParentDeath.failed())?;
    }
    umask(Mode::empty());
    for (number, descriptor) in plan.descriptors.iter().enumerate() {
        sys::place(descriptor, number).map_err(Step::Descriptors.failed())?;
    }
    sys::close_on_exec_from(plan.descriptors.len()).map_err(Step::Descriptors.failed())?;
    sys::execute(&plan.image).map_err(Step::Execute.failed())
}

/// Waits until the parent has written the id maps.
fn hear(sync: BorrowedFd<'_>) -> Result<(), Failure> {
    let mut word = [0];
    match rustix::io::retry_on_intr(|| rustix::io::read(sync, &mut word)) {
        Ok(1) => Ok(()),
        Ok(_) => Err(Step::Sync.failed()(Errno::PIPE)),
        Err(errno) => Err(Step::Sync.failed()(errno)),
    }
}

/// Makes the root and moves into it.
fn enter_root(root: &Root) -> Result<(), Failure> {
    mount_change("/", MountPropagationFlags::REC | MountPropagationFlags::DOWNSTREAM)
        .map_err(Step::Propagation.failed())?;

    // The sources are opened before the new root covers the old one: a recursive copy of `/` would hold it otherwise.
    let mut trees = [const { None }; MAX_BINDS];
    for (number, (bind, slot)) in root.binds.iter().zip(&mut trees).enumerate() {
        *slot = Some(open_bind(bind, number)?);
    }

    let attributes = safe_attributes();
    let new = fresh_tmpfs(attributes).map_err(Step::Root.failed())?;
    let on_top = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    move_mount(&new, c"", CWD, c"/", on_top).map_err(Step::Root.failed())?;
    fchdir(&new).map_err(Step::Root.failed())?;
    for (number, (bind, tree)) in root.binds.iter().zip(&trees).enumerate() {
        let Some(tree) = tree else { continue };
        make_target(bind).map_err(Step::Target.fails(number))?;
        move_mount(tree, c"", CWD, bind.target.as_c_str(), on_top).map_err(Step::Attach.fails(number))?;
        cover(bind).map_err(Step::Cover.fails(number))?;
    }
    let readonly = u64::from(MountAttrFlags::MOUNT_ATTR_RDONLY.bits());
    sys::set_mount_attributes(new.as_fd(), false, readonly, 0).map_err(Step::Root.failed())?;

    // The old root ends up on top of the new one, from where it is taken off.
    pivot_root(c".", c".").map_err(Step::Pivot.failed())?;
    unmount(c".", UnmountFlags::DETACH).map_err(Step::Pivot.failed())?;
    rustix::process::chdir(c"/").map_err(Step::Pivot.failed())
}

fn safe_attributes() -> MountAttrFlags {
    MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_NOEXEC
}

/// A mount of an empty file system in memory, not attached anywhere yet.
fn fresh_tmpfs(attributes: MountAttrFlags) -> Result<std::os::fd::OwnedFd, Errno> {
    let context = fsopen(c"tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(context.as_fd(), c"mode", c"0755")?;
    fsconfig_set_string(context.as_fd(), c"size", c"64k")?;
    fsconfig_create(context.as_fd())?;
    fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}

/// Copies the mounts of a source, with the attributes that they will have.
fn open_bind(bind: &Bind, number: usize) -> Result<std::os::fd::OwnedFd, Failure> {
    // Recursive in any case: without privileges, mounts cannot be had without those that cover parts of them.
    let flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
    let tree = open_tree(CWD, bind.source.as_c_str(), flags).map_err(Step::OpenBind.fails(number))?;
    let mut attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
    if bind.readonly {
        attributes |= MountAttrFlags::MOUNT_ATTR_RDONLY;
    }
    let propagation = if bind.follow_mounts { libc::MS_SLAVE } else { libc::MS_PRIVATE };
    sys::set_mount_attributes(tree.as_fd(), true, attributes.bits().into(), propagation)
        .map_err(Step::Attributes.fails(number))?;
    Ok(tree)
}

/// Makes the mount point of a bind in the current folder: of the same type as the source.
fn make_target(bind: &Bind) -> Result<(), Errno> {
    if bind.folder {
        return mkdirat(CWD, bind.target.as_c_str(), Mode::RWXU);
    }
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
    openat(CWD, bind.target.as_c_str(), flags, Mode::RUSR).map(drop)
}

/// Covers folders of a bind with empty ones.
fn cover(bind: &Bind) -> Result<(), Errno> {
    for path in &bind.covers {
        match statat(CWD, path.as_c_str(), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if stat.st_mode & libc::S_IFMT == libc::S_IFDIR => {}
            Ok(_) | Err(Errno::NOENT) => continue,
            Err(errno) => return Err(errno),
        }
        let empty = fresh_tmpfs(safe_attributes() | MountAttrFlags::MOUNT_ATTR_RDONLY)?;
        move_mount(&empty, c"", CWD, path.as_c_str(), MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?;
    }
    Ok(())
}

/// No core dumps, which would put guest memory on the host's disk; as many descriptors as allowed.
fn limit() -> Result<(), Errno> {
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    let descriptors = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: descriptors.maximum, maximum: descriptors.maximum })
}

fn become_user(plan: &Plan) -> Result<(), Errno> {
    let Identity { inside, privileged, .. } = plan.identity;
    if privileged {
        set_thread_groups(&[])?;
    }
    let (uid, gid) = (Uid::from_raw(inside), Gid::from_raw(inside));
    set_thread_res_gid(gid, gid, gid)?;
    set_thread_res_uid(uid, uid, uid)
}

/// Leaves only the capabilities of the mask, also to programs executed later.
fn drop_capabilities(kept: u64) -> Result<(), Errno> {
    clear_ambient_capability_set()?;
    for number in 0..64u32 {
        let capability = CapabilitySet::from_bits_retain(1 << number);
        if kept & capability.bits() == 0 {
            match remove_capability_from_bounding_set(capability) {
                Ok(()) => {}
                // The first number that this kernel does not know.
                Err(Errno::INVAL) => break,
                Err(errno) => return Err(errno),
            }
        }
    }
    let kept = CapabilitySet::from_bits_retain(kept);
    let inheritable = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: kept, permitted: kept, inheritable })?;
    set_no_new_privs(true)
}

/// Has the process killed when its parent ends, and makes sure that it has not ended before.
fn die_with_parent(sync: BorrowedFd<'_>) -> Result<(), Errno> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let mut word = [0u8];
    match rustix::net::recv(sync, &mut word, RecvFlags::PEEK | RecvFlags::DONTWAIT) {
        Err(Errno::AGAIN) => Ok(()),
        Ok(_) => Err(Errno::PIPE),
        Err(errno) => Err(errno),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_survive_the_way_to_the_parent() {
        for step in Step::ALL {
            let failure = Failure { step, bind: 7, errno: 13 };
            assert_eq!(Failure::from_bytes(failure.to_bytes()), Some(failure));
        }
        assert_eq!(Failure::from_bytes([99, 0, 0, 0, 0, 0]), None);
    }
}
