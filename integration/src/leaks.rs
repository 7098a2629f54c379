//! Checks that a run leaves nothing behind: no process, mount, cgroup, socket or folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

use crate::processes::Process;

/// How long processes may take to end by themselves after the command that started them has.
const GRACE: Duration = Duration::from_secs(10);

/// The watch over one run.
#[derive(Debug)]
pub struct Leaks {
    id: String,
    dir: PathBuf,
}

impl Leaks {
    /// Begins to watch: from now on, orphans of what this process starts become its children, and so can be found.
    ///
    /// `id` is in the name of everything that the run makes, and `dir` is the folder that it works in.
    ///
    /// # Errors
    /// When this process cannot be made the adopter of orphans.
    pub fn watch(id: &str, dir: &Path) -> Result<Self> {
        prctl::set_child_subreaper(true).context("cannot become a subreaper")?;
        Ok(Self { id: id.to_owned(), dir: dir.to_owned() })
    }

    /// Looks for what is left, and ends the processes among it.
    ///
    /// # Errors
    /// With a list, when something is left.
    pub fn check(&self) -> Result<()> {
        let mut left = left_processes();
        left.extend(self.mounts());
        left.extend(self.sockets());
        left.extend(self.cgroups());
        left.extend(self.files());
        if !left.is_empty() {
            bail!("left behind:\n  {}", left.join("\n  "));
        }
        Ok(())
    }

    fn mounts(&self) -> Vec<String> {
        let dir = self.dir.display().to_string();
        lines_with("/proc/self/mountinfo", &[&self.id, &dir])
            .into_iter()
            .map(|line| format!("mount: {line}"))
            .collect()
    }

    fn sockets(&self) -> Vec<String> {
        let dir = self.dir.display().to_string();
        lines_with("/proc/net/unix", &[&self.id, &dir])
            .into_iter()
            .map(|line| format!("socket: {line}"))
            .collect()
    }

    fn cgroups(&self) -> Vec<String> {
        let mut found = Vec::new();
        find_named(Path::new("/sys/fs/cgroup"), &self.id, 4, &mut found);
        found.into_iter().map(|path| format!("cgroup: {}", path.display())).collect()
    }

    /// Files named after the run outside its own folder, and what is left of its state.
    fn files(&self) -> Vec<String> {
        let mut found = Vec::new();
        for dir in ["/tmp", "/run", "/var/run/cloister", "/dev/shm"] {
            find_named(Path::new(dir), &self.id, 2, &mut found);
        }
        find_named(&self.dir.join("state"), &self.id, 2, &mut found);
        found.into_iter().map(|path| format!("file: {}", path.display())).collect()
    }
}

fn lines_with(path: &str, words: &[&str]) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().filter(|line| words.iter().any(|word| line.contains(word))).map(str::to_owned).collect()
}

fn find_named(dir: &Path, name: &str, depth: u32, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if entry.file_name().to_string_lossy().contains(name) {
            found.push(path);
        } else if depth > 1 && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            find_named(&path, name, depth - 1, found);
        }
    }
}

/// Reaps what ended, waits for what is about to, kills and names the rest.
fn left_processes() -> Vec<String> {
    let until = Instant::now() + GRACE;
    loop {
        let mut alive = Process::own().children();
        alive.retain(|&process| !reap(process));
        if alive.is_empty() {
            return Vec::new();
        }
        if Instant::now() < until {
            thread::sleep(Duration::from_millis(5));
            continue;
        }
        let all: Vec<Process> =
            alive.iter().copied().chain(alive.iter().flat_map(|p| p.descendants())).collect();
        let names = all.iter().map(|&process| format!("process: {}", describe(process))).collect();
        for process in all {
            // A failure means that it has just ended.
            let _ = kill(Pid::from_raw(process.0), Signal::SIGKILL);
            let _ = waitpid(Pid::from_raw(process.0), None);
        }
        return names;
    }
}

/// Whether the child had ended; if so nothing is left of it.
fn reap(process: Process) -> bool {
    let pid = Pid::from_raw(process.0);
    waitpid(pid, Some(WaitPidFlag::WNOHANG)).is_ok_and(|status| status.pid() == Some(pid))
}

fn describe(process: Process) -> String {
    let name = process.name().unwrap_or_default();
    format!("{} {name} {}", process.0, process.read("cmdline").unwrap_or_default().replace('\0', " "))
}
