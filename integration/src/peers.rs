//! The runtimes that Cloister is compared with: `crun` and gVisor's `runsc`.
//!
//! Debian's packages are unpacked into `target/peers`, and not installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::process::{self, Status};
use crate::{exclusive, paths, rootfs};

/// The Debian release whose `runsc` has the systrap platform; being a Go program it runs on every release.
const RUNSC_SUITE: &str = "trixie";

/// The program `name` (`runsc` or `crun`); the packages are fetched first if they are not there. Only for holders
/// of the [`exclusive`] lock.
///
/// # Errors
/// When they have to be fetched and cannot be.
pub fn program(name: &str, _lock: &exclusive::Exclusive) -> Result<PathBuf> {
    let done = paths::target_dir()?.join("peers");
    if !done.exists() {
        let unfinished = done.with_extension("unfinished");
        if unfinished.exists() {
            fs::remove_dir_all(&unfinished)
                .with_context(|| format!("cannot remove {}", unfinished.display()))?;
        }
        fetch(&unfinished)?;
        fs::rename(&unfinished, &done).with_context(|| format!("cannot move {} in place", done.display()))?;
    }
    let inside = Path::new("root/usr");
    let candidates = ["bin", "sbin"].map(|dir| done.join(inside).join(dir).join(name));
    let found = candidates.into_iter().find(|path| path.exists());
    found.with_context(|| format!("{} does not have {name}", done.display()))
}

/// The folder of shared libraries that came with the programs.
///
/// # Errors
/// When the target folder cannot be found.
pub fn libraries() -> Result<PathBuf> {
    Ok(paths::target_dir()?.join("peers/root/usr/lib/x86_64-linux-gnu"))
}

fn fetch(dir: &Path) -> Result<()> {
    let (mirror, own_suite) = rootfs::apt_mirror_and_suite()?;
    for (suite, packages) in
        [(own_suite.as_str(), ["crun", "libyajl2"].as_slice()), (RUNSC_SUITE, &["runsc"])]
    {
        fetch_from(&mirror, suite, packages, dir)?;
    }
    for entry in fs::read_dir(dir.join("debs")).context("cannot list the downloaded packages")? {
        let package = entry.context("cannot list the downloaded packages")?.path();
        run(Command::new("dpkg").arg("-x").arg(&package).arg(dir.join("root")))?;
    }
    Ok(())
}

/// Downloads packages with lists of apt's that are kept apart from the machine's own.
fn fetch_from(mirror: &str, suite: &str, packages: &[&str], dir: &Path) -> Result<()> {
    for folder in ["lists/partial", "cache/archives/partial", "debs", "root"] {
        fs::create_dir_all(dir.join(folder))
            .with_context(|| format!("cannot make {folder} in {}", dir.display()))?;
    }
    let keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";
    let sources = dir.join("sources.list");
    fs::write(&sources, format!("deb [signed-by={keyring}] {mirror} {suite} main\n"))
        .with_context(|| format!("cannot write {}", sources.display()))?;
    apt_get(dir, &sources, &["update"])?;
    apt_get(dir, &sources, &[&["download"], packages].concat())
}

fn apt_get(dir: &Path, sources: &Path, arguments: &[&str]) -> Result<()> {
    let options = [
        format!("Dir::Etc::sourcelist={}", sources.display()),
        "Dir::Etc::sourceparts=/dev/null".to_owned(),
        format!("Dir::State::Lists={}", dir.join("lists").display()),
        format!("Dir::Cache={}", dir.join("cache").display()),
        "APT::Sandbox::User=root".to_owned(),
    ];
    let mut command = Command::new("apt-get");
    command.arg("-qq").args(options.iter().flat_map(|option| ["-o", option])).args(arguments);
    run(command.current_dir(dir.join("debs")))
}

fn run(command: &mut Command) -> Result<()> {
    let done = process::run(command, b"", Duration::from_secs(300))?;
    if done.status != Status::Code(0) {
        bail!("{:?} failed\n{done}", command.get_program());
    }
    Ok(())
}
