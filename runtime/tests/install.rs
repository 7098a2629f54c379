//! `install` and `uninstall` with configurations of a test's own.
#![expect(clippy::unwrap_used, clippy::tests_outside_test_module, reason = "all of this program is tests")]

use std::fs;
use std::process::{Command, Output};

const CLOISTER: &str = env!("CARGO_BIN_EXE_cloister");

fn cloister(arguments: &[&str]) -> Output {
    Command::new(CLOISTER).args(arguments).output().unwrap()
}

#[test]
fn what_is_installed_can_be_taken_back() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.toml");
    let before = "version = 2 # the usual one\n";
    fs::write(&file, before).unwrap();
    let target = format!("--containerd={}", file.display());
    let output = cloister(&["install", &target, "--dry-run"]);
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && shown.contains("BinaryName") && shown.contains(CLOISTER),
        "{output:?}"
    );
    assert_eq!(fs::read_to_string(&file).unwrap(), before, "a dry run writes");
    assert!(cloister(&["install", &target]).status.success());
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.starts_with(before) && text.contains("runtimes.cloister"), "{text}");
    let again = cloister(&["install", &target]);
    assert!(String::from_utf8_lossy(&again.stdout).contains("needs no change"), "{again:?}");
    assert!(cloister(&["uninstall", &target]).status.success());
    assert_eq!(fs::read_to_string(&file).unwrap(), before);
}

#[test]
fn docker_passes_flags() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("daemon.json");
    let target = format!("--docker={}", file.display());
    assert!(
        cloister(&["install", &target, "--name", "box", "--", "--overlay", "root:memory"]).status.success()
    );
    let config: serde_json::Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert_eq!(config["runtimes"]["box"]["runtimeArgs"], serde_json::json!(["--overlay", "root:memory"]));
}

#[test]
fn configurations_that_are_not_understood_stay_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let (json, toml) = (folder.path().join("daemon.json"), folder.path().join("config.toml"));
    fs::write(&json, "{").unwrap();
    fs::write(&toml, "version = 2\n").unwrap();
    let targets = [format!("--containerd={}", toml.display()), format!("--docker={}", json.display())];
    let output = cloister(&["install", &targets[0], &targets[1]]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(said.lines().count() == 1 && said.contains("daemon.json"), "{said}");
    assert_eq!(fs::read_to_string(&toml).unwrap(), "version = 2\n", "the other one was written");
    assert_eq!(cloister(&["install", "--name", "a b"]).status.code(), Some(2));
}
