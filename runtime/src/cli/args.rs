//! The subcommands and the flags that all of them have.

use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;

use clap::{Args, Parser, Subcommand, ValueEnum};
use cloister_proto::container::Overlay;
use tracing::level_filters::LevelFilter;

use super::log_pattern::LogPattern;
use super::{
    attend, checkpoint, completions, create, debug, delete, do_command, events, exec, features, install,
    kill, list, man, pause, ps, read, restore, run, spawn, spec, start, state, suspend, syscalls, template,
    update, usage, wait,
};

/// Runs programs and OCI containers in sandboxes that have their own kernel.
#[derive(Debug, Parser)]
#[command(
    name = "cloister",
    version,
    long_version = concat!(env!("CARGO_PKG_VERSION"), "\nspec: 1.3.0"),
    max_term_width = 100,
    after_help = "Examples:\n  \
        cloister do -- ls -l /          run a command over the host's files; writes are lost at its end\n  \
        cloister spec && cloister run c  run the OCI bundle in the current folder as container c\n  \
        cloister list                   show the containers"
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Flags of all subcommands.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Folder that holds the state of containers [default: /run/cloister for root, else $XDG_RUNTIME_DIR/cloister]
    #[arg(long = "root", id = "state-root", value_name = "DIR", env = "CLOISTER_ROOT")]
    pub(crate) root: Option<PathBuf>,
    /// File that log and errors are appended to
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) log: Option<PathBuf>,
    /// Form of the log
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text, value_name = "FORMAT")]
    pub(crate) log_format: LogFormat,
    /// Log details
    #[arg(long, global = true)]
    pub(crate) debug: bool,
    #[command(flatten)]
    pub(crate) logs: LogArgs,
    #[command(flatten)]
    pub(crate) cgroups: CgroupArgs,
    /// The sandbox's kernel [default: cloister-boot beside this program]
    #[arg(long, global = true, value_name = "FILE", env = "CLOISTER_BOOT")]
    pub(crate) boot_binary: Option<PathBuf>,
    /// The sandbox's file server [default: cloister-gofer beside this program]
    #[arg(long, global = true, value_name = "FILE", env = "CLOISTER_GOFER")]
    pub(crate) gofer_binary: Option<PathBuf>,
    /// How the kernel runs guest code [default: the kernel's choice]
    #[arg(long, global = true, value_name = "NAME", env = "CLOISTER_PLATFORM")]
    pub(crate) platform: Option<String>,
    /// Where writes to the root file system go: root:memory or none (the host's files) [default: root:memory for `do`,
    /// none for containers]
    #[arg(long, global = true, value_name = "WHERE", env = "CLOISTER_OVERLAY")]
    pub(crate) overlay: Option<OverlayArg>,
    /// How long the sandbox may take to start
    #[arg(long, global = true, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) start_timeout: u64,
    /// How many names of files the kernel keeps in its cache [default: the kernel's choice]
    #[arg(long, global = true, value_name = "N", env = "CLOISTER_DCACHE")]
    pub(crate) dcache: Option<u32>,
    /// Log system calls with their arguments and results: all, or only those named, such as openat,read
    #[arg(
        long,
        global = true,
        value_name = "CALLS",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "all"
    )]
    pub(crate) strace: Option<String>,
}

/// Flags about what is logged, and where to.
#[derive(Debug, Args)]
pub(crate) struct LogArgs {
    /// What is logged [default: debug with --debug or --debug-log, else warn]
    #[arg(long, global = true, value_enum, value_name = "LEVEL")]
    pub(crate) log_level: Option<LogLevel>,
    /// Log of each process: %COMMAND% is boot, gofer, or the command; %ID% the container; %TIMESTAMP% and %PID% those of
    /// the command. A pattern that ends in / stands for DIR/%ID%/%COMMAND%.log
    #[arg(long, global = true, value_name = "PATTERN", env = "CLOISTER_DEBUG_LOG")]
    pub(crate) debug_log: Option<LogPattern>,
    /// File, named as for --debug-log, that the kernel of the sandbox appends a line to should it panic
    #[arg(long, global = true, value_name = "PATTERN", env = "CLOISTER_PANIC_LOG")]
    pub(crate) panic_log: Option<LogPattern>,
    /// How many bytes the kernel of a sandbox may log [default: 16 MiB, or 1 GiB with --debug-log]
    #[arg(long, global = true, value_name = "BYTES")]
    pub(crate) log_limit: Option<u64>,
}

/// What is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl LogLevel {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }

    pub(crate) fn filter(self) -> LevelFilter {
        match self {
            Self::Error => LevelFilter::ERROR,
            Self::Warn => LevelFilter::WARN,
            Self::Info => LevelFilter::INFO,
            Self::Debug => LevelFilter::DEBUG,
            Self::Trace => LevelFilter::TRACE,
        }
    }
}

impl Global {
    /// What is logged, but for the logs of `--debug-log`.
    pub(crate) fn log_level(&self) -> LogLevel {
        let default = if self.debug { LogLevel::Debug } else { LogLevel::Warn };
        self.logs.log_level.unwrap_or(default)
    }

    /// What the logs of `--debug-log` get.
    pub(crate) fn debug_log_level(&self) -> LogLevel {
        self.logs.log_level.unwrap_or(LogLevel::Debug)
    }
}

/// Flags about the control groups of the host.
#[derive(Debug, Args)]
pub(crate) struct CgroupArgs {
    /// Take linux.cgroupsPath as SLICE:PREFIX:NAME, and make the group where systemd would; systemd is not told
    #[arg(long, global = true)]
    pub(crate) systemd_cgroup: bool,
    /// Leave sandboxes in the caller's control group, without limits
    #[arg(long, global = true, env = "CLOISTER_IGNORE_CGROUPS", value_parser = clap::builder::FalseyValueParser::new())]
    pub(crate) ignore_cgroups: bool,
}

/// Form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// Lines of `key=value`.
    Text,
    /// A JSON object a line.
    Json,
}

impl LogFormat {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}

/// Value of `--overlay`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OverlayArg(pub(crate) Overlay);

impl FromStr for OverlayArg {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "root:memory" => Ok(Self(Overlay::Memory { size: None })),
            "none" => Ok(Self(Overlay::None)),
            _ => Err("use root:memory or none"),
        }
    }
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Do(do_command::Do),
    Run(run::Run),
    Create(create::Create),
    Attend(attend::Attend),
    Start(start::Start),
    State(state::State),
    Kill(kill::Kill),
    Delete(delete::Delete),
    List(list::List),
    Wait(wait::Wait),
    Ps(ps::Ps),
    Exec(exec::Exec),
    Pause(pause::Pause),
    Resume(pause::Resume),
    Checkpoint(checkpoint::Checkpoint),
    Restore(restore::Restore),
    Suspend(suspend::Suspend),
    Wake(suspend::Wake),
    #[command(subcommand)]
    Template(template::Template),
    Spawn(spawn::Spawn),
    Update(update::Update),
    Events(events::Events),
    Usage(usage::Usage),
    Read(read::Read),
    Debug(debug::Debug),
    Spec(spec::Spec),
    Features(features::Features),
    Install(install::Install),
    Uninstall(install::Uninstall),
    Syscalls(syscalls::Syscalls),
    Completions(completions::Completions),
    Man(man::Man),
}

impl Command {
    /// The exit code if it cannot be carried out.
    pub(crate) fn failure_code(&self) -> ExitCode {
        match self {
            // As `runc`'s: 1 may be the process' own.
            Self::Exec(_) => ExitCode::from(255),
            _ => ExitCode::FAILURE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn callers_of_runc_are_understood() {
        for line in [
            "cloister --root /r --log /l --log-format json --systemd-cgroup create --bundle /b --pid-file /p c",
            "cloister --root /r start c",
            "cloister --debug kill --all c 9",
            "cloister kill c SIGTERM",
            "cloister delete --force c",
            "cloister run -b /b -d --no-pivot --no-new-keyring --preserve-fds 0 c",
            "cloister exec -t -u 1:2 --cwd /x -e A=b c ls -la",
            "cloister list -q -f json",
            "cloister do --root /r -- ls --all",
            "cloister do ls -la",
        ] {
            assert!(Cli::try_parse_from(line.split(' ')).is_ok(), "{line}");
        }
    }

    #[test]
    fn every_subcommand_has_examples() {
        for command in Cli::command().get_subcommands() {
            let examples = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(examples.contains("cloister "), "{}", command.get_name());
        }
    }
}
