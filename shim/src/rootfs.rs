//! The mounts that make a container's root: containerd names them, the shim makes them.

use std::ffi::CString;
use std::fs;
use std::path::{Path, PathBuf};

use containerd_shim_protos::types::mount::Mount;
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MoveMountFlags, UnmountFlags, fsconfig_create,
    fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, mount_bind, mount_bind_recursive, mount_remount,
    move_mount, unmount as unmount_path,
};

use crate::error::ShimError;

/// A container's root that was mounted. Dropping it takes the mounts away again, unless it was [kept](Self::keep).
#[derive(Debug)]
pub(crate) struct Mounted(Option<PathBuf>);

impl Mounted {
    /// Lets the mounts stay.
    pub(crate) fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if let Some(target) = self.0.take() {
            // The failure that led here is what the user should see.
            let _ = unmount(&target);
        }
    }
}

/// Mounts `mounts` over each other at `target`.
pub(crate) fn mount(mounts: &[Mount], target: &Path) -> Result<Mounted, ShimError> {
    let mounted = Mounted((!mounts.is_empty()).then(|| target.to_owned()));
    for one in mounts {
        let place = match one.target.trim_start_matches('/') {
            "" => target.to_owned(),
            below if Path::new(below).components().any(|part| part == std::path::Component::ParentDir) => {
                return Err(ShimError::Request(format!("the mount at {below} leaves the container's root")));
            }
            below => target.join(below),
        };
        fs::create_dir_all(&place).map_err(ShimError::path("make", &place))?;
        mount_one(one, &place).map_err(|errno| ShimError::path("mount the root at", place)(errno.into()))?;
    }
    Ok(mounted)
}

/// Takes all mounts at `target` away; that there are none is no error.
pub(crate) fn unmount(target: &Path) -> Result<(), ShimError> {
    loop {
        match unmount_path(target, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW) {
            Ok(()) => {}
            // It is no mount, or not there.
            Err(Errno::INVAL | Errno::NOENT) => return Ok(()),
            Err(errno) => return Err(ShimError::path("unmount", target)(errno.into())),
        }
    }
}

fn mount_one(mount: &Mount, target: &Path) -> Result<(), Errno> {
    let options = Options::parse(&mount.options);
    if options.is_bind || mount.type_ == "bind" {
        return match options.is_recursive {
            true => mount_bind_recursive(&*mount.source, target),
            false => mount_bind(&*mount.source, target),
        }
        .and_then(|()| match options.flags.is_empty() {
            true => Ok(()),
            // A bind takes its flags only when it is there.
            false => mount_remount(target, options.flags | MountFlags::BIND, c""),
        });
    }
    let data = options.data.join(",");
    if data.len() < rustix::param::page_size() {
        let data = CString::new(data).map_err(|_| Errno::INVAL)?;
        return rustix::mount::mount(&*mount.source, target, &*mount.type_, options.flags, &*data);
    }
    mount_long(mount, &options, target)
}

/// Mounts with more options than fit the page that `mount(2)` takes: an overlay of many layers.
fn mount_long(mount: &Mount, options: &Options<'_>, target: &Path) -> Result<(), Errno> {
    let context = fsopen(&*mount.type_, FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(&context, "source", &*mount.source)?;
    for option in &options.data {
        match option.split_once('=') {
            // One at a time, as each value has a limit of its own (Linux 6.5; `overlayfs.rst`, "Multiple lower layers").
            Some(("lowerdir", layers)) => {
                for layer in layers.split(':') {
                    fsconfig_set_string(&context, "lowerdir+", layer)?;
                }
            }
            Some((name, value)) => fsconfig_set_string(&context, name, value)?,
            None => fsconfig_set_flag(&context, *option)?,
        }
    }
    fsconfig_create(&context)?;
    let mut attributes = MountAttrFlags::empty();
    for (flag, attribute) in [
        (MountFlags::RDONLY, MountAttrFlags::MOUNT_ATTR_RDONLY),
        (MountFlags::NODEV, MountAttrFlags::MOUNT_ATTR_NODEV),
        (MountFlags::NOEXEC, MountAttrFlags::MOUNT_ATTR_NOEXEC),
        (MountFlags::NOSUID, MountAttrFlags::MOUNT_ATTR_NOSUID),
        (MountFlags::NOATIME, MountAttrFlags::MOUNT_ATTR_NOATIME),
    ] {
        attributes.set(attribute, options.flags.contains(flag));
    }
    let made = fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?;
    move_mount(&made, "", rustix::fs::CWD, target, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
}

/// A mount's options.
#[derive(Debug, PartialEq, Eq)]
struct Options<'a> {
    flags: MountFlags,
    is_bind: bool,
    is_recursive: bool,
    /// Options of the file system.
    data: Vec<&'a str>,
}

impl<'a> Options<'a> {
    fn parse(options: &'a [String]) -> Self {
        let mut found =
            Self { flags: MountFlags::empty(), is_bind: false, is_recursive: false, data: Vec::new() };
        for option in options {
            match &**option {
                "bind" => found.is_bind = true,
                "rbind" => (found.is_bind, found.is_recursive) = (true, true),
                "ro" => found.flags |= MountFlags::RDONLY,
                "rw" => found.flags &= !MountFlags::RDONLY,
                "nodev" => found.flags |= MountFlags::NODEV,
                "noexec" => found.flags |= MountFlags::NOEXEC,
                "nosuid" => found.flags |= MountFlags::NOSUID,
                "noatime" => found.flags |= MountFlags::NOATIME,
                "relatime" => found.flags |= MountFlags::RELATIME,
                "sync" => found.flags |= MountFlags::SYNCHRONOUS,
                "defaults" | "async" | "dev" | "exec" | "suid" => {}
                other => found.data.push(other),
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_told_apart() {
        let list = ["rbind", "ro", "nosuid", "index=off", "lowerdir=/a:/b", "userxattr"].map(str::to_owned);
        let options = Options::parse(&list);
        assert!(options.is_bind && options.is_recursive);
        assert_eq!(options.flags, MountFlags::RDONLY | MountFlags::NOSUID);
        assert_eq!(options.data, ["index=off", "lowerdir=/a:/b", "userxattr"]);
    }

    #[test]
    fn roots_stay_in_their_place() {
        let folder = tempfile::tempdir().unwrap();
        let up =
            Mount { type_: "bind".into(), source: "/".into(), target: "../x".into(), ..Default::default() };
        assert!(mount(&[up], folder.path()).unwrap_err().to_string().contains("leaves"));
        unmount(&folder.path().join("missing")).unwrap();
        unmount(folder.path()).unwrap();
        mount(&[], folder.path()).unwrap().keep();
    }
}
