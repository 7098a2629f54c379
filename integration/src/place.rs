//! Where a program is run: natively, inside Cloister, inside another runtime.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process::{self, Finished};
use crate::program::{Access, Run};
use crate::{bundle, paths, peers};

/// File systems in memory that every program gets.
pub const TMPFS: [&str; 5] = ["/tmp", "/run", "/root", "/var/tmp", "/mnt/tmpfs"];

/// Where a program is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// On the host's kernel under `chroot`, in namespaces as a container has them.
    Native,
    /// Inside Cloister, on the named platform or the default one.
    Cloister(Option<&'static str>),
    /// Inside a container of `crun`.
    Crun,
    /// Inside gVisor, on the named platform.
    Runsc(&'static str),
}

impl Place {
    /// The sandbox under test: Cloister, or what `CLOISTER_TEST_RUNTIME` names (`crun`, `runsc`), by which the tests
    /// themselves can be checked.
    ///
    /// # Errors
    /// When the variable names something else.
    pub fn under_test() -> Result<Place> {
        match std::env::var("CLOISTER_TEST_RUNTIME").as_deref() {
            Err(_) | Ok("" | "cloister") => Ok(Place::Cloister(None)),
            Ok("native") => Ok(Place::Native),
            Ok("crun") => Ok(Place::Crun),
            Ok("runsc") => Ok(Place::Runsc("systrap")),
            Ok(other) => {
                bail!("CLOISTER_TEST_RUNTIME is `{other}`: it can be cloister, native, crun or runsc")
            }
        }
    }

    /// Runs the program here.
    pub(crate) fn run(self, run: &Run<'_>) -> Result<Finished> {
        let mut command = match self {
            Place::Native => native(run)?,
            Place::Cloister(platform) => cloister(run, platform)?,
            Place::Crun => crun(run)?,
            Place::Runsc(platform) => runsc(run, platform)?,
        };
        process::run(&mut command, &run.program.input, run.program.limit)
    }
}

/// A word for the shell.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// `chroot` in new namespaces. All mounts are in a mount namespace of its own and vanish with it.
fn native(run: &Run<'_>) -> Result<Command> {
    let mut script = format!(
        "set -e\nulimit -Sn 1024\nulimit -Hn 4096\nR={}\n",
        quoted(&run.rootfs.display().to_string())
    );
    script.push_str(
        "mount --bind \"$R\" \"$R\"\n\
         mount -t proc proc \"$R/proc\"\n\
         mount -t sysfs -o ro sysfs \"$R/sys\"\n\
         mount -t tmpfs -o mode=755 tmpfs \"$R/dev\"\n\
         mkdir \"$R/dev/pts\" \"$R/dev/shm\"\n\
         mount -t devpts -o newinstance,ptmxmode=0666,mode=0620,gid=5 devpts \"$R/dev/pts\"\n\
         mount -t tmpfs -o mode=1777 shm \"$R/dev/shm\"\n\
         for d in null zero full random urandom tty; do touch \"$R/dev/$d\"; mount --bind /dev/$d \"$R/dev/$d\"; done\n\
         ln -s pts/ptmx \"$R/dev/ptmx\"; ln -s /proc/self/fd \"$R/dev/fd\"\n\
         for n in 0:stdin 1:stdout 2:stderr; do ln -s /proc/self/fd/${n%:*} \"$R/dev/${n#*:}\"; done\n",
    );
    for path in TMPFS {
        writeln!(script, "mount -t tmpfs -o mode=1777 tmpfs \"$R{path}\"")?;
    }
    for bind in &run.program.binds {
        let (host, inside) = (quoted(&bind.host.display().to_string()), quoted(&bind.inside));
        writeln!(script, "mount --bind {host} \"$R\"{inside}")?;
        if bind.access == Access::ReadOnly {
            writeln!(script, "mount -o remount,bind,ro \"$R\"{inside}")?;
        }
    }
    script.push_str(
        "mount -o remount,bind,ro \"$R\"\n\
         chroot \"$R\" busybox hostname box\n\
         chroot \"$R\" busybox ip link set lo up\n",
    );
    let environment = run.program.environment().map(|(name, value)| quoted(&format!("{name}={value}")));
    let words = environment.chain(run.program.args.iter().map(|word| quoted(word))).collect::<Vec<_>>();
    writeln!(script, "exec chroot \"$R\" env -i --chdir={} {}", quoted(&run.program.cwd), words.join(" "))?;
    let mut command = Command::new("unshare");
    command.args(["--mount", "--uts", "--ipc", "--net", "--pid", "--fork", "--kill-child"]);
    command.args(["--propagation", "private", "--", "sh", "-c", &script]);
    Ok(command)
}

/// Writes the bundle and returns its path.
fn bundle_of(run: &Run<'_>) -> Result<PathBuf> {
    let bundle = run.dir.join("bundle");
    std::fs::create_dir_all(&bundle).with_context(|| format!("cannot make {}", bundle.display()))?;
    bundle::write(&bundle, &bundle::config(run.program, run.rootfs))?;
    Ok(bundle)
}

/// The `cloister` command with the global flags of a run: its state lies in the run's folder.
///
/// # Errors
/// When it has not been built.
pub fn cloister_command(run: &Run<'_>) -> Result<Command> {
    let mut command = Command::new(paths::built("cloister")?);
    command.arg("--root").arg(run.dir.join("state"));
    Ok(command)
}

fn cloister(run: &Run<'_>, platform: Option<&str>) -> Result<Command> {
    let bundle = bundle_of(run)?;
    let mut command = cloister_command(run)?;
    if let Some(platform) = platform {
        command.args(["--platform", platform]);
    }
    command.arg("run").arg("--bundle").arg(bundle).arg(run.id);
    Ok(command)
}

/// `crun` refuses machines with version 1 cgroups and a version 2 hierarchy beside them, so that one is hidden from it.
const HIDE_CGROUP2: &str = "if [ -e /sys/fs/cgroup/unified/cgroup.procs ]; then umount -l /sys/fs/cgroup/unified; fi\n\
                            exec \"$@\"";

fn crun(run: &Run<'_>) -> Result<Command> {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "--", "sh", "-c", HIDE_CGROUP2, "sh"]);
    command.env("LD_LIBRARY_PATH", peers::libraries()?);
    command.arg(peers::program("crun", run.lock)?).arg("--root").arg(run.dir.join("state"));
    command.arg("run").arg("--bundle").arg(bundle_of(run)?).arg(run.id);
    Ok(command)
}

fn runsc(run: &Run<'_>, platform: &str) -> Result<Command> {
    let mut command = Command::new(peers::program("runsc", run.lock)?);
    command.arg("--root").arg(run.dir.join("state"));
    command.arg(format!("--platform={platform}")).args(["--network=none", "--ignore-cgroups"]);
    command.arg("run").arg("--bundle").arg(bundle_of(run)?).arg(run.id);
    Ok(command)
}
