//! A whole configuration.

use std::path::{Component, Path, PathBuf};

use cloister_proto::ByteString;
use cloister_proto::container::{
    ContainerSpec, DeviceSpec, FirstProcess, Limits, Namespaces, Network, Overlay, RootSpec,
};
use oci_spec::runtime::{Linux, LinuxDevice, LinuxDeviceType, LinuxNamespaceType, Spec};
use rustix::fs::{Mode, OFlags, ResolveFlags, open, openat2};
use tracing::warn;

use super::{Bundle, BundleError, Pod, attributes, mounts, pod, process, seccomp, unsupported};
use crate::launch::Bind;

/// What a sandbox is started with.
#[derive(Debug)]
pub struct Prepared {
    /// What the kernel is given.
    pub spec: ContainerSpec,
    /// What the gofer serves: the root, then the bind mounts in order.
    pub binds: Vec<Bind>,
}

/// Checks a bundle and reduces it to what a sandbox is started with, or what a container that joins the sandbox `pod` is.
///
/// # Errors
///
/// Fields that are missing, make no sense, or name what is not there.
pub fn prepare(bundle: &Bundle, overlay: Overlay, pod: Option<&Pod>) -> Result<Prepared, BundleError> {
    let spec = &bundle.spec;
    let process = spec.process().as_ref().ok_or_else(|| BundleError::field("process", "is missing"))?;
    unsupported::check(spec)?;
    let mut process = process::convert(process, "process")?;
    process.personality = attributes::personality(spec.linux().as_ref())?;
    let readonly = spec.root().as_ref().and_then(|root| root.readonly()).unwrap_or(false);
    let rootfs = rootfs_path(bundle)?;
    let overlay = if readonly && !has_mount_points(&rootfs, spec) {
        // The mount points have to be made somewhere, but not in a root that is not to be written.
        Overlay::Memory { size: None }
    } else {
        overlay
    };
    // Under an overlay in memory nothing is written through, whatever the guest does.
    let serve_readonly = readonly || overlay != Overlay::None;
    let mut binds = vec![mounts::host_bind(&rootfs, "root.path", serve_readonly)?];
    let mut all = Vec::new();
    for (number, mount) in spec.mounts().iter().flatten().enumerate() {
        let converted = mounts::convert(mount, number, &bundle.path)?;
        binds.extend(converted.bind);
        all.push(converted.mount);
    }
    let linux = spec.linux().as_ref();
    let namespaces = match (pod, linux) {
        (Some(pod), linux) => pod.namespaces(linux)?,
        (None, Some(linux)) => pod::own_namespaces(linux)?,
        (None, None) => Namespaces::default(),
    };
    let spec = ContainerSpec {
        process,
        hostname: text(spec.hostname().as_ref()),
        domainname: text(spec.domainname().as_ref()),
        root: RootSpec { readonly, overlay },
        mounts: all,
        devices: devices(linux)?,
        masked_paths: paths(linux.and_then(|linux| linux.masked_paths().as_ref())),
        readonly_paths: paths(linux.and_then(|linux| linux.readonly_paths().as_ref())),
        sysctl: sysctl(linux),
        seccomp: seccomp::convert(linux)?,
        limits: limits(linux),
        usage_files: 0,
        network: if pod.is_some() { Network::None } else { network(spec) },
        first_process: FirstProcess::Init,
        namespaces,
    };
    Ok(Prepared { spec, binds })
}

/// The root's path. A relative one is relative to the bundle, and must not lead out of it.
fn rootfs_path(bundle: &Bundle) -> Result<PathBuf, BundleError> {
    let root = bundle.spec.root().as_ref().ok_or_else(|| BundleError::field("root", "is missing"))?;
    let path = root.path();
    if path.is_absolute() {
        return Ok(path.clone());
    }
    if leads_out(path) {
        return Err(BundleError::field(
            "root.path",
            format!("{path:?} leads out of the bundle; use an absolute path"),
        ));
    }
    Ok(bundle.path.join(path))
}

/// Whether the root has all places that are mounted on. Places below a mount may be that one's to make.
fn has_mount_points(rootfs: &Path, spec: &Spec) -> bool {
    let Ok(root) = open(rootfs, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()) else { return true };
    let exists = |path: &Path| {
        openat2(&root, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), ResolveFlags::IN_ROOT).is_ok()
    };
    spec.mounts().iter().flatten().all(|mount| exists(mount.destination()))
}

fn leads_out(path: &Path) -> bool {
    let mut depth = 0i64;
    path.components().any(|part| {
        match part {
            Component::ParentDir => depth -= 1,
            Component::Normal(_) => depth += 1,
            _ => {}
        }
        depth < 0
    })
}

fn text(text: Option<&String>) -> ByteString {
    text.map(|text| text.as_str().into()).unwrap_or_default()
}

fn paths(paths: Option<&Vec<String>>) -> Vec<ByteString> {
    paths.into_iter().flatten().map(|path| path.as_str().into()).collect()
}

fn sysctl(linux: Option<&Linux>) -> Vec<(ByteString, ByteString)> {
    let entries = linux.and_then(|linux| linux.sysctl().as_ref()).into_iter().flatten();
    let mut entries: Vec<(ByteString, ByteString)> =
        entries.map(|(name, value)| (name.as_str().into(), value.as_str().into())).collect();
    entries.sort();
    entries
}

fn network(spec: &Spec) -> Network {
    let namespaces = spec.linux().as_ref().and_then(|linux| linux.namespaces().as_ref());
    let network = namespaces.into_iter().flatten().find(|one| one.typ() == LinuxNamespaceType::Network);
    if network.is_none_or(|network| network.path().is_some()) {
        warn!(
            "linux.namespaces: the host's network is not available yet; the container gets a loopback device only"
        );
    }
    Network::None
}

fn limits(linux: Option<&Linux>) -> Limits {
    let resources = linux.and_then(|linux| linux.resources().as_ref());
    let memory =
        resources.and_then(|resources| resources.memory().as_ref()).and_then(|memory| memory.limit());
    let cpu = resources.and_then(|resources| resources.cpu().as_ref());
    let cpu_quota = cpu.and_then(|cpu| {
        let quota = cpu.quota().and_then(|quota| u64::try_from(quota).ok()).filter(|quota| *quota > 0)?;
        Some((quota, cpu.period().filter(|period| *period > 0).unwrap_or(100_000)))
    });
    let cpus = cpu_quota.and_then(|(quota, period)| u32::try_from(quota.div_ceil(period)).ok());
    let pids = resources.and_then(|resources| *resources.pids()).map(|pids| pids.limit());
    let pids = pids.and_then(|limit| u64::try_from(limit).ok()).filter(|limit| *limit > 0);
    Limits {
        cpus,
        pids,
        cpu_quota,
        memory: memory.and_then(|limit| u64::try_from(limit).ok()).filter(|limit| *limit > 0),
    }
}

fn devices(linux: Option<&Linux>) -> Result<Vec<DeviceSpec>, BundleError> {
    linux
        .and_then(|linux| linux.devices().as_ref())
        .into_iter()
        .flatten()
        .enumerate()
        .map(|(number, device)| convert_device(device, &format!("linux.devices[{number}]")))
        .collect()
}

fn convert_device(device: &LinuxDevice, field: &str) -> Result<DeviceSpec, BundleError> {
    let file_type = match device.typ() {
        LinuxDeviceType::C | LinuxDeviceType::U => libc::S_IFCHR,
        LinuxDeviceType::B => libc::S_IFBLK,
        LinuxDeviceType::P => libc::S_IFIFO,
        LinuxDeviceType::A => {
            return Err(BundleError::field(format!("{field}.type"), "\"a\" is no type of a node"));
        }
    };
    if !device.path().is_absolute() {
        return Err(BundleError::field(format!("{field}.path"), "must be an absolute path"));
    }
    let number = |number: i64| {
        u32::try_from(number)
            .map_err(|_| BundleError::field(field, format!("number {number} is out of range")))
    };
    Ok(DeviceSpec {
        path: device.path().as_path().into(),
        mode: file_type | device.file_mode().unwrap_or(0o666) & 0o7777,
        major: number(device.major())?,
        minor: number(device.minor())?,
        uid: device.uid().unwrap_or(0),
        gid: device.gid().unwrap_or(0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloister_proto::container::{MountKind, gofer_connections};
    use std::fs;

    fn prepared(config: &str, overlay: Overlay) -> Result<Prepared, String> {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("rootfs")).unwrap();
        fs::write(folder.path().join("config.json"), config).unwrap();
        let bundle = Bundle::load(folder.path()).unwrap();
        prepare(&bundle, overlay, None).map_err(|error| error.to_string())
    }

    fn config(fields: &str) -> String {
        format!(
            r#"{{"ociVersion": "1.0.2", "process": {{"cwd": "/", "args": ["a"], "user": {{"uid": 0, "gid": 0}}}}, {fields}}}"#
        )
    }

    #[test]
    fn binds_and_gofer_mounts_match() {
        let fields = r#""root": {"path": "rootfs"}, "hostname": "h",
            "mounts": [{"destination": "/proc", "type": "proc"},
                       {"destination": "/b", "type": "bind", "source": "rootfs"}],
            "linux": {"resources": {"memory": {"limit": 1048576}, "cpu": {"quota": 150000, "period": 100000}},
                      "devices": [{"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 438}]}"#;
        let prepared = prepared(&config(fields), Overlay::None).unwrap();
        assert_eq!(prepared.binds.len(), gofer_connections(&prepared.spec));
        assert!(matches!(prepared.spec.mounts[1].kind, MountKind::Gofer { .. }));
        assert_eq!(
            prepared.spec.limits,
            Limits { cpus: Some(2), memory: Some(1 << 20), pids: None, cpu_quota: Some((150_000, 100_000)) }
        );
        assert_eq!(prepared.spec.devices[0].mode, libc::S_IFCHR | 0o666);
        assert!(!prepared.binds[0].readonly);
    }

    #[test]
    fn an_overlay_makes_the_root_readonly_below() {
        let config = config(r#""root": {"path": "rootfs"}"#);
        let prepared = prepared(&config, Overlay::Memory { size: None }).unwrap();
        assert!(prepared.binds[0].readonly && !prepared.spec.root.readonly);
    }

    #[test]
    fn missing_mount_points_of_a_readonly_root_are_made_in_memory() {
        let proc = r#""mounts": [{"destination": "/proc", "type": "proc"}]"#;
        let overlay = |root: &str, mounts: &str| {
            let config = config(&format!(r#""root": {{"path": "{root}", "readonly": true}}, {mounts}"#));
            prepared(&config, Overlay::None).unwrap().spec.root
        };
        let memory = Overlay::Memory { size: None };
        assert_eq!(overlay("rootfs", proc), RootSpec { readonly: true, overlay: memory });
        assert_eq!(overlay("/", proc), RootSpec { readonly: true, overlay: Overlay::None });
        assert_eq!(overlay("rootfs", r#""mounts": []"#).overlay, Overlay::None);
    }

    #[test]
    fn nonsense_is_refused() {
        let cases = [
            (r#""hostname": "h""#, "root is missing"),
            (r#""root": {"path": "a/../../b"}"#, "leads out of the bundle"),
            (r#""root": {"path": "missing"}"#, "root.path: cannot open"),
            (
                r#""root": {"path": "rootfs"}, "linux": {"namespaces": [{"type": "pid", "path": "/proc/1/ns/pid"}]}"#,
                "cannot join the pid namespace",
            ),
        ];
        for (fields, expected) in cases {
            let error = prepared(&config(fields), Overlay::None).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
        let error = prepared(r#"{"ociVersion": "1.0.2"}"#, Overlay::None).unwrap_err();
        assert_eq!(error, "process is missing");
    }
}
