//! A containerd of a test's own: its state, its sockets and its images are in a folder of the session's name, and nothing of
//! a containerd that the machine may have is touched.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::process::{self, Finished, Status};
use crate::processes::Process;
use crate::{Session, image, soon};

/// The image that is there.
pub const IMAGE: &str = "localhost/box:1";
/// The runtime under test.
pub const RUNTIME: &str = "io.containerd.cloister.v1";

/// How long a command of containerd's client may take.
const LIMIT: Duration = Duration::from_secs(120);

/// A containerd that runs.
#[derive(Debug)]
pub struct Containerd<'a> {
    session: &'a Session<'a>,
    /// On a file system in memory: so overlays can be made, and all goes with it.
    dir: PathBuf,
    daemon: Option<Child>,
}

impl<'a> Containerd<'a> {
    /// Does the work with a containerd that has the image, and checks that nothing is left of its containers.
    ///
    /// # Errors
    /// The work's, containerd cannot be started, or something is left.
    pub fn during<T>(
        session: &Session<'_>,
        work: impl FnOnce(&mut Containerd<'_>) -> Result<T>,
    ) -> Result<T> {
        let mut containerd = Containerd::begin(session)?;
        let done = containerd.import().and_then(|()| work(&mut containerd));
        let log = fs::read_to_string(containerd.dir.join("log")).unwrap_or_default();
        let left = containerd.end(done.is_err());
        let lines: Vec<_> = log.lines().rev().take(30).collect();
        let done = done.with_context(|| {
            format!("containerd's log ends:\n{}", lines.into_iter().rev().collect::<Vec<_>>().join("\n"))
        })?;
        left?;
        Ok(done)
    }

    fn begin(session: &'a Session<'a>) -> Result<Self> {
        // A socket's path must be short.
        let dir = PathBuf::from(format!("/run/containerd-{}", session.id()));
        fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        mount(Some("tmpfs"), &dir, Some("tmpfs"), MsFlags::empty(), Some("mode=711"))?;
        let mut this = Self { session, dir, daemon: None };
        let config = format!(
            "version = 2\nroot = \"{0}/root\"\nstate = \"{0}/state\"\noom_score = 0\n\
             disabled_plugins = [\"io.containerd.grpc.v1.cri\", \"io.containerd.snapshotter.v1.btrfs\", \
             \"io.containerd.snapshotter.v1.devmapper\", \"io.containerd.snapshotter.v1.zfs\", \
             \"io.containerd.snapshotter.v1.aufs\"]\n\
             [grpc]\naddress = \"{0}/sock\"\n[ttrpc]\naddress = \"{0}/sock.ttrpc\"\n\
             [plugins.\"io.containerd.internal.v1.opt\"]\npath = \"{0}/opt\"\n",
            this.dir.display()
        );
        fs::write(this.dir.join("config.toml"), config)?;
        fs::write(this.dir.join("shim.toml"), format!("root = \"{}\"\n", session.state_dir().display()))?;
        match this.start() {
            Ok(()) => Ok(this),
            Err(error) => {
                // The failure is what is to be seen.
                let _ = this.end(true);
                Err(error)
            }
        }
    }

    /// Starts the daemon, or starts it again.
    ///
    /// # Errors
    /// When it is not installed, or does not come up.
    pub fn start(&mut self) -> Result<()> {
        let log = File::options().create(true).append(true).open(self.dir.join("log"))?;
        let mut command = Command::new("containerd");
        command.arg("--config").arg(self.dir.join("config.toml")).env("PATH", image::search_path()?);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        self.daemon = Some(command.spawn().context("is containerd installed? see tools/setup")?);
        soon(|| {
            let done = self.ctr(&["version"])?;
            ensure!(done.status == Status::Code(0), "containerd does not answer\n{done}");
            Ok(())
        })
    }

    /// Ends the daemon by a signal; what it has started lives on.
    ///
    /// # Errors
    /// When it does not run.
    pub fn stop(&mut self, signal: Signal) -> Result<()> {
        let mut daemon = self.daemon.take().context("containerd does not run")?;
        kill(Pid::from_raw(i32::try_from(daemon.id())?), signal)?;
        daemon.wait()?;
        Ok(())
    }

    fn import(&self) -> Result<()> {
        let (work, archive) = (self.dir.join("image"), self.dir.join("image.tar"));
        image::write(IMAGE, &work, &archive, self.session.lock())?;
        self.ok(&["images", "import", archive.to_str().context("odd path")?])?;
        Ok(fs::remove_dir_all(work)?)
    }

    /// The folder with its files.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The namespace of the session's containers.
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.session.id()
    }

    /// containerd's client with arguments.
    #[must_use]
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("ctr");
        command
            .arg("--address")
            .arg(self.dir.join("sock"))
            .args(["--namespace", self.namespace()])
            .args(args);
        command
    }

    /// Runs containerd's client.
    ///
    /// # Errors
    /// When it cannot be run. That it fails is no error here.
    pub fn ctr(&self, args: &[&str]) -> Result<Finished> {
        self.give(args, b"")
    }

    /// Runs containerd's client with standard input.
    ///
    /// # Errors
    /// As [`ctr`](Self::ctr).
    pub fn give(&self, args: &[&str], input: &[u8]) -> Result<Finished> {
        process::run(&mut self.command(args), input, LIMIT)
    }

    /// Runs containerd's client, which must end with this code.
    ///
    /// # Errors
    /// When it does not.
    pub fn ends_with(&self, code: i32, args: &[&str]) -> Result<Finished> {
        let done = self.ctr(args)?;
        ensure!(done.status == Status::Code(code), "ctr {}\n{done}", args.join(" "));
        Ok(done)
    }

    /// Runs containerd's client, which must succeed.
    ///
    /// # Errors
    /// When it does not.
    pub fn ok(&self, args: &[&str]) -> Result<Finished> {
        self.ends_with(0, args)
    }

    /// The arguments of `ctr run` that are always the same, and these.
    #[must_use]
    pub fn run_args(&self, args: &[&str]) -> Vec<String> {
        let config = format!("--runtime-config-path={}", self.dir.join("shim.toml").display());
        let fixed = ["run", "--runtime", RUNTIME, &config].map(str::to_owned);
        fixed.into_iter().chain(args.iter().map(|&argument| argument.to_owned())).collect()
    }

    /// Runs a container: `args` are flags of `ctr run`, the image, the id and the command.
    ///
    /// # Errors
    /// As [`ctr`](Self::ctr).
    pub fn run(&self, args: &[&str]) -> Result<Finished> {
        let args = self.run_args(args);
        self.ctr(&args.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Ids of the tasks that there are.
    ///
    /// # Errors
    /// When containerd does not answer.
    pub fn tasks(&self) -> Result<Vec<String>> {
        Ok(self.ok(&["tasks", "list", "--quiet"])?.stdout.lines().map(str::to_owned).collect())
    }

    /// Removes all containers, ends the daemon, and removes the folder. Checks that nothing is left of a container unless the
    /// test has failed.
    fn end(mut self, has_failed: bool) -> Result<()> {
        if self.daemon.is_some() {
            for id in self.tasks().unwrap_or_default() {
                let _ = self.ctr(&["tasks", "delete", "--force", &id]);
            }
            for id in self
                .ctr(&["containers", "list", "--quiet"])
                .map(|done| done.stdout)
                .unwrap_or_default()
                .lines()
            {
                let _ = self.ctr(&["containers", "delete", id]);
            }
            self.stop(Signal::SIGTERM)?;
        }
        let left = if has_failed { Ok(()) } else { self.check() };
        self.remove_groups();
        let mounts = fs::read_to_string("/proc/self/mountinfo")?;
        let dir = self.dir.display().to_string();
        let ours =
            mounts.lines().filter_map(|line| line.split(' ').nth(4)).filter(|path| path.starts_with(&dir));
        for path in ours.collect::<Vec<_>>().into_iter().rev() {
            umount2(path, MntFlags::MNT_DETACH)?;
        }
        fs::remove_dir(&self.dir)?;
        left
    }

    /// Removes the control groups that containers' groups were in, which are named after the namespace: runtimes leave them.
    /// Those of containers that are left are not empty, and so stay to be found.
    fn remove_groups(&self) {
        let hierarchies =
            fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten().map(|entry| entry.path());
        for folder in hierarchies.chain([PathBuf::from("/sys/fs/cgroup")]) {
            let _ = fs::remove_dir(folder.join(self.namespace()));
        }
    }

    /// Checks that no shim, no bundle and no mount of a container is left.
    fn check(&self) -> Result<()> {
        let bundles = self.dir.join("state/io.containerd.runtime.v2.task").join(self.namespace());
        let names = |dir: &Path| -> Vec<String> {
            let entries = fs::read_dir(dir).into_iter().flatten().flatten();
            entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
        };
        ensure!(names(&bundles).is_empty(), "bundles are left: {:?}", names(&bundles));
        let state = self.session.state_dir().join(self.namespace());
        ensure!(names(&state).is_empty(), "state of containers is left: {:?}", names(&state));
        fs::remove_dir_all(self.session.state_dir()).or_else(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Ok(()),
            _ => Err(error),
        })?;
        let sock = self.dir.join("sock").display().to_string();
        soon(|| {
            let shims = Process::own().descendants();
            let shims = shims.into_iter().filter_map(|process| process.read("cmdline").ok());
            let shims: Vec<_> = shims.filter(|line| line.contains(&sock) && line.contains("shim")).collect();
            ensure!(shims.is_empty(), "shims are left: {shims:?}");
            Ok(())
        })
    }
}
