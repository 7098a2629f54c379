//! Where things are: the source tree, the built programs, and folders to work in.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

/// The folder of this crate's sources.
pub fn crate_dir() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The folder into which cargo builds (`target` if nobody changed it).
///
/// It is found from the running program, say `target/x86_64-unknown-linux-gnu/debug/deps/guest-0123`.
///
/// # Errors
/// When the running program does not lie in a cargo target folder.
pub fn target_dir() -> Result<PathBuf> {
    let profile = profile_dir()?;
    let parent = profile.parent().context("the profile folder has no parent")?;
    let is_of_a_target = parent.file_name().is_some_and(|name| name.to_string_lossy().contains("-linux-"));
    let dir = if is_of_a_target { parent.parent().unwrap_or(parent) } else { parent };
    Ok(dir.to_path_buf())
}

/// The folder of the programs built with the profile of the running one (`debug` or `release`).
///
/// # Errors
/// When the running program does not lie in a cargo target folder.
pub fn profile_dir() -> Result<PathBuf> {
    let exe = std::env::current_exe().context("cannot tell the path of the running program")?;
    let dir = exe.parent().with_context(|| format!("{} has no folder", exe.display()))?;
    let dir = if dir.ends_with("deps") { dir.parent().unwrap_or(dir) } else { dir };
    Ok(dir.to_path_buf())
}

/// A program of this workspace, as built with the profile of the running one.
///
/// # Errors
/// When it has not been built.
pub fn built(name: &str) -> Result<PathBuf> {
    let path = profile_dir()?.join(name);
    if !path.exists() {
        bail!("{} is not there: run `cargo build` (with the same profile) first", path.display());
    }
    Ok(path)
}

/// A folder below `target`, made if it is not there.
///
/// # Errors
/// When it cannot be made.
pub fn target_subdir(name: &str) -> Result<PathBuf> {
    let dir = target_dir()?.join(name);
    std::fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
    Ok(dir)
}

/// Checks that this process is root, which most tests need.
///
/// # Errors
/// With an explanation, when it is not.
pub fn require_root() -> Result<()> {
    ensure!(
        nix::unistd::geteuid().is_root(),
        "this needs root: it makes mounts, namespaces and root file systems; run the tests with `sudo -E` or as root"
    );
    Ok(())
}
