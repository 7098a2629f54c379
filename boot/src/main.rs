//! `cloister-boot`: the kernel of one sandbox.

use std::process::ExitCode;

fn main() -> ExitCode {
    cloister_boot::main()
}
