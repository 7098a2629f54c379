//! OCI bundles: a folder with a `config.json`.
//!
//! The configuration is what container engines write by default: namespaces of its own, their set of capabilities, no new
//! privileges. It is built as plain JSON and not through the runtime's own types, so that it can disagree with them.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::place::TMPFS;
use crate::program::{Access, Bind, Program};

const CAPABILITIES: [&str; 14] = [
    "CAP_AUDIT_WRITE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_MKNOD",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_RAW",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
];

/// The configuration that runs the program on the root file system, with `binds` of the host.
pub fn config(program: &Program, binds: &[Bind], rootfs: &Path) -> Value {
    let namespaces = ["pid", "ipc", "uts", "mount", "network"].map(|kind| json!({ "type": kind }));
    let env: Vec<String> = program.environment().map(|(name, value)| format!("{name}={value}")).collect();
    let capabilities: Vec<&str> = CAPABILITIES.iter().chain(&program.capabilities).copied().collect();
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "terminal": false,
            "user": { "uid": 0, "gid": 0 },
            "args": program.args,
            "env": env,
            "cwd": program.cwd,
            "capabilities": { "bounding": capabilities, "effective": capabilities, "permitted": capabilities },
            "rlimits": [{ "type": "RLIMIT_NOFILE", "hard": 4096, "soft": 1024 }],
            "noNewPrivileges": false,
        },
        "root": { "path": rootfs, "readonly": program.root == Access::ReadOnly },
        "hostname": "box",
        "mounts": mounts(binds),
        "linux": { "namespaces": namespaces },
    })
}

fn mounts(binds: &[Bind]) -> Vec<Value> {
    let mount = |destination: &str, kind: &str, options: &[&str]| json!({ "destination": destination, "type": kind, "source": kind, "options": options });
    let mut mounts = vec![
        mount("/proc", "proc", &["nosuid", "noexec", "nodev"]),
        mount("/dev", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        mount(
            "/dev/pts",
            "devpts",
            &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        ),
        mount("/dev/shm", "tmpfs", &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
        mount("/sys", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
    ];
    mounts.extend(TMPFS.map(|path| mount(path, "tmpfs", &["nosuid", "nodev", "mode=1777"])));
    mounts.extend(binds.iter().map(|bind| {
        let access = if bind.access == Access::ReadOnly { "ro" } else { "rw" };
        json!({
            "destination": bind.inside,
            "type": "bind",
            "source": bind.host,
            "options": ["rbind", "rprivate", access],
        })
    }));
    mounts
}

/// Writes the configuration into a bundle's folder.
///
/// # Errors
/// When the file cannot be written.
pub fn write(bundle: &Path, config: &Value) -> Result<()> {
    let path = bundle.join("config.json");
    let text = serde_json::to_vec_pretty(config).context("cannot put the configuration in JSON")?;
    std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
}
