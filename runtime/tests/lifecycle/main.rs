//! The life of containers, with this program in the parts of the sandbox's kernel and file server.
//!
//! So the command can be tested against a kernel that hangs, lies or dies, and without one that runs programs. It is
//! linked statically and so runs where the real ones do: in an empty root, behind their walls.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "all of this program is tests"
)]

mod bench;
mod cases;
mod kernel;

use std::panic::catch_unwind;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args();
    match arguments.next().unwrap_or_default().as_str() {
        "cloister-boot" => kernel::run(&arguments.collect::<Vec<_>>()),
        "cloister-gofer" => serve(),
        _ => run_cases(&arguments.collect::<Vec<_>>()),
    }
}

/// The part of the file server: it lives until the kernel closes its end, and serves nothing.
fn serve() -> ExitCode {
    kernel::wait_for_hang_up(3);
    ExitCode::SUCCESS
}

/// Runs the cases whose name contains one of the arguments, or all.
fn run_cases(arguments: &[String]) -> ExitCode {
    if arguments.iter().any(|argument| argument == "--list") {
        cases::ALL.iter().for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    let filters: Vec<_> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    let mut failed = 0;
    for (name, case) in cases::ALL {
        if !filters.is_empty() && !filters.iter().any(|filter| name.contains(filter.as_str())) {
            continue;
        }
        let passed = catch_unwind(case).is_ok();
        println!("test {name} ... {}", if passed { "ok" } else { "FAILED" });
        failed += u32::from(!passed);
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
