//! `cloister features`: what this runtime can do, in the specification's form (`features.md`).

use std::process::ExitCode;

use clap::Args;
use cloister_runtime::bundle::mount_option_names;
use serde_json::json;

use super::print;

/// Print what this runtime supports as JSON
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cloister features | jq .linux")]
pub(crate) struct Features {}

impl Features {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let mut capabilities: Vec<_> = caps::all().iter().map(ToString::to_string).collect();
        capabilities.sort();
        let features = json!({
            "ociVersionMin": "1.0.0",
            "ociVersionMax": "1.3.0",
            "hooks": ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"],
            "mountOptions": mount_option_names(),
            "linux": {
                "namespaces": ["cgroup", "ipc", "mount", "network", "pid", "uts"],
                "capabilities": capabilities,
                "cgroup": { "v1": true, "v2": true, "systemd": false, "systemdUser": false, "rdma": false },
                "seccomp": { "enabled": false },
                "apparmor": { "enabled": false },
                "selinux": { "enabled": false },
                "intelRdt": { "enabled": false },
                "mountExtensions": { "idmap": { "enabled": false } },
            },
            "annotations": { "org.cloister.version": env!("CARGO_PKG_VERSION") },
        });
        print(serde_json::to_string_pretty(&features)? + "\n")?;
        Ok(ExitCode::SUCCESS)
    }
}
