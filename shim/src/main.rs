//! `containerd-shim-cloister-v1`: what containerd starts to run containers in Cloister's sandboxes.
//!
//! containerd runs this program with the action `start` for each container. It answers with the address of a shim's socket:
//! that of a new one, or of the one that serves the container's pod already. The shim itself ([`server`]) is this program
//! without an action; it serves containerd's *task service* until containerd tells it to leave. With the action `delete`
//! the program removes what a shim has left that was killed.
//!
//! | module | is |
//! |---|---|
//! | [`args`] | the command line |
//! | [`start`], [`delete`], [`info`] | the actions |
//! | [`server`] | the process that stays |
//! | [`service`] | the task service: one method for each request, which calls the pod |
//! | [`pod`] | the containers of a shim |
//! | [`task`] | a container and its processes, a file for each verb |
//! | [`stdio`] | standard files: FIFOs, log files, log programs, terminals |
//! | [`events`] | what containerd is told |
//! | [`options`] | how sandboxes are started |
//! | [`rootfs`] | mounts of a container's root |
//!
//! Source of behaviour: containerd's `core/runtime/v2/README.md` and `api/runtime/task/v3/shim.proto`.

mod args;
mod delete;
mod error;
mod events;
mod info;
mod options;
mod pod;
mod rootfs;
mod server;
mod service;
mod start;
mod stdio;
mod task;
mod watch;

use std::process::ExitCode;

use args::{Action, Args};

fn main() -> ExitCode {
    let result =
        Args::parse(std::env::args().skip(1)).map_err(Into::into).and_then(|args| match args.action {
            Action::Start => start::run(&args),
            Action::Delete => delete::run(&args),
            Action::Serve => server::run(&args),
            Action::Terminal => stdio::keys::run(),
            Action::Info => info::run(),
            Action::Version => info::version(),
            Action::Help => info::help(),
        });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            use std::io::Write;
            // containerd shows what a shim writes to standard error.
            let _ = writeln!(std::io::stderr(), "containerd-shim-cloister-v1: {error}");
            ExitCode::FAILURE
        }
    }
}
