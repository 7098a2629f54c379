//! The configuration that others start from.

use oci_spec::OciSpecError;
use oci_spec::runtime::{
    Capability, LinuxBuilder, LinuxCapabilitiesBuilder, LinuxNamespaceBuilder, LinuxNamespaceType,
    PosixRlimitBuilder, PosixRlimitType, ProcessBuilder, RootBuilder, Spec, SpecBuilder, UserBuilder,
    get_default_maskedpaths, get_default_mounts, get_default_readonly_paths,
};

/// A configuration to start from: a shell with few capabilities, in namespaces of its own and a root that is read-only.
///
/// # Errors
///
/// None, as far as is known: a part of it is missing.
pub fn default_config() -> Result<Spec, OciSpecError> {
    let granted = [Capability::AuditWrite, Capability::Kill, Capability::NetBindService];
    let set = || granted.into_iter().collect::<std::collections::HashSet<_>>();
    let capabilities =
        LinuxCapabilitiesBuilder::default().bounding(set()).effective(set()).permitted(set()).build()?;
    let files = PosixRlimitBuilder::default()
        .typ(PosixRlimitType::RlimitNofile)
        .soft(1024u64)
        .hard(1024u64)
        .build()?;
    let env =
        ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"].map(String::from);
    let process = ProcessBuilder::default()
        .terminal(true)
        .user(UserBuilder::default().uid(0u32).gid(0u32).build()?)
        .args(vec!["sh".to_owned()])
        .env(env.to_vec())
        .cwd("/")
        .capabilities(capabilities)
        .rlimits(vec![files])
        .no_new_privileges(true)
        .build()?;
    let namespaces = [
        LinuxNamespaceType::Pid,
        LinuxNamespaceType::Network,
        LinuxNamespaceType::Ipc,
        LinuxNamespaceType::Uts,
        LinuxNamespaceType::Mount,
    ];
    let namespaces = namespaces
        .into_iter()
        .map(|typ| LinuxNamespaceBuilder::default().typ(typ).build())
        .collect::<Result<Vec<_>, _>>()?;
    let linux = LinuxBuilder::default()
        .namespaces(namespaces)
        .masked_paths(get_default_maskedpaths())
        .readonly_paths(get_default_readonly_paths())
        .build()?;
    SpecBuilder::default()
        .version("1.0.2")
        .process(process)
        .root(RootBuilder::default().path("rootfs").readonly(true).build()?)
        .hostname("cloister")
        .mounts(get_default_mounts())
        .linux(linux)
        .build()
}
