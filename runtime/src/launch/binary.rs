//! Where Cloister's other programs are.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use rustix::fs::{Access, AtFlags, CWD, Mode, OFlags, accessat, open};

use super::LaunchError;

/// Where the programs of a sandbox are, unless they are beside the running one.
#[derive(Clone, Debug, Default)]
pub struct Binaries {
    /// `cloister-boot`, from `--boot-binary` or `CLOISTER_BOOT`.
    pub boot: Option<PathBuf>,
    /// `cloister-gofer`, from `--gofer-binary` or `CLOISTER_GOFER`.
    pub gofer: Option<PathBuf>,
}

/// A program, opened.
#[derive(Debug)]
pub struct Binary {
    /// Its name.
    pub name: &'static str,
    /// Where it was found.
    pub path: PathBuf,
    /// Its file, by which it is executed: where it will be executed, no path leads to it.
    pub file: OwnedFd,
}

impl Binaries {
    /// Opens the sandbox's kernel.
    ///
    /// # Errors
    ///
    /// [`LaunchError::Binary`].
    pub fn open_boot(&self) -> Result<Binary, LaunchError> {
        open_binary("cloister-boot", self.boot.clone(), "boot-binary", "CLOISTER_BOOT")
    }

    /// Opens the file server.
    ///
    /// # Errors
    ///
    /// [`LaunchError::Binary`].
    pub fn open_gofer(&self) -> Result<Binary, LaunchError> {
        open_binary("cloister-gofer", self.gofer.clone(), "gofer-binary", "CLOISTER_GOFER")
    }
}

fn open_binary(
    name: &'static str,
    path: Option<PathBuf>,
    flag: &'static str,
    variable: &'static str,
) -> Result<Binary, LaunchError> {
    let path = path.unwrap_or_else(|| beside(name));
    let fail = |source: io::Error| LaunchError::Binary { name, path: path.clone(), flag, variable, source };
    let file =
        open(&path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).map_err(|errno| fail(errno.into()))?;
    accessat(CWD, &path, Access::EXEC_OK, AtFlags::EACCESS).map_err(|errno| fail(errno.into()))?;
    Ok(Binary { name, path, file })
}

/// The path of a program in the folder of the running one.
fn beside(name: &str) -> PathBuf {
    let running = std::env::current_exe().unwrap_or_else(|_| OsString::from("cloister").into());
    running.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_named_with_the_remedy() {
        let binaries = Binaries { boot: Some("/nonexistent/boot".into()), gofer: Some("/etc/passwd".into()) };
        let error = binaries.open_boot().unwrap_err().to_string();
        assert!(error.contains("/nonexistent/boot") && error.contains("--boot-binary"), "{error}");
        let error = binaries.open_gofer().unwrap_err().to_string();
        assert!(error.contains("Permission denied") && error.contains("CLOISTER_GOFER"), "{error}");
    }
}
