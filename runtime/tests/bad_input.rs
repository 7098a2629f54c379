//! What the command says to input that it cannot use: one clear line, the right exit code, and nothing left behind.
#![expect(clippy::unwrap_used, clippy::tests_outside_test_module, reason = "all of this program is tests")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;

const CLOISTER: &str = env!("CARGO_BIN_EXE_cloister");

/// A bundle and a state folder of a test's own.
struct Bench {
    folder: TempDir,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("bundle/rootfs")).unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a configuration that is good but for what `change` does to it.
    fn config(&self, change: impl FnOnce(&mut Value)) {
        let mut config = json!({
            "ociVersion": "1.0.2",
            "process": { "cwd": "/", "args": ["true"], "user": { "uid": 0, "gid": 0 } },
            "root": { "path": "rootfs" },
            "linux": { "namespaces": [{ "type": "network" }] },
        });
        change(&mut config);
        fs::write(self.path("bundle/config.json"), config.to_string()).unwrap();
    }

    fn cloister(&self, arguments: &[&str]) -> Output {
        Command::new(CLOISTER)
            .env_remove("XDG_RUNTIME_DIR")
            .env("TMPDIR", self.folder.path())
            .arg("--root")
            .arg(self.path("state"))
            .args(arguments)
            .output()
            .unwrap()
    }

    /// Runs a command that must fail with exit code 1 and one line that has all of `parts`.
    fn refuses(&self, arguments: &[&str], parts: &[&str]) {
        let output = self.cloister(arguments);
        assert_refused(&output, 1, parts);
        self.assert_clean();
    }

    fn create(&self, parts: &[&str]) {
        let bundle = self.path("bundle");
        self.refuses(&["create", "--bundle", bundle.to_str().unwrap(), "c"], parts);
    }

    fn assert_clean(&self) {
        let left = |path: &Path| fs::read_dir(path).map_or(0, Iterator::count);
        assert_eq!(left(&self.path("state")), 0, "state is left behind");
        for entry in fs::read_dir(self.folder.path()).unwrap() {
            let name = entry.unwrap().file_name();
            assert!(
                ["bundle", "state", "log", "pid"].iter().any(|known| name == *known),
                "{name:?} is left behind"
            );
        }
    }
}

fn assert_refused(output: &Output, code: i32, parts: &[&str]) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{text}");
    assert!(text.starts_with("cloister: "), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    for part in parts {
        assert!(text.contains(part), "no {part:?} in: {text}");
    }
}

#[test]
fn missing_bundle() {
    Bench::new().refuses(
        &["create", "--bundle", "/nonexistent", "c"],
        &["cannot open the bundle /nonexistent", "--bundle"],
    );
}

#[test]
fn missing_configuration() {
    Bench::new().create(&["config.json: No such file or directory", "cloister spec"]);
}

#[test]
fn invalid_json() {
    let bench = Bench::new();
    fs::write(bench.path("bundle/config.json"), "{ \"ociVersion\": ").unwrap();
    bench.create(&["config.json is not a valid OCI configuration", "line 1"]);
}

#[test]
fn unknown_version() {
    let bench = Bench::new();
    bench.config(|config| config["ociVersion"] = "2.0.0".into());
    bench.create(&["ociVersion \"2.0.0\" is not supported"]);
}

#[test]
fn missing_rootfs() {
    let bench = Bench::new();
    bench.config(|config| config["root"]["path"] = "nowhere".into());
    bench.create(&["root.path: cannot open", "bundle/nowhere: No such file"]);
}

#[test]
fn paths_that_lead_out() {
    let bench = Bench::new();
    bench.config(|config| config["root"]["path"] = "../bundle/rootfs".into());
    bench.create(&["root.path \"../bundle/rootfs\" leads out of the bundle"]);
    bench.config(|config| config["mounts"] = json!([{ "destination": "x/../../y", "type": "proc" }]));
    bench.create(&["mounts[0].destination", "must be an absolute path"]);
}

#[test]
fn empty_arguments_and_relative_cwd() {
    let bench = Bench::new();
    bench.config(|config| config["process"]["args"] = json!([]));
    bench.create(&["process.args must name the program to run"]);
    bench.config(|config| config["process"]["cwd"] = "tmp".into());
    bench.create(&["process.cwd \"tmp\" must be an absolute path"]);
}

#[test]
fn terminal_without_a_socket() {
    let bench = Bench::new();
    bench.config(|config| config["process"]["terminal"] = true.into());
    bench.create(&["process.terminal is set, but there is no --console-socket"]);
}

#[test]
fn ids_of_wrong_form() {
    for id in ["a/b", "..", "", "a b"] {
        let output = Bench::new().cloister(&["state", id]);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains("is not valid; use 1 to 1024 letters"), "{text}");
    }
}

#[test]
fn containers_that_do_not_exist() {
    let bench = Bench::new();
    for arguments in [&["state", "c"][..], &["start", "c"], &["kill", "c"], &["delete", "c"], &["wait", "c"]]
    {
        bench.refuses(arguments, &["container c does not exist", "cloister list"]);
    }
    assert!(bench.cloister(&["delete", "--force", "c"]).status.success());
}

#[test]
fn signals_that_do_not_exist() {
    Bench::new().refuses(&["kill", "c", "SIGNOPE"], &["\"SIGNOPE\" is not a signal"]);
}

#[test]
fn a_second_container_of_the_same_id() {
    let bench = Bench::new();
    bench.config(|_| {});
    fs::create_dir_all(bench.path("state/c")).unwrap();
    fs::write(bench.path("state/c/state.json"), "{}").unwrap();
    let bundle = bench.path("bundle");
    let output = bench.cloister(&["create", "--bundle", bundle.to_str().unwrap(), "c"]);
    assert_refused(&output, 1, &["container c exists already", "cloister delete c"]);
}

#[test]
fn remains_can_be_removed_by_force() {
    let bench = Bench::new();
    fs::create_dir_all(bench.path("state/c")).unwrap();
    let output = bench.cloister(&["state", "c"]);
    assert_refused(&output, 1, &["was not created to the end", "delete --force c"]);
    assert!(bench.cloister(&["delete", "--force", "c"]).status.success());
    bench.assert_clean();
}

#[test]
fn a_state_folder_that_cannot_be_written() {
    let bench = Bench::new();
    bench.config(|_| {});
    let bundle = bench.path("bundle");
    let arguments = ["--root", "/proc/cloister", "create", "--bundle", bundle.to_str().unwrap(), "c"];
    let output = Command::new(CLOISTER).args(arguments).output().unwrap();
    assert_refused(&output, 1, &["cannot use the state folder /proc/cloister", "--root"]);
}

#[test]
fn missing_programs_of_ours() {
    let bench = Bench::new();
    bench.config(|_| {});
    let bundle = bench.path("bundle");
    let bundle = bundle.to_str().unwrap();
    bench.refuses(
        &["--boot-binary", "/nonexistent/boot", "create", "--bundle", bundle, "c"],
        &["cannot open cloister-boot at /nonexistent/boot", "--boot-binary"],
    );
    bench.refuses(
        &["--boot-binary", CLOISTER, "--gofer-binary", "/etc/passwd", "run", "--bundle", bundle, "c"],
        &["cannot open cloister-gofer at /etc/passwd: Permission denied", "CLOISTER_GOFER"],
    );
}

/// This program stands in for a kernel that ends at once: it does not know the kernel's flags.
#[test]
fn a_kernel_that_ends_at_once_has_its_words_quoted() {
    let bench = Bench::new();
    bench.config(|_| {});
    let bundle = bench.path("bundle");
    let pid_file = bench.path("pid");
    let arguments =
        ["--boot-binary", CLOISTER, "--gofer-binary", CLOISTER, "run", "--bundle", bundle.to_str().unwrap()];
    let arguments = [&arguments[..], &["--pid-file", pid_file.to_str().unwrap(), "c"]].concat();
    bench.refuses(
        &arguments,
        &["cannot start the sandbox's kernel: cloister-boot ended (exit code 2)", "its log ends:", "--help"],
    );
    assert!(!pid_file.exists());
}

#[test]
fn do_fails_with_its_own_code() {
    let bench = Bench::new();
    for (arguments, parts) in [
        (&["do", "--root", "/nonexistent", "--", "true"][..], &["--root: cannot open /nonexistent"][..]),
        (&["do", "--volume", "/nonexistent:/x", "true"], &["--volume: cannot open /nonexistent"]),
        (&["do", "--cwd", "tmp", "true"], &["--cwd \"tmp\" must be an absolute path"]),
        (&["--boot-binary", "/nonexistent", "do", "true"], &["cannot open cloister-boot"]),
        (&["--boot-binary", CLOISTER, "--gofer-binary", CLOISTER, "do", "true"], &["cloister-boot ended"]),
    ] {
        assert_refused(&bench.cloister(arguments), 125, parts);
        bench.assert_clean();
    }
}

#[test]
fn errors_go_to_the_log_in_the_form_that_callers_read() {
    let bench = Bench::new();
    let log = bench.path("log");
    let output = bench.cloister(&["--log", log.to_str().unwrap(), "--log-format", "json", "state", "c"]);
    assert_refused(&output, 1, &["container c does not exist"]);
    let line: Value = serde_json::from_str(fs::read_to_string(&log).unwrap().trim()).unwrap();
    assert_eq!(line["level"], "error");
    assert!(line["msg"].as_str().unwrap().contains("container c does not exist"), "{line}");
    assert!(line["time"].as_str().unwrap().ends_with('Z'), "{line}");

    fs::remove_file(&log).unwrap();
    bench.cloister(&["--log", log.to_str().unwrap(), "state", "c"]);
    let line = fs::read_to_string(&log).unwrap();
    assert!(
        line.starts_with("time=\"") && line.contains(" level=error msg=\"container c does not exist"),
        "{line}"
    );
}

#[test]
fn spec_does_not_overwrite() {
    let bench = Bench::new();
    let bundle = bench.path("bundle");
    let arguments = ["spec", "--bundle", bundle.to_str().unwrap()];
    assert!(bench.cloister(&arguments).status.success());
    bench.refuses(&arguments, &["config.json", "remove the file first"]);
}

#[test]
fn an_empty_list_is_a_list() {
    let bench = Bench::new();
    assert_eq!(bench.cloister(&["list", "--format", "json"]).stdout, b"[]\n");
    assert_eq!(bench.cloister(&["list", "-q"]).stdout, b"");
}

#[test]
fn an_ordinary_user_without_a_state_folder() {
    let bench = Bench::new();
    if !rustix::process::geteuid().is_root() {
        return;
    }
    // The build folder may be closed to others, so the user gets a copy.
    let copy = bench.path("bundle/cloister");
    // By another program: a child that another test forks meanwhile must not hold the copy open for writing.
    assert!(Command::new("cp").arg(CLOISTER).arg(&copy).status().unwrap().success());
    fs::set_permissions(bench.folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    use std::os::unix::process::CommandExt;
    let output = Command::new(copy).env_clear().args(["list"]).uid(1000).gid(1000).output().unwrap();
    assert_refused(&output, 1, &["XDG_RUNTIME_DIR is not set", "--root"]);
}
