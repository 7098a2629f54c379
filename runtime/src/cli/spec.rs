//! `cloister spec`: an OCI configuration to start from.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use oci_spec::runtime::{
    Capability, LinuxBuilder, LinuxCapabilitiesBuilder, LinuxNamespaceBuilder, LinuxNamespaceType,
    PosixRlimitBuilder, PosixRlimitType, ProcessBuilder, RootBuilder, Spec as Config, SpecBuilder,
    UserBuilder, get_default_maskedpaths, get_default_mounts, get_default_readonly_paths,
};

/// Write an OCI configuration to start from
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    mkdir rootfs && cp /bin/busybox rootfs/ && cloister spec && cloister run demo")]
pub(crate) struct Spec {
    /// Folder to write config.json to
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    bundle: PathBuf,
    /// Accepted for callers of other runtimes; the same configuration serves root and others
    #[arg(long, hide = true)]
    rootless: bool,
}

impl Spec {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let path = self.bundle.join("config.json");
        let text = serde_json::to_string_pretty(&config()?)? + "\n";
        let mut file = OpenOptions::new().write(true).create_new(true).open(&path).with_context(|| {
            format!("cannot create {}; remove the file first if it exists", path.display())
        })?;
        file.write_all(text.as_bytes()).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// The configuration: a shell with few capabilities in namespaces of its own.
fn config() -> anyhow::Result<Config> {
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
    Ok(SpecBuilder::default()
        .version("1.0.2")
        .process(process)
        .root(RootBuilder::default().path("rootfs").readonly(true).build()?)
        .hostname("cloister")
        .mounts(get_default_mounts())
        .linux(linux)
        .build()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloister_proto::container::Overlay;
    use cloister_runtime::bundle::{Bundle, prepare};

    #[test]
    fn what_is_written_can_be_read() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("rootfs")).unwrap();
        let spec = Spec { bundle: folder.path().to_owned(), rootless: false };
        spec.run().unwrap();
        let bundle = Bundle::load(folder.path()).unwrap();
        let prepared = prepare(&bundle, Overlay::None, None).unwrap();
        assert!(prepared.spec.process.terminal);
        let again = Spec { bundle: folder.path().to_owned(), rootless: false };
        assert!(again.run().unwrap_err().to_string().contains("remove the file first"));
    }
}
