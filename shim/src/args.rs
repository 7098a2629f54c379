//! The command line, which has the form of Go's package `flag`: one dash or two, values after a space or `=`.

use std::path::PathBuf;

/// What the program is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Start a shim for a container, or find the one of its pod.
    Start,
    /// Remove what is left of a container.
    Delete,
    /// Be the shim; standard input is its socket.
    Serve,
    /// Stand for a process on its terminal.
    Terminal,
    /// Tell about the runtime.
    Info,
    /// Print the version.
    Version,
    /// Print how the program is used.
    Help,
}

/// The command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Args {
    pub(crate) action: Action,
    /// containerd's namespace.
    pub(crate) namespace: String,
    /// The container.
    pub(crate) id: String,
    /// containerd's socket.
    pub(crate) address: String,
    /// The container's bundle; the working directory if it is not given.
    pub(crate) bundle: Option<PathBuf>,
    /// The shim's own socket, if it is not to be chosen.
    pub(crate) socket: Option<PathBuf>,
    /// Whether details are logged.
    pub(crate) debug: bool,
}

/// The command line cannot be understood.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ArgsError {
    #[error("flag -{0} is not known; see --help")]
    Unknown(String),
    #[error("flag -{0} needs a value; see --help")]
    NoValue(String),
    #[error("action {0:?} is not known; it is start or delete, see --help")]
    Action(String),
    #[error("-id and -namespace must be given; see --help")]
    Incomplete,
}

impl Args {
    pub(crate) fn parse(words: impl IntoIterator<Item = String>) -> Result<Self, ArgsError> {
        let mut args = Self {
            action: Action::Serve,
            namespace: String::new(),
            id: String::new(),
            address: String::new(),
            bundle: None,
            socket: None,
            debug: false,
        };
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            let Some(flag) = word.strip_prefix("--").or_else(|| word.strip_prefix('-')) else {
                args.action = match &*word {
                    "start" => Action::Start,
                    "delete" => Action::Delete,
                    _ => return Err(ArgsError::Action(word)),
                };
                continue;
            };
            let (name, joined) =
                flag.split_once('=').map_or((flag, None), |(name, value)| (name, Some(value.to_owned())));
            let mut value =
                || joined.clone().or_else(|| words.next()).ok_or_else(|| ArgsError::NoValue(name.into()));
            match name {
                "namespace" => args.namespace = value()?,
                "id" => args.id = value()?,
                "address" => args.address = value()?,
                "bundle" => args.bundle = Some(value()?.into()),
                "socket" => args.socket = Some(value()?.into()),
                // Events go over containerd's socket; its program is not needed for them.
                "publish-binary" => drop(value()?),
                "debug" => args.debug = joined.as_deref() != Some("false"),
                "terminal" => args.action = Action::Terminal,
                "info" => args.action = Action::Info,
                "v" | "version" => args.action = Action::Version,
                "h" | "help" => args.action = Action::Help,
                _ => return Err(ArgsError::Unknown(name.into())),
            }
        }
        let needs_names = matches!(args.action, Action::Start | Action::Delete | Action::Serve);
        if needs_names && (args.id.is_empty() || args.namespace.is_empty()) {
            return Err(ArgsError::Incomplete);
        }
        Ok(args)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Args, ArgsError> {
        Args::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn containerd_s_lines_are_understood() {
        let start =
            parse("-namespace n -address /a -publish-binary /bin/containerd -id c -debug start").unwrap();
        assert_eq!(
            (start.action, &*start.namespace, &*start.id, start.debug),
            (Action::Start, "n", "c", true)
        );
        let delete = parse("--namespace=n --id=c --bundle /b delete").unwrap();
        assert_eq!((delete.action, delete.bundle), (Action::Delete, Some("/b".into())));
        assert_eq!(parse("-v").unwrap().action, Action::Version);
        assert_eq!(parse("-info").unwrap().action, Action::Info);
        assert_eq!(parse("-id c -namespace n").unwrap().action, Action::Serve);
    }

    #[test]
    fn what_is_not_understood_is_told() {
        assert_eq!(parse("-id"), Err(ArgsError::NoValue("id".into())));
        assert_eq!(parse("-colour red"), Err(ArgsError::Unknown("colour".into())));
        assert_eq!(parse("-id c -namespace n stop"), Err(ArgsError::Action("stop".into())));
        assert_eq!(parse("-id c start"), Err(ArgsError::Incomplete));
    }
}
