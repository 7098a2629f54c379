//! The guest programs: C sources in `guest/`, each testing one area of the kernel, natively and inside from one binary.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail, ensure};

use crate::known::{self, Outcome};
use crate::process::{self, Status};
use crate::program::Access;
use crate::{Place, Program, Rootfs, exclusive, paths};

/// How long all cases of one area may take, and a single one that is tried again alone.
const LIMIT: Duration = Duration::from_secs(180);
const LIMIT_ALONE: Duration = Duration::from_secs(70);

/// What tests of error cases do on purpose.
const TOLERATED: [&str; 4] =
    ["-Wno-nonnull", "-Wno-stringop-overflow", "-Wno-stringop-overread", "-Wno-unused-result"];

/// After so many cases without any result an area is given up.
const MOST_LOST: u32 = 4;

/// Which file system the cases work on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum On {
    /// `/tmp`, a file system in memory.
    Tmpfs,
    /// `/work`, a folder of the host.
    HostFolder,
}

/// Builds a program from its source unless that has been done; its folder is what programs see as `/guest`.
///
/// # Errors
/// When it cannot be compiled.
pub fn build(area: &str, _lock: &exclusive::Exclusive) -> Result<PathBuf> {
    compile(&paths::crate_dir().join("guest").join(format!("{area}.c")), area, "-O1")
}

/// Returns a program that runs a copy in memory of one of those that tests of snapshots have, which is built first.
///
/// # Errors
/// When it cannot be compiled.
pub fn snapshot_program(name: &str) -> Result<Program> {
    let _lock = exclusive::acquire()?;
    let source = paths::crate_dir().join("guest/snapshot").join(format!("{name}.c"));
    let binary = compile(&source, &format!("snapshot-{name}"), "-O2")?;
    let script = format!("cp /guest/snapshot-{name} /tmp/program && exec /tmp/program");
    let folder = binary.parent().unwrap_or(&binary);
    Ok(Program::bash(Rootfs::Small, &script).with_bind(folder, "/guest", Access::ReadOnly))
}

/// Compiles one static C program into `target/guest`.
pub(crate) fn compile(source: &Path, name: &str, optimisation: &str) -> Result<PathBuf> {
    let binary = paths::target_subdir("guest")?.join(name);
    let headers = ["guest/test.h", "bench/bench.h"].map(|name| paths::crate_dir().join(name));
    let sources = headers.iter().map(PathBuf::as_path).chain([source]);
    if modified(&binary).is_some_and(|built| sources.into_iter().all(|path| modified(path) < Some(built))) {
        return Ok(binary);
    }
    let mut command = Command::new("gcc");
    command.args([optimisation, "-Wall", "-Wextra", "-Werror", "-static", "-pthread"]).args(TOLERATED);
    command.arg("-o").arg(&binary).arg(source);
    let done = process::run(&mut command, b"", Duration::from_secs(120)).context("cannot run gcc")?;
    ensure!(done.status == Status::Code(0), "{} does not compile\n{done}", source.display());
    Ok(binary)
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|meta| meta.modified()).ok()
}

/// Runs all cases of an area, and judges what came out by the list of known failures.
///
/// # Errors
/// When a case fails that should pass, or passes though it is listed.
pub fn check(area: &str, place: Place, on: On) -> Result<()> {
    paths::require_root()?;
    let lock = exclusive::acquire()?;
    let binary = build(area, &lock)?;
    let cases = list(&binary)?;
    let outcomes = run_cases(&binary, &cases, place, on, &lock)?;
    let test = match on {
        On::Tmpfs => format!("guest/{area}"),
        On::HostFolder => format!("guest/{area}@host"),
    };
    known::judge(place, &test, &outcomes)
}

fn list(binary: &Path) -> Result<Vec<String>> {
    let done = process::run(Command::new(binary).arg("--list"), b"", LIMIT_ALONE)?;
    ensure!(done.status == Status::Code(0), "{} cannot list its cases\n{done}", binary.display());
    Ok(done.stdout.lines().map(str::to_owned).collect())
}

/// Runs the cases together. When that breaks off, each case without a result is tried again alone: one that takes the
/// sandbox down does not hide the others.
fn run_cases(
    binary: &Path,
    cases: &[String],
    place: Place,
    on: On,
    lock: &exclusive::Exclusive,
) -> Result<Vec<(String, Outcome)>> {
    let mut results = BTreeMap::new();
    let mut nr_lost = 0;
    let first = program(binary, &[], on).with_limit(LIMIT).run_locked(place, lock)?;
    results.extend(outcomes_in(&first.stdout));
    for case in cases {
        if results.contains_key(case) {
            continue;
        }
        if place == Place::Native || nr_lost == MOST_LOST {
            bail!("{case} gave no result\n{first}");
        }
        let alone = program(binary, &[case], on).with_limit(LIMIT_ALONE).run_locked(place, lock)?;
        let outcome = outcomes_in(&alone.stdout).remove(case);
        nr_lost += u32::from(outcome.is_none());
        results.insert(case.clone(), outcome.unwrap_or_else(|| Err(format!("no result, {alone}"))));
    }
    let of_case = |case: &String| results.remove(case).map(|outcome| (case.clone(), outcome));
    Ok(cases.iter().filter_map(of_case).collect())
}

fn program(binary: &Path, cases: &[&String], on: On) -> Program {
    let name = binary.file_name().unwrap_or_default().to_string_lossy();
    let args = [format!("/guest/{name}")].into_iter().chain(cases.iter().map(|&case| case.clone()));
    let test_dir = match on {
        On::Tmpfs => "/tmp",
        On::HostFolder => "/work",
    };
    let program = Program::new(Rootfs::Small, args)
        .with_bind(binary.parent().unwrap_or(binary), "/guest", Access::ReadOnly)
        .with_env("TEST_DIR", test_dir);
    if name == "namespaces" { program.with_capability("CAP_SYS_ADMIN") } else { program }
}

/// The results in the output of a guest program.
fn outcomes_in(output: &str) -> BTreeMap<String, Outcome> {
    let outcome = |line: &str| {
        if let Some(case) = line.strip_prefix("ok ") {
            return Some((case.to_owned(), Ok(())));
        }
        let (case, why) = line.strip_prefix("FAIL ")?.split_once(": ")?;
        Some((case.to_owned(), Err(why.to_owned())))
    };
    output.lines().filter_map(outcome).collect()
}

#[cfg(test)]
mod tests {
    use super::outcomes_in;

    #[test]
    fn results_are_read_from_the_output() {
        let found = outcomes_in("ok one\nnoise\nFAIL two: line 3: x is 1\n");
        assert_eq!(found.len(), 2);
        assert_eq!(found["one"], Ok(()));
        assert_eq!(found["two"], Err("line 3: x is 1".to_owned()));
    }
}
