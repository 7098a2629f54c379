//! The mounts of a configuration.

use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use cloister_proto::container::{MountKind, MountSpec, Overlay};
use oci_spec::runtime::Mount;
use tracing::warn;

use super::BundleError;
use super::options::{Options, parse, parse_size};
use crate::launch::Bind;

/// A mount for the kernel, and what the gofer serves for it.
pub(super) struct Converted {
    pub(super) mount: MountSpec,
    pub(super) bind: Option<Bind>,
}

/// Checks mount number `number` and reduces it. Relative sources are relative to `bundle`.
pub(super) fn convert(mount: &Mount, number: usize, bundle: &Path) -> Result<Converted, BundleError> {
    let field = format!("mounts[{number}]");
    let destination = absolute(mount.destination(), &format!("{field}.destination"))?;
    let mut options = parse(mount.options().iter().flatten());
    let typ = mount.typ().as_deref().unwrap_or(if options.bind { "bind" } else { "" });
    let mut bind = None;
    let kind = if options.bind || typ == "bind" {
        bind = Some(bind_source(mount, &options, &field, bundle)?);
        MountKind::Gofer { overlay: Overlay::None, shared: true }
    } else {
        virtual_kind(typ, &destination, &mut options, &field)?
    };
    let spec = MountSpec {
        destination: destination.into(),
        kind,
        flags: options.flags,
        options: options.data.into_iter().map(Into::into).collect(),
    };
    Ok(Converted { mount: spec, bind })
}

/// Checks that a path inside the container is absolute, and takes `.` and `..` out of it.
fn absolute(path: &Path, field: &str) -> Result<PathBuf, BundleError> {
    if !path.is_absolute() {
        return Err(BundleError::field(field, format!("{path:?} must be an absolute path")));
    }
    let mut clean = PathBuf::from("/");
    for part in path.components() {
        match part {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => {
                if !clean.pop() {
                    return Err(BundleError::field(field, format!("{path:?} leads out of the root")));
                }
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    Ok(clean)
}

fn bind_source(mount: &Mount, options: &Options, field: &str, bundle: &Path) -> Result<Bind, BundleError> {
    let field = format!("{field}.source");
    let source =
        mount.source().as_ref().ok_or_else(|| BundleError::field(&field, "must name what is bound"))?;
    host_bind(&bundle.join(source), &field, options.flags & libc::MS_RDONLY != 0).map(|mut bind| {
        bind.follow_mounts = options.flags & (libc::MS_SLAVE | libc::MS_SHARED) != 0;
        bind
    })
}

/// A bind of a folder or file of the host, which must exist.
pub(crate) fn host_bind(path: &Path, field: &str, readonly: bool) -> Result<Bind, BundleError> {
    let missing = |source| BundleError::Missing { field: field.to_owned(), path: path.to_owned(), source };
    let path = fs::canonicalize(path).map_err(missing)?;
    let folder = fs::metadata(&path).map_err(missing)?.is_dir();
    let source = CString::new(path.as_os_str().as_bytes())
        .map_err(|_| BundleError::field(field, "must not contain NUL bytes"))?;
    Ok(Bind::new(source, folder, readonly))
}

/// The kinds of mount that the kernel has without the host.
fn virtual_kind(
    typ: &str,
    destination: &Path,
    options: &mut Options,
    field: &str,
) -> Result<MountKind, BundleError> {
    match typ {
        // What the specification calls a tmpfs on `/dev` is one that the runtime fills with devices.
        "tmpfs" | "devtmpfs" if destination == Path::new("/dev") => {
            options.data.clear();
            Ok(MountKind::Devtmpfs)
        }
        "tmpfs" => tmpfs(options, field),
        "proc" => Ok(MountKind::Proc),
        "sysfs" => Ok(MountKind::Sysfs),
        "devpts" => devpts(options, field),
        "mqueue" => Ok(MountKind::Mqueue),
        "cgroup" | "cgroup2" => Ok(MountKind::Cgroup),
        other => {
            let known = "bind, tmpfs, proc, sysfs, devpts, mqueue and cgroup";
            Err(BundleError::field(
                format!("{field}.type"),
                format!("{other:?} is not supported: use one of {known}"),
            ))
        }
    }
}

fn tmpfs(options: &mut Options, field: &str) -> Result<MountKind, BundleError> {
    let (mut size, mut mode, mut uid, mut gid) = (None, 0o1777, 0, 0);
    for option in std::mem::take(&mut options.data) {
        let bad = || {
            BundleError::field(format!("{field}.options"), format!("{option:?} has a value of wrong form"))
        };
        match option.split_once('=') {
            Some(("size", value)) => size = Some(parse_size(value, total_memory()).ok_or_else(bad)?),
            Some(("mode", value)) => mode = u32::from_str_radix(value, 8).map_err(|_| bad())? & 0o7777,
            Some(("uid", value)) => uid = value.parse().map_err(|_| bad())?,
            Some(("gid", value)) => gid = value.parse().map_err(|_| bad())?,
            _ => ignored(field, &option),
        }
    }
    Ok(MountKind::Tmpfs { size: size.filter(|size| *size > 0), mode, uid, gid })
}

fn devpts(options: &mut Options, field: &str) -> Result<MountKind, BundleError> {
    let (mut ptmxmode, mut mode, mut gid) = (0, 0o600, None);
    for option in std::mem::take(&mut options.data) {
        let bad = || {
            BundleError::field(format!("{field}.options"), format!("{option:?} has a value of wrong form"))
        };
        match option.split_once('=') {
            Some(("ptmxmode", value)) => ptmxmode = u32::from_str_radix(value, 8).map_err(|_| bad())? & 0o777,
            Some(("mode", value)) => mode = u32::from_str_radix(value, 8).map_err(|_| bad())? & 0o777,
            Some(("gid", value)) => gid = Some(value.parse().map_err(|_| bad())?),
            // Each mount is an instance of its own, as on Linux since 4.7.
            None if option == "newinstance" => {}
            _ => ignored(field, &option),
        }
    }
    Ok(MountKind::Devpts { ptmxmode, mode, gid })
}

fn ignored(field: &str, option: &str) {
    warn!("{field}.options: {option:?} is not known and is left out");
}

fn total_memory() -> u64 {
    let info = rustix::system::sysinfo();
    info.totalram.saturating_mul(info.mem_unit.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn converted(json: &str) -> Result<Converted, String> {
        let mount: Mount = serde_json::from_str(json).unwrap();
        convert(&mount, 3, Path::new("/")).map_err(|error| error.to_string())
    }

    #[test]
    fn the_specification_s_default_mounts_are_known() {
        for mount in oci_spec::runtime::get_default_mounts() {
            assert!(convert(&mount, 0, Path::new("/")).is_ok(), "{mount:?}");
        }
    }

    #[test]
    fn dev_is_filled_and_shm_is_not() {
        let dev = r#"{"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]}"#;
        let dev = converted(dev).unwrap().mount;
        assert_eq!((dev.kind, dev.flags, dev.options.len()), (MountKind::Devtmpfs, libc::MS_NOSUID, 0));
        let shm = r#"{"destination": "/dev/shm", "type": "tmpfs", "options": ["mode=1777", "size=65536k"]}"#;
        let kind = MountKind::Tmpfs { size: Some(64 << 20), mode: 0o1777, uid: 0, gid: 0 };
        assert_eq!(converted(shm).unwrap().mount.kind, kind);
    }

    #[test]
    fn binds_are_served() {
        let bind = r#"{"destination": "/x/../y", "source": "etc", "options": ["rbind", "ro"]}"#;
        let Converted { mount, bind } = converted(bind).unwrap();
        assert_eq!(mount.destination, "/y".into());
        let bind = bind.unwrap();
        assert_eq!((bind.source.as_c_str(), bind.readonly, bind.folder), (c"/etc", true, true));
    }

    #[test]
    fn nonsense_is_refused() {
        let cases = [
            (
                r#"{"destination": "x", "type": "proc"}"#,
                r#"mounts[3].destination "x" must be an absolute path"#,
            ),
            (
                r#"{"destination": "/../x", "type": "proc"}"#,
                r#"mounts[3].destination "/../x" leads out of the root"#,
            ),
            (
                r#"{"destination": "/x", "type": "ext4"}"#,
                r#"mounts[3].type "ext4" is not supported: use one of bind, tmpfs, proc, sysfs, devpts, mqueue and cgroup"#,
            ),
            (r#"{"destination": "/x", "type": "bind"}"#, "mounts[3].source must name what is bound"),
            (
                r#"{"destination": "/x", "type": "bind", "source": "/nonexistent"}"#,
                "mounts[3].source: cannot open /nonexistent: No such file or directory (os error 2)",
            ),
            (
                r#"{"destination": "/x", "type": "tmpfs", "options": ["size=big"]}"#,
                r#"mounts[3].options "size=big" has a value of wrong form"#,
            ),
        ];
        for (json, expected) in cases {
            assert_eq!(converted(json).map(|_| ()).unwrap_err(), expected);
        }
    }
}
