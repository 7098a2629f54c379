//! Fields that a sandbox cannot keep: refused where a container would not be what its configuration says, and warned of
//! where it runs as well without.

use std::path::Path;

use oci_spec::runtime::{Hooks, Linux, LinuxIdMapping, Mount, Process, Spec};
use tracing::warn;

use super::BundleError;

/// The values of `linux.rootfsPropagation`.
const PROPAGATIONS: [&str; 8] =
    ["private", "rprivate", "rshared", "rslave", "runbindable", "shared", "slave", "unbindable"];

/// Looks through a configuration.
///
/// # Errors
///
/// The first field that is refused.
pub(super) fn check(spec: &Spec) -> Result<(), BundleError> {
    for (number, mount) in spec.mounts().iter().flatten().enumerate() {
        check_mount(mount, number)?;
    }
    if let Some(hooks) = spec.hooks() {
        check_hooks(hooks)?;
    }
    spec.linux().as_ref().map_or(Ok(()), check_linux)
}

/// Warns of the labels of a process: they are the host kernel's, which sees no process of the guest.
pub(super) fn warn_of_labels(process: &Process, field: &str) {
    let labels = [
        ("apparmorProfile", process.apparmor_profile(), "AppArmor"),
        ("selinuxLabel", process.selinux_label(), "SELinux"),
    ];
    for (name, label, module) in labels {
        if let Some(label) = label.as_ref().filter(|label| !label.is_empty() && *label != "unconfined") {
            warn!("{field}.{name}: {label:?} has no effect: the sandbox's kernel has no {module}");
        }
    }
}

fn check_mount(mount: &Mount, number: usize) -> Result<(), BundleError> {
    let has_option = |wanted| mount.options().iter().flatten().any(|option| option == wanted);
    let is_mapped = mount.uid_mappings().as_ref().is_some_and(|mappings| !mappings.is_empty())
        || mount.gid_mappings().as_ref().is_some_and(|mappings| !mappings.is_empty());
    if is_mapped || has_option("idmap") || has_option("ridmap") {
        let problem = "id-mapped mounts are not supported; change the owners of the files instead";
        return Err(BundleError::field(format!("mounts[{number}]"), problem));
    }
    Ok(())
}

/// Checks what the specification demands of hooks: absolute paths, and time-outs that are greater than zero.
fn check_hooks(hooks: &Hooks) -> Result<(), BundleError> {
    let all = [
        ("prestart", hooks.prestart()),
        ("createRuntime", hooks.create_runtime()),
        ("createContainer", hooks.create_container()),
        ("startContainer", hooks.start_container()),
        ("poststart", hooks.poststart()),
        ("poststop", hooks.poststop()),
    ];
    for (name, list) in all {
        for (number, hook) in list.iter().flatten().enumerate() {
            let bad =
                |field: &str, problem| BundleError::field(format!("hooks.{name}[{number}].{field}"), problem);
            if !hook.path().is_absolute() {
                return Err(bad("path", format!("{:?} must be an absolute path", hook.path())));
            }
            if hook.timeout().is_some_and(|timeout| timeout <= 0) {
                return Err(bad("timeout", "must be greater than zero".to_owned()));
            }
        }
    }
    Ok(())
}

fn check_linux(linux: &Linux) -> Result<(), BundleError> {
    if linux.time_offsets().as_ref().is_some_and(|offsets| !offsets.is_empty()) {
        let problem = "is not supported: a sandbox has the host's clocks";
        return Err(BundleError::field("linux.timeOffsets", problem));
    }
    if linux.net_devices().as_ref().is_some_and(|devices| !devices.is_empty()) {
        let problem = "is not supported: a sandbox has no devices of the host";
        return Err(BundleError::field("linux.netDevices", problem));
    }
    if let Some(propagation) = linux.rootfs_propagation().as_deref().filter(|value| !value.is_empty())
        && !PROPAGATIONS.contains(&propagation)
    {
        let problem = format!("{propagation:?} is not known: use one of {}", PROPAGATIONS.join(", "));
        return Err(BundleError::field("linux.rootfsPropagation", problem));
    }
    let without_effect = [
        ("mountLabel", linux.mount_label().is_some(), "the sandbox's kernel has no SELinux"),
        ("intelRdt", linux.intel_rdt().is_some(), "set it for the sandbox's control group"),
        ("memoryPolicy", linux.memory_policy().is_some(), "set it for the sandbox's control group"),
    ];
    for (name, mappings) in [("uidMappings", linux.uid_mappings()), ("gidMappings", linux.gid_mappings())] {
        let is_mapped = |one: &LinuxIdMapping| one.container_id() != one.host_id();
        if mappings.iter().flatten().any(is_mapped) {
            warn!("linux.{name} has no effect: files have the owners inside that they have on the host");
        }
    }
    for (name, is_there, why) in without_effect {
        if is_there {
            warn!("linux.{name} has no effect: {why}");
        }
    }
    for (name, path) in device_paths(linux) {
        if !path.is_absolute() {
            return Err(BundleError::field(name, format!("{path:?} must be an absolute path")));
        }
    }
    Ok(())
}

/// The paths of a container that must be absolute, with their fields.
fn device_paths(linux: &Linux) -> impl Iterator<Item = (String, &Path)> {
    let devices = linux.devices().iter().flatten().map(|device| device.path().as_path());
    let devices = devices.enumerate().map(|(number, path)| (format!("linux.devices[{number}].path"), path));
    let lists = [("maskedPaths", linux.masked_paths()), ("readonlyPaths", linux.readonly_paths())];
    let listed = lists.into_iter().flat_map(|(name, paths)| {
        let paths = paths.iter().flatten().map(Path::new).enumerate();
        paths.map(move |(number, path)| (format!("linux.{name}[{number}]"), path))
    });
    devices.chain(listed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_kept_is_refused() {
        let cases = [
            (r#""linux": {"timeOffsets": {"boottime": {"secs": 1}}}"#, Some("linux.timeOffsets")),
            (r#""linux": {"timeOffsets": {}}"#, None),
            (r#""linux": {"rootfsPropagation": "sideways"}"#, Some("linux.rootfsPropagation")),
            (r#""linux": {"rootfsPropagation": "rslave"}"#, None),
            (r#""hooks": {"poststop": [{"path": "/a"}, {"path": "a"}]}"#, Some("hooks.poststop[1].path")),
            (r#""hooks": {"prestart": [{"path": "/a", "timeout": 0}]}"#, Some("hooks.prestart[0].timeout")),
            (r#""linux": {"maskedPaths": ["/a", "b"]}"#, Some("linux.maskedPaths[1]")),
            (
                r#""linux": {"devices": [{"path": "a", "type": "c", "major": 1, "minor": 3}]}"#,
                Some("linux.devices[0].path"),
            ),
            (r#""mounts": [{"destination": "/a", "options": ["rbind", "idmap"]}]"#, Some("mounts[0]")),
            (
                r#""mounts": [{"destination": "/a", "uidMappings": [{"containerID": 0, "hostID": 1, "size": 1}]}]"#,
                Some("mounts[0]"),
            ),
        ];
        for (fields, refused) in cases {
            let spec = serde_json::from_str(&format!(r#"{{"ociVersion": "1.2.0", {fields}}}"#)).unwrap();
            let result = check(&spec).map_err(|error| error.to_string());
            match refused {
                None => assert_eq!(result, Ok(())),
                Some(field) => {
                    assert!(result.clone().is_err_and(|error| error.starts_with(field)), "{result:?}");
                }
            }
        }
    }
}
