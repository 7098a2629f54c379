//! The command line.

use std::os::fd::RawFd;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Parser, ValueEnum};
use tracing_subscriber::filter::LevelFilter;

use crate::tree::Access;

/// Serves host directories to a sandbox's kernel, or to any 9P2000.L client.
#[derive(Debug, Parser)]
#[command(version, about, after_long_help = EXAMPLES)]
pub struct Args {
    /// Serve PATH, a directory or a single file, over the connected stream socket that is open as descriptor FD.
    #[arg(long, value_name = "FD:PATH[:ro]")]
    pub serve: Vec<Serve>,

    /// Serve PATH to all who connect to a new unix socket at SOCKET, which only this user can do.
    #[arg(long, value_name = "SOCKET:PATH[:ro]")]
    pub listen: Vec<Listen>,

    /// Make DIR the root directory first; paths to serve are then looked up in it. Needs CAP_SYS_CHROOT.
    #[arg(long, value_name = "DIR")]
    pub chroot: Option<PathBuf>,

    /// Write the log to descriptor N instead of standard error.
    #[arg(long, value_name = "N")]
    pub log_fd: Option<RawFd>,

    /// What to log: off, error, warn, info, debug, or trace, which shows every request.
    #[arg(long, value_name = "LEVEL", default_value_t = LevelFilter::WARN)]
    pub log_level: LevelFilter,

    /// Form of the log.
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
    pub log_format: LogFormat,

    /// Keep all capabilities, and install no system call filter. For debugging only.
    #[arg(long)]
    pub no_sandbox: bool,

    /// Print the system calls that the filter allows, with the reason for each, and exit.
    #[arg(long)]
    pub print_filter: bool,
}

/// Form of the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// A JSON object a line.
    Json,
}

const EXAMPLES: &str = "\
The process ends when all connections of --serve are closed; with --listen it serves until it is killed.

Clients are trusted with all that is served: their kernels check permissions. Symbolic links are never followed here, and \
devices, FIFOs and sockets are never opened.

Examples:
  Serve a directory by hand to any 9P2000.L client, and look into it with Debian's diod tools:
    cloister-gofer --listen /run/gofer.sock:/srv/files:ro --chroot / &
    diodls -s /run/gofer.sock -a / /
    diodcat -s /run/gofer.sock -a / file

  Mount it with a kernel that has v9fs:
    mount -t 9p -o trans=unix,version=9p2000.L,access=client /run/gofer.sock /mnt

  Serve a sandbox's kernel over a socket that was inherited as descriptor 3:
    cloister-gofer --serve 3:/srv/files";

/// What is served over a descriptor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Serve {
    /// The descriptor's number.
    pub fd: RawFd,
    /// The directory or file.
    pub path: PathBuf,
    /// Whether it may be changed.
    pub access: Access,
}

/// What is served over a listening socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// Where the socket is made.
    pub socket: PathBuf,
    /// The directory or file.
    pub path: PathBuf,
    /// Whether it may be changed.
    pub access: Access,
}

/// Why an argument is no description of what to serve.
#[derive(Debug, thiserror::Error)]
pub enum ParseError {
    /// A part is missing.
    #[error("expected two parts with a colon between them")]
    Missing,
    /// The descriptor is not a number.
    #[error("`{0}` is not the number of a descriptor")]
    NotAnFd(String),
}

/// Splits `FIRST:PATH[:ro]`.
fn split(argument: &str) -> Result<(&str, PathBuf, Access), ParseError> {
    let (first, rest) = argument.split_once(':').ok_or(ParseError::Missing)?;
    let (path, access) = match rest.strip_suffix(":ro") {
        Some(path) => (path, Access::ReadOnly),
        None => (rest.strip_suffix(":rw").unwrap_or(rest), Access::ReadWrite),
    };
    if first.is_empty() || path.is_empty() {
        return Err(ParseError::Missing);
    }
    Ok((first, path.into(), access))
}

impl FromStr for Serve {
    type Err = ParseError;

    fn from_str(argument: &str) -> Result<Self, ParseError> {
        let (fd, path, access) = split(argument)?;
        let fd = fd.parse().map_err(|_| ParseError::NotAnFd(fd.to_owned()))?;
        Ok(Self { fd, path, access })
    }
}

impl FromStr for Listen {
    type Err = ParseError;

    fn from_str(argument: &str) -> Result<Self, ParseError> {
        let (socket, path, access) = split(argument)?;
        Ok(Self { socket: socket.into(), path, access })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptions_are_parsed() {
        let serve: Serve = "3:/srv:ro".parse().unwrap();
        assert_eq!(serve, Serve { fd: 3, path: "/srv".into(), access: Access::ReadOnly });
        let serve: Serve = "4:/a:b".parse().unwrap();
        assert_eq!(serve, Serve { fd: 4, path: "/a:b".into(), access: Access::ReadWrite });
        let listen: Listen = "/run/s:/a:ro:rw".parse().unwrap();
        assert_eq!((listen.path, listen.access), ("/a:ro".into(), Access::ReadWrite));
    }

    #[test]
    fn wrong_descriptions_are_refused() {
        for wrong in ["3", "", "3:", "x:/srv", ":/srv", "3::ro"] {
            assert!(wrong.parse::<Serve>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        <Args as clap::CommandFactory>::command().debug_assert();
    }
}
