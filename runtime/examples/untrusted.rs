//! Runs code that nobody has looked at: `cargo run --example untrusted -- BUNDLE 'echo $((6 * 7))'`.
//!
//! The bundle is any that `cloister spec` writes, with a root file system that has a shell. `CLOISTER` names the runtime if it is
//! not in `PATH`.

use std::env;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use cloister_runtime::client::{ClientError, Sandbox};

fn main() -> ExitCode {
    let mut arguments = env::args().skip(1);
    let (Some(bundle), Some(code)) = (arguments.next(), arguments.next()) else {
        let _ = writeln!(io::stderr(), "usage: untrusted BUNDLE CODE");
        return ExitCode::from(2);
    };
    match run(&bundle, &code) {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(io::stderr(), "untrusted: {error}");
            ExitCode::from(125)
        }
    }
}

fn run(bundle: &str, code: &str) -> Result<ExitCode, ClientError> {
    let mut sandbox = Sandbox::new(bundle)?;
    if let Some(runtime) = env::var_os("CLOISTER") {
        sandbox = sandbox.runtime(runtime);
    }
    let output = sandbox
        .command("/bin/sh", ["-c", code])
        .env([("PATH", "/usr/bin:/bin")])
        .timeout(Duration::from_secs(10))
        .output_limit(1 << 20)
        .output()?;
    // Who reads it may have left.
    let _ = io::stdout().write_all(&output.stdout);
    let _ = io::stderr().write_all(&output.stderr);
    Ok(output
        .status
        .code()
        .and_then(|code| u8::try_from(code).ok())
        .map_or(ExitCode::FAILURE, ExitCode::from))
}
