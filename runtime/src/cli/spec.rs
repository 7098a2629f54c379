//! `cloister spec`: an OCI configuration to start from.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use cloister_runtime::bundle::default_config;

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
        let text = serde_json::to_string_pretty(&default_config()?)? + "\n";
        let mut file = OpenOptions::new().write(true).create_new(true).open(&path).with_context(|| {
            format!("cannot create {}; remove the file first if it exists", path.display())
        })?;
        file.write_all(text.as_bytes()).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(ExitCode::SUCCESS)
    }
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
