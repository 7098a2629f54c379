//! Names of log files that tell which process of which container logs to them.

use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::Context as _;
use clap::ArgMatches;
use cloister_runtime::state::ContainerId;

use super::do_command::Do;

/// A path with `%ID%`, `%COMMAND%`, `%TIMESTAMP%` and `%PID%` in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogPattern(String);

/// What stands for the names in patterns.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    id: String,
    command: String,
    timestamp: String,
}

/// A pattern is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is not a path whose names in % are %ID%, %COMMAND%, %TIMESTAMP% or %PID%")]
pub(crate) struct BadPattern;

const NAMES: [&str; 4] = ["%ID%", "%COMMAND%", "%TIMESTAMP%", "%PID%"];

impl FromStr for LogPattern {
    type Err = BadPattern;

    fn from_str(text: &str) -> Result<Self, BadPattern> {
        let rest = NAMES.iter().fold(text.to_owned(), |rest, name| rest.replace(name, ""));
        if text.is_empty() || rest.contains('%') {
            return Err(BadPattern);
        }
        Ok(Self(if text.ends_with('/') { format!("{text}%ID%/%COMMAND%.log") } else { text.to_owned() }))
    }
}

impl LogPattern {
    fn path(&self, names: &Names) -> PathBuf {
        let pid = std::process::id().to_string();
        let values = [&names.id, &names.command, &names.timestamp, &pid];
        NAMES.iter().zip(values).fold(self.0.clone(), |path, (name, value)| path.replace(name, value)).into()
    }

    /// Opens the file with these names, to append to; makes it and the folders above it if need be.
    ///
    /// # Errors
    ///
    /// The system's.
    pub(crate) fn open(&self, names: &Names) -> anyhow::Result<File> {
        let path = self.path(names);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)
                .with_context(|| format!("cannot make the folder of the log {}", path.display()))?;
        }
        append(&path)
    }
}

/// Opens a log to append to.
///
/// # Errors
///
/// The system's.
pub(crate) fn append(path: &Path) -> anyhow::Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .with_context(|| format!("cannot open the log {}", path.display()))
}

/// The names for the logs of the running command.
pub(crate) fn names(matches: &ArgMatches) -> Names {
    let mut innermost = matches;
    while let Some((_, inner)) = innermost.subcommand() {
        innermost = inner;
    }
    let id = innermost.try_get_one::<ContainerId>("id").ok().flatten().cloned();
    let command = matches.subcommand_name().unwrap_or("none");
    let id = id.or_else(|| (command == "do").then(Do::id));
    Names::new(id.as_ref(), command)
}

impl Names {
    /// Those of the running command, which concerns the container `id`, or none.
    fn new(id: Option<&ContainerId>, command: &str) -> Self {
        Self {
            id: id.map_or("none", ContainerId::as_str).to_owned(),
            command: command.to_owned(),
            timestamp: jiff::Timestamp::now().strftime("%Y%m%d-%H%M%S.%6f").to_string(),
        }
    }

    /// Those of a program that the running command starts for the container `id`.
    pub(crate) fn of_program(&self, id: &ContainerId, command: &str) -> Self {
        Self { id: id.to_string(), command: command.to_owned(), timestamp: self.timestamp.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_replaced() {
        let id: ContainerId = "web".parse().unwrap();
        let names = Names { timestamp: "now".into(), ..Names::new(Some(&id), "create") };
        let path = |pattern: &str, names: &Names| pattern.parse::<LogPattern>().unwrap().path(names);
        assert_eq!(path("/l/%TIMESTAMP%.%ID%.%COMMAND%", &names), Path::new("/l/now.web.create"));
        assert_eq!(path("logs/", &names.of_program(&id, "boot")), Path::new("logs/web/boot.log"));
        assert_eq!(path("%PID%", &names), Path::new(&std::process::id().to_string()));
        for bad in ["", "/l/%NAME%", "100%"] {
            bad.parse::<LogPattern>().unwrap_err();
        }
    }

    #[test]
    fn the_container_is_found_on_the_command_line() {
        use clap::CommandFactory as _;
        for (line, id, command) in [
            ("cloister create -b /b web", "web", "create"),
            ("cloister debug stacks web", "web", "debug"),
            ("cloister exec web ls", "web", "exec"),
            ("cloister list", "none", "list"),
        ] {
            let names = names(&super::super::Cli::command().get_matches_from(line.split(' ')));
            assert_eq!((&*names.id, &*names.command), (id, command), "{line}");
        }
    }

    #[test]
    fn files_are_made_and_appended_to() {
        let folder = tempfile::tempdir().unwrap();
        let pattern: LogPattern = format!("{}/", folder.path().display()).parse().unwrap();
        let names = Names::new(None, "list");
        for text in ["a", "b"] {
            std::io::Write::write_all(&mut pattern.open(&names).unwrap(), text.as_bytes()).unwrap();
        }
        assert_eq!(fs::read_to_string(folder.path().join("none/list.log")).unwrap(), "ab");
    }
}
