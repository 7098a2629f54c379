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

/// What a profile of `linux.seccomp` can have.
fn seccomp() -> serde_json::Value {
    json!({
        "enabled": true,
        "actions": [
            "SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_LOG",
            "SCMP_ACT_TRACE", "SCMP_ACT_TRAP",
        ],
        "operators": [
            "SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_LE", "SCMP_CMP_LT", "SCMP_CMP_MASKED_EQ", "SCMP_CMP_NE",
        ],
        "archs": ["SCMP_ARCH_X86_64"],
        "knownFlags": ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW", "SECCOMP_FILTER_FLAG_TSYNC"],
        "supportedFlags": ["SECCOMP_FILTER_FLAG_LOG"],
    })
}

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
                "seccomp": seccomp(),
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
