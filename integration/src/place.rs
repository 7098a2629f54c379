//! Where a program is run: natively, inside Cloister, inside another runtime.

use std::fmt::{self, Write};
use std::path::Path;
use std::process::Command;
use std::str::FromStr;

use anyhow::{Result, bail};

use crate::peers;
use crate::process::{self, Finished};
use crate::program::{Access, Program};
use crate::session::Session;

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

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Native => write!(f, "native"),
            Place::Cloister(None) => write!(f, "cloister"),
            Place::Cloister(Some(platform)) => write!(f, "cloister-{platform}"),
            Place::Crun => write!(f, "crun"),
            Place::Runsc(platform) => write!(f, "runsc-{platform}"),
        }
    }
}

/// From the names that [`Display`](fmt::Display) gives.
impl FromStr for Place {
    type Err = String;

    fn from_str(name: &str) -> Result<Place, String> {
        const ALL: [Place; 7] = [
            Place::Native,
            Place::Crun,
            Place::Runsc("ptrace"),
            Place::Runsc("systrap"),
            Place::Cloister(None),
            Place::Cloister(Some("ptrace")),
            Place::Cloister(Some("systrap")),
        ];
        let found = ALL.into_iter().find(|place| place.to_string() == name);
        found.ok_or_else(|| format!("the places are {}", ALL.map(|place| place.to_string()).join(", ")))
    }
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

    /// The same on a platform of Cloister's, if it is Cloister.
    #[must_use]
    pub fn on(self, platform: &'static str) -> Place {
        match self {
            Place::Cloister(_) => Place::Cloister(Some(platform)),
            other => other,
        }
    }

    /// Runs the program here.
    pub(crate) fn run(self, program: &Program, session: &Session<'_>) -> Result<Finished> {
        self.run_as(program, session, &session.write_bundle(program)?, session.id())
    }

    /// Runs the program here, of which `bundle` was written, in a container with an id of its own.
    pub(crate) fn run_as(
        self,
        program: &Program,
        session: &Session<'_>,
        bundle: &Path,
        id: &str,
    ) -> Result<Finished> {
        let mut command = match self {
            Place::Native => native(program, session)?,
            Place::Cloister(_) | Place::Crun | Place::Runsc(_) => {
                let mut command = match program.root {
                    Access::ReadOnly => self.runtime(session)?,
                    Access::ReadWrite => self.runtime_with_overlay(program, session)?,
                };
                command.arg("run").arg("--bundle").arg(bundle).arg(id);
                command
            }
        };
        process::run(&mut command, &program.input, program.limit)
    }

    /// The command of the runtime here, with its global flags; the subcommand is to follow.
    ///
    /// # Errors
    /// When the runtime is not there, or this place has none.
    pub fn runtime(self, session: &Session<'_>) -> Result<Command> {
        match self {
            Place::Native => bail!("nothing but `chroot` runs programs natively"),
            Place::Cloister(platform) => {
                let mut command = session.cloister()?;
                command.args(platform.into_iter().flat_map(|name| ["--platform", name]));
                Ok(command)
            }
            Place::Crun => crun(session, ""),
            Place::Runsc(platform) => runsc(session, platform),
        }
    }

    /// The same, for a program that writes in its root file system: that is kept in memory, for which sandboxes have an
    /// option, and the others get an overlay of the host's.
    fn runtime_with_overlay(self, program: &Program, session: &Session<'_>) -> Result<Command> {
        if self == Place::Crun {
            return crun(session, &overlay_in_memory(program, session)?);
        }
        let mut command = self.runtime(session)?;
        command.arg(if let Place::Runsc(_) = self {
            "--overlay2=root:memory"
        } else {
            "--overlay=root:memory"
        });
        Ok(command)
    }
}

/// A word for the shell.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// `chroot` in new namespaces. All mounts are in a mount namespace of its own and vanish with it.
fn native(program: &Program, session: &Session<'_>) -> Result<Command> {
    let rootfs = program.rootfs.path(session.lock())?;
    let mut script =
        format!("set -e\nulimit -Sn 1024\nulimit -Hn 4096\nR={}\n", quoted(&rootfs.display().to_string()));
    script.push_str(&match program.root {
        Access::ReadOnly => "mount --bind \"$R\" \"$R\"\n".to_owned(),
        Access::ReadWrite => overlay_in_memory(program, session)?,
    });
    script.push_str(
        "mount -t proc proc \"$R/proc\"\n\
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
    for bind in program.all_binds(session) {
        let (host, inside) = (quoted(&bind.host.display().to_string()), quoted(&bind.inside));
        writeln!(script, "mount --bind {host} \"$R\"{inside}")?;
        if bind.access == Access::ReadOnly {
            writeln!(script, "mount -o remount,bind,ro \"$R\"{inside}")?;
        }
    }
    if program.root == Access::ReadOnly {
        script.push_str("mount -o remount,bind,ro \"$R\"\n");
    }
    script.push_str(
        "chroot \"$R\" busybox hostname box\n\
         chroot \"$R\" busybox ip link set lo up\n",
    );
    let environment = program.environment().map(|(name, value)| quoted(&format!("{name}={value}")));
    let words = environment.chain(program.args.iter().map(|word| quoted(word))).collect::<Vec<_>>();
    writeln!(script, "exec chroot \"$R\" env -i --chdir={} {}", quoted(&program.cwd), words.join(" "))?;
    let mut command = Command::new("unshare");
    command.args(["--mount", "--uts", "--ipc", "--net", "--pid", "--fork", "--kill-child"]);
    command.args(["--propagation", "private", "--", "sh", "-c", &script]);
    Ok(command)
}

/// Lines for the shell, in a mount namespace of its own, that put an overlay in memory on the root file system.
fn overlay_in_memory(program: &Program, session: &Session<'_>) -> Result<String> {
    let (upper, rootfs) = (session.dir().join("upper"), program.rootfs.path(session.lock())?);
    let [upper, rootfs] = [upper, rootfs].map(|path| quoted(&path.display().to_string()));
    Ok(format!(
        "mkdir -p {upper}\nmount -t tmpfs tmpfs {upper}\nmkdir {upper}/files {upper}/work\n\
         mount -t overlay -o lowerdir={rootfs},upperdir={upper}/files,workdir={upper}/work overlay {rootfs}\n"
    ))
}

/// `crun` refuses machines with version 1 cgroups and a version 2 hierarchy beside them, so that one is hidden from it.
const HIDE_CGROUP2: &str = "if [ -e /sys/fs/cgroup/unified/cgroup.procs ]; then umount -l /sys/fs/cgroup/unified; fi\n\
                            exec \"$@\"";

/// `crun`, after the lines of `before`.
fn crun(session: &Session<'_>, before: &str) -> Result<Command> {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "--", "sh", "-c"]);
    command.arg(format!("{before}{HIDE_CGROUP2}")).arg("sh");
    command.env("LD_LIBRARY_PATH", peers::libraries()?);
    command.arg(peers::program("crun", session.lock())?).arg("--root").arg(session.peer_dir());
    Ok(command)
}

fn runsc(session: &Session<'_>, platform: &str) -> Result<Command> {
    let mut command = Command::new(peers::program("runsc", session.lock())?);
    command.arg("--root").arg(session.peer_dir());
    command.arg(format!("--platform={platform}")).args(["--network=none", "--ignore-cgroups"]);
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::Place;

    #[test]
    fn names_of_places() {
        for name in ["native", "crun", "runsc-systrap", "cloister", "cloister-ptrace"] {
            assert_eq!(name.parse::<Place>().map(|place| place.to_string()), Ok(name.to_owned()));
        }
        assert_eq!("cloister-kvm".parse::<Place>().ok(), None);
    }
}
