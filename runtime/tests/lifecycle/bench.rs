//! A place for a test, which is checked to be as clean at the end as it was.

use std::fs::{self, File};
use std::io::{Read, Seek};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use rustix::process::Pid;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A bundle and a state folder.
pub(crate) struct Bench {
    folder: TempDir,
}

impl Bench {
    pub(crate) fn new(args: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("bundle/rootfs")).unwrap();
        let bench = Self { folder };
        bench.configure(args, |_| {});
        bench
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    pub(crate) fn configure(&self, args: &[&str], change: impl FnOnce(&mut Value)) {
        let mut config = json!({
            "ociVersion": "1.0.2",
            "process": { "cwd": "/", "args": args, "user": { "uid": 0, "gid": 0 } },
            "root": { "path": "rootfs" },
            "mounts": [{ "destination": "/data", "type": "bind", "source": "rootfs", "options": ["ro"] }],
            "annotations": { "key": "value" },
            "linux": { "namespaces": [{ "type": "network" }] },
        });
        change(&mut config);
        fs::write(self.path("bundle/config.json"), config.to_string()).unwrap();
    }

    /// The command with this program in the parts of the sandbox's.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let this = std::env::current_exe().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_cloister"));
        command
            .current_dir(self.path("bundle"))
            .env("TMPDIR", self.folder.path())
            .env("CLOISTER_BOOT", &this)
            .env("CLOISTER_GOFER", &this)
            .env("CLOISTER_ROOT", self.path("state"))
            .args(arguments)
            .stdin(Stdio::null());
        command
    }

    /// Runs a command to its end. Its output goes to files: a pipe would stay open in the container that it leaves.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        let (mut stdout, mut stderr) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        let mut command = self.command(arguments);
        command.stdout(stdout.try_clone().unwrap()).stderr(stderr.try_clone().unwrap());
        let status = command.status().unwrap();
        let read = |file: &mut File| {
            let mut bytes = Vec::new();
            file.rewind().unwrap();
            file.read_to_end(&mut bytes).unwrap();
            bytes
        };
        Output { status, stdout: read(&mut stdout), stderr: read(&mut stderr) }
    }

    /// Runs a command that must succeed, and gives its output.
    pub(crate) fn succeeds(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a command that must fail with a code and one line that has all of `parts`.
    pub(crate) fn fails(&self, arguments: &[&str], code: i32, parts: &[&str]) {
        let output = self.run(arguments);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), text.lines().count()), (Some(code), 1), "{text}");
        for part in parts {
            assert!(text.contains(part), "no {part:?} in: {text}");
        }
    }

    pub(crate) fn state(&self, id: &str) -> Value {
        serde_json::from_str(&self.succeeds(&["state", id])).unwrap()
    }

    /// Waits until `done`; for a minute at most.
    pub(crate) fn until(&self, what: &str, mut done: impl FnMut() -> bool) {
        for _ in 0..6000 {
            if done() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        panic!("{what}: not within a minute");
    }

    /// Nothing is left: no state, no files of `do`, no process of a sandbox.
    pub(crate) fn assert_clean(&self) {
        let state: Vec<_> = fs::read_dir(self.path("state")).map_or_else(|_| Vec::new(), Iterator::collect);
        assert!(state.is_empty(), "{state:?}");
        for entry in fs::read_dir(self.folder.path()).unwrap() {
            let name = entry.unwrap().file_name();
            assert!(!name.to_string_lossy().starts_with("cloister-"), "{name:?}");
        }
        let mine = self.processes();
        assert!(mine.is_empty(), "processes are left: {mine:?}");
    }

    /// The process of a sandbox of this test that has this name.
    pub(crate) fn process(&self, name: &str) -> Pid {
        let of_name = |path: &PathBuf| {
            fs::read(path.join("cmdline")).is_ok_and(|line| line.starts_with(name.as_bytes()))
        };
        let path = self.processes().into_iter().find(of_name).unwrap();
        Pid::from_raw(path.file_name().unwrap().to_str().unwrap().parse().unwrap()).unwrap()
    }

    /// Processes of sandboxes that this test started: each has a descriptor of its folder's files open.
    pub(crate) fn processes(&self) -> Vec<PathBuf> {
        let folder = self.folder.path();
        let processes = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
        processes
            .filter(|path| fs::read(path.join("cmdline")).is_ok_and(|line| line.starts_with(b"cloister-")))
            .filter(|path| {
                let open = fs::read_dir(path.join("fd")).into_iter().flatten().flatten();
                open.filter_map(|entry| fs::read_link(entry.path()).ok()).any(|file| file.starts_with(folder))
            })
            .collect()
    }
}
