//! The command line.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, ValueEnum};
use cloister_platform::systrap::{self, Patching};
use cloister_platform::{Platform, ptrace};
use cloister_proto::transport::{Listener, adopt};

use crate::control::timeline::{self, Step};
use crate::control::{ControlServer, TerminalSignals};
use crate::fs::DentryCache;
use crate::kernel::{Kernel, KernelOptions};
use crate::log;
use crate::security::filter;
use crate::syscall;

/// The kernel of one sandbox.
///
/// `cloister` starts it inside its namespaces and hands it all it needs as descriptors; it opens nothing by itself.
#[derive(Debug, Parser)]
#[command(
    name = "cloister-boot",
    version,
    after_help = "\
Examples:
  Start a kernel by hand, for debugging; it runs with your own rights, without namespaces:
      cloister-boot --control /tmp/sandbox.sock --log-level debug
  Then, in another terminal, serve a root file system and start a container in it:
      cloister-gofer --listen /tmp/root.sock:/path/to/rootfs
      cloister debug attach --control /tmp/sandbox.sock --gofer /tmp/root.sock -- /bin/sh

  List the system calls that guests can make:
      cloister-boot --list-syscalls"
)]
struct Arguments {
    /// Id of the sandbox, for logs and process lists
    #[arg(long, default_value = "sandbox")]
    id: String,
    /// Number of the inherited control socket, which listens for SOCK_SEQPACKET connections
    #[arg(long, value_name = "FD", conflicts_with = "control")]
    control_fd: Option<i32>,
    /// Path at which to make a control socket (when started by hand)
    #[arg(long, value_name = "SOCKET")]
    control: Option<PathBuf>,
    /// Number of the inherited descriptor that the log goes to; standard error if it is not given
    #[arg(long, value_name = "FD")]
    log_fd: Option<i32>,
    /// How many bytes the log takes; without a limit if it is not given
    #[arg(long, value_name = "BYTES", requires = "log_fd")]
    log_limit: Option<u64>,
    /// Form of the log
    #[arg(long, value_enum, default_value_t)]
    log_format: log::Format,
    /// What is logged
    #[arg(long, default_value = "warn", value_parser = ["error", "warn", "info", "debug", "trace"])]
    log_level: String,
    /// Number of the inherited descriptor that gets a line for each system call that is missing
    #[arg(long, value_name = "FD")]
    user_log_fd: Option<i32>,
    /// Number of the inherited descriptor that panics go to, as well as to standard error
    #[arg(long, value_name = "FD")]
    panic_log_fd: Option<i32>,
    /// How guest code is run; the fastest that the host allows if it is not given
    #[arg(long, value_enum)]
    platform: Option<PlatformName>,
    /// How many names of files are kept in the cache
    #[arg(long, value_name = "N", default_value_t = DentryCache::DEFAULT_BOUND)]
    dcache: usize,
    /// How many processors the guest sees; as many as the host has if it is not given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    cpus: Option<u32>,
    /// How much memory the guest sees; as much as the host has if it is not given
    #[arg(long, value_name = "BYTES")]
    memory: Option<u64>,
    /// Log these system calls with decoded arguments, result and time: all, none, or names with commas between them
    #[arg(long, value_name = "CALLS", default_value = "none", default_missing_value = "all", num_args = 0..=1, require_equals = true)]
    strace: syscall::CallSet,
    /// Pass the signals of this session's terminal on to its foreground processes
    #[arg(long)]
    terminal_signals: bool,
    #[command(flatten)]
    lists: Lists,
}

/// What is printed instead of running a sandbox.
#[derive(Debug, Args)]
struct Lists {
    /// Print the system calls that the kernel itself makes to the host, with reasons, and exit
    #[arg(long)]
    print_filter: bool,
    /// List the system calls, and exit
    #[arg(long)]
    list_syscalls: bool,
    /// Form of the list
    #[arg(long, value_enum, default_value_t, requires = "list_syscalls")]
    format: syscall::ListFormat,
}

/// How guest code is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum PlatformName {
    /// `PTRACE_SYSEMU`: works everywhere
    Ptrace,
    /// Signals in the guest's own threads, and call sites that are patched: fast
    Systrap,
    /// The same, but the text of programs is left as it is
    SystrapUnpatched,
}

/// A failure that ends the program before the sandbox runs.
#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error("neither --control-fd nor --control is given: nobody could talk to the kernel; see --help")]
    NoControl,
    #[error("descriptor {number} given by {flag} can't be used: {source}")]
    Descriptor { flag: &'static str, number: i32, source: std::io::Error },
    #[error("control socket can't be used: {0}")]
    Control(#[from] cloister_proto::transport::TransportError),
    #[error("the platform can't be started: {0}; does the host allow ptrace?")]
    Platform(std::io::Error),
    #[error("the filter of host system calls can't be installed: {0}")]
    Filter(#[from] filter::FilterError),
    #[error("{action}: {source}")]
    Host { action: &'static str, source: std::io::Error },
}

/// Runs the program.
pub(crate) fn run() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.lists.list_syscalls {
        return match syscall::write_list(&mut std::io::stdout().lock(), arguments.lists.format) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        };
    }
    if arguments.lists.print_filter {
        return match filter::print(&mut std::io::stdout().lock()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        };
    }
    match serve(&arguments) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            log::report(&error);
            ExitCode::from(128)
        }
    }
}

/// Runs a sandbox until its root container is gone. Returns its exit code.
fn serve(arguments: &Arguments) -> Result<u8, StartError> {
    let begin = timeline::now();
    log::start(&arguments.id, outputs(arguments)?, &arguments.log_level);
    let host = |action| move |source| StartError::Host { action, source };
    let listener = match (arguments.control_fd, &arguments.control) {
        (Some(number), _) => Listener::from_fd(inherited("--control-fd", number)?)?,
        (None, Some(path)) => Listener::bind(path)?,
        (None, None) => return Err(StartError::NoControl),
    };
    // Before there are threads, which are to hold them back too.
    let signals = arguments.terminal_signals.then(TerminalSignals::hold_back).transpose();
    let signals = signals.map_err(host("hold signals back"))?;
    let platform = start_platform(arguments.platform).map_err(StartError::Platform)?;
    let platform_ready = timeline::now();
    let options = KernelOptions::from_host(arguments.strace).limited(arguments.cpus, arguments.memory);
    let kernel = Kernel::new(platform, options).map_err(host("make the kernel"))?;
    kernel.timeline.mark_at(Step::Begin, begin);
    kernel.timeline.mark_at(Step::Platform, platform_ready);
    kernel.vfs.cache.set_bound(arguments.dcache);
    let server = ControlServer::start(&kernel, listener).map_err(host("serve the control socket"))?;
    let relay = signals.map(|signals| signals.pass_on(&kernel, arguments.id.clone())).transpose();
    let relay = relay.map_err(host("watch for signals"))?;
    filter::install().map_err(StartError::Filter)?;
    kernel.timeline.mark(Step::Serving);
    tracing::info!(id = arguments.id, "ready");
    kernel.platform.run(&*kernel).map_err(host("run guest code"))?;
    drop((server, relay));
    Ok(kernel.containers.exit_code())
}

/// Where the logs go.
fn outputs(arguments: &Arguments) -> Result<log::Outputs, StartError> {
    let open = |flag, number: Option<i32>| number.map(|number| inherited(flag, number)).transpose();
    Ok(log::Outputs {
        log: open("--log-fd", arguments.log_fd)?,
        limit: arguments.log_limit,
        unsupported: open("--user-log-fd", arguments.user_log_fd)?,
        panics: open("--panic-log-fd", arguments.panic_log_fd)?,
        format: arguments.log_format,
    })
}

/// Starts the platform that is asked for, or the fastest that the processor and the host allow.
fn start_platform(name: Option<PlatformName>) -> std::io::Result<Box<dyn Platform>> {
    match name {
        Some(PlatformName::Ptrace) => Ok(Box::new(ptrace::Platform::new()?)),
        Some(PlatformName::Systrap) => Ok(Box::new(systrap::Platform::new(Patching::On)?)),
        Some(PlatformName::SystrapUnpatched) => Ok(Box::new(systrap::Platform::new(Patching::Off)?)),
        None => match start_platform(Some(PlatformName::Systrap)) {
            Err(error) if error.kind() == std::io::ErrorKind::Unsupported => {
                tracing::info!("guest code is run by ptrace: {error}");
                start_platform(Some(PlatformName::Ptrace))
            }
            started => started,
        },
    }
}

fn inherited(flag: &'static str, number: i32) -> Result<std::os::fd::OwnedFd, StartError> {
    adopt(number).map_err(|source| StartError::Descriptor { flag, number, source })
}
