//! `cloister install` and `cloister uninstall`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Args;
use cloister_runtime::install::{Change, Engine, Runtime, write};

use super::print;

/// Register this program with Docker and containerd
///
/// Without --docker and --containerd, with those that are configured on this machine. All else in their configuration stays;
/// they have to be restarted (Docker: reloaded) by the user.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    cloister install --dry-run\n  \
    cloister install --docker -- --overlay root:memory\n    then: systemctl reload docker; docker run --runtime cloister debian uname -a\n  \
    cloister install --containerd --name sandbox")]
pub(crate) struct Install {
    #[command(flatten)]
    target: Target,
    /// Flags that Docker is to pass to this program
    #[arg(last = true, value_name = "FLAGS")]
    flags: Vec<String>,
}

/// Take back what `install` did
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cloister uninstall --dry-run\n  cloister uninstall --docker")]
pub(crate) struct Uninstall {
    #[command(flatten)]
    target: Target,
}

/// What is changed.
#[derive(Debug, Args)]
struct Target {
    /// Docker's configuration [default file: /etc/docker/daemon.json]
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    docker: Option<Option<PathBuf>>,
    /// containerd's configuration [default file: /etc/containerd/config.toml]
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    containerd: Option<Option<PathBuf>>,
    /// Name by which users choose the runtime
    #[arg(long, value_name = "NAME", default_value = "cloister", value_parser = parse_name)]
    name: String,
    /// Print what would be written, and write nothing
    #[arg(long)]
    dry_run: bool,
}

impl Install {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let program = std::env::current_exe().context("cannot tell the path of this program")?;
        let runtime = Runtime { name: &self.target.name, program: &program, flags: &self.flags };
        self.target.apply(Change::Add(&runtime))
    }
}

impl Uninstall {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        self.target.apply(Change::Remove(&self.target.name))
    }
}

impl Target {
    fn apply(&self, change: Change<'_>) -> anyhow::Result<ExitCode> {
        let files = self.files()?;
        // All of them are understood before the first is written.
        let changes = files
            .into_iter()
            .map(|(engine, path)| engine.changed(&path, change).map(|text| (path, text)))
            .collect::<Result<Vec<_>, _>>()?;
        for (path, text) in changes {
            match text {
                None => print(format!("{} needs no change\n", path.display()))?,
                Some(text) if self.dry_run => print(format!("{} would be:\n{text}", path.display()))?,
                Some(text) => {
                    write(&path, &text)?;
                    print(format!("{} is written\n", path.display()))?;
                }
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    fn files(&self) -> anyhow::Result<Vec<(Engine, PathBuf)>> {
        let named = [(Engine::Docker, &self.docker), (Engine::Containerd, &self.containerd)];
        let chosen: Vec<_> = named
            .iter()
            .filter_map(|(engine, path)| {
                let path = path.as_ref()?.clone();
                Some((*engine, path.unwrap_or_else(|| engine.usual_path().to_owned())))
            })
            .collect();
        if !chosen.is_empty() {
            return Ok(chosen);
        }
        let found = [Engine::Docker, Engine::Containerd].into_iter().filter_map(|engine| {
            let path = engine.usual_path();
            path.parent().is_some_and(Path::is_dir).then(|| (engine, path.to_owned()))
        });
        let found: Vec<_> = found.collect();
        if found.is_empty() {
            bail!("neither Docker nor containerd is configured here; name one by --docker or --containerd");
        }
        Ok(found)
    }
}

fn parse_name(text: &str) -> Result<String, &'static str> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if text.is_empty() || !text.bytes().all(is_plain) {
        return Err("use letters, digits, -, _ and .");
    }
    Ok(text.to_owned())
}
