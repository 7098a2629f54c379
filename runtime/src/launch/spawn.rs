//! A process on its way to its program.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::io::{Errno, retry_on_intr};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

use super::child::{Failure, MAX_BINDS, Step};
use super::plan::lift_one;
use super::process::Process;
use super::{LaunchError, OomScores, Plan, idmap, sys};

/// A process on its way to its program. Dropping it kills it.
#[derive(Debug)]
pub struct Pending {
    process: Process,
    sync: OwnedFd,
    plan: Plan,
}

impl Pending {
    /// Forks the process. Several can be on their way at a time: the work is done on their side.
    ///
    /// # Errors
    ///
    /// [`LaunchError::Namespaces`] if they cannot be made.
    pub fn start(mut plan: Plan) -> Result<Self, LaunchError> {
        if plan.root.binds.len() > MAX_BINDS {
            return Err(LaunchError::Argument { name: plan.name, what: "list serves too many folders" });
        }
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
                .map_err(LaunchError::system("make a socket pair"))?;
        // Neither may be where the child puts the process' descriptors.
        let theirs = lift_one(theirs.as_fd(), plan.descriptors.len())?;
        plan.image.program = lift_one(plan.image.program.as_fd(), plan.descriptors.len())?;
        let process = sys::spawn(&plan, theirs.as_fd()).map_err(|source| namespaces_error(&plan, source))?;
        drop(theirs);
        if plan.has_user_namespace() {
            idmap::write(process.pid(), &plan.identity).map_err(|source| namespaces_error(&plan, source))?;
        }
        if let Some(adjustment) = plan.limits.oom_score_adj {
            OomScores::set(process.pid(), adjustment);
        }
        // A failure to write means that the child has ended, which the read below tells better.
        let _ = rustix::io::write(&ours, b"\n");
        Ok(Self { process, sync: ours, plan })
    }

    /// Waits until the program is executed.
    ///
    /// # Errors
    ///
    /// What failed on the way, or [`LaunchError::TimedOut`].
    pub fn finish(self, timeout: Duration) -> Result<Process, LaunchError> {
        let name = self.plan.name;
        set_socket_timeout(&self.sync, Timeout::Recv, Some(timeout))
            .map_err(LaunchError::system("set a time-out"))?;
        let mut report = [0; Failure::SIZE];
        match retry_on_intr(|| rustix::io::read(&self.sync, &mut report)) {
            // The socket closes by the exec, or by a death on the way, which is found out by who needs the process.
            Ok(0) => Ok(self.process),
            Ok(_) => Err(self.explain(report)),
            Err(Errno::AGAIN) => Err(LaunchError::TimedOut { name, after: timeout }),
            Err(errno) => Err(LaunchError::system("hear from a child")(errno)),
        }
    }

    fn explain(&self, report: [u8; Failure::SIZE]) -> LaunchError {
        let name = self.plan.name;
        let Some(failure) = Failure::from_bytes(report) else {
            return LaunchError::Child {
                name,
                step: "be understood".into(),
                source: io::ErrorKind::InvalidData.into(),
            };
        };
        let bind =
            self.plan.root.binds.get(usize::from(failure.bind)).filter(|_| failure.step.concerns_bind());
        let step = match bind {
            Some(bind) => format!("{} ({})", failure.step.text(), bind.source.to_string_lossy()),
            // The file is there: what is not is the dynamic loader that it names.
            None if failure.step == Step::Execute && failure.errno == libc::ENOENT => {
                "execute the program, which must be linked statically".to_owned()
            }
            None => failure.step.text().to_owned(),
        };
        LaunchError::Child { name, step, source: io::Error::from_raw_os_error(failure.errno) }
    }
}

impl Plan {
    pub(super) fn has_user_namespace(&self) -> bool {
        self.namespaces & u64::try_from(libc::CLONE_NEWUSER).unwrap_or_default() != 0
    }
}

fn namespaces_error(plan: &Plan, source: io::Error) -> LaunchError {
    let advice = match source.raw_os_error() {
        Some(libc::EPERM) | Some(libc::EACCES) if plan.has_user_namespace() => {
            "this host forbids user namespaces here: see kernel.unprivileged_userns_clone, \
             kernel.apparmor_restrict_unprivileged_userns, or the seccomp profile of the container this runs in"
        }
        Some(libc::EPERM) => {
            "this needs CAP_SYS_ADMIN: run it as root, or as an ordinary user with user namespaces"
        }
        Some(libc::ENOSPC) | Some(libc::EUSERS) => {
            "a limit of namespaces is reached: see the files in /proc/sys/user, user.max_user_namespaces above all"
        }
        _ => "the kernel must be 5.12 or newer with user, pid, ipc, uts and network namespaces",
    };
    LaunchError::Namespaces { name: plan.name, source, advice }
}

#[cfg(test)]
mod tests {
    //! The probe is this test program itself, executed as a sandbox's process: being static, it runs in an empty root.

    use super::*;
    use crate::launch::plan::Image;
    use crate::launch::{Binary, Bind, boot, gofer};
    use rustix::fs::{MemfdFlags, memfd_create};
    use rustix::thread::CapabilitySet;
    use std::fmt::Write as _;
    use std::fs::{self, File};
    use std::io::{Read as _, Seek as _};
    use std::os::unix::ffi::OsStringExt as _;
    use std::path::Path;

    /// Reports what the process is, on standard error.
    #[test]
    #[ignore = "is run by the other tests as a program of its own"]
    fn probe() {
        let mut report = String::new();
        let mut say = |what: &str, value: String| writeln!(report, "{what}={value}").unwrap();
        say("uid", rustix::process::getuid().as_raw().to_string());
        say("groups", format!("{:?}", rustix::process::getgroups().unwrap()));
        say("pid", std::process::id().to_string());
        let sets = rustix::thread::capabilities(None).unwrap();
        say("effective", format!("{:?}", sets.effective));
        say("permitted", format!("{:?}", sets.permitted));
        let bounding = (0..64u32).filter(|number| {
            let capability = CapabilitySet::from_bits_retain(1 << number);
            rustix::thread::capability_is_in_bounding_set(capability).unwrap_or(false)
        });
        say("bounding", format!("{:?}", bounding.collect::<Vec<_>>()));
        say("no_new_privs", rustix::thread::no_new_privs().unwrap().to_string());
        let mut names: Vec<_> = fs::read_dir("/")
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        say("root", names.join(","));
        say("write", format!("{:?}", File::create("/x").unwrap_err().kind()));
        if let Ok(text) = fs::read_to_string("/0/file") {
            say("file", text);
            say(
                "create",
                File::create("/0/new").map_or_else(|error| error.kind().to_string(), |_| "ok".into()),
            );
            say("covered", fs::read_dir("/0/proc").unwrap().count().to_string());
        }
        let open = (0..1024).filter(|number| is_open(*number));
        say("open", format!("{:?}", open.collect::<Vec<i32>>()));
        say("nodename", rustix::system::uname().nodename().to_string_lossy().into_owned());
        eprint!("{report}");
    }

    #[expect(
        unsafe_code,
        reason = "asks about a descriptor number that may be closed, which has no safe form"
    )]
    fn is_open(number: i32) -> bool {
        // SAFETY: the call only tells the descriptor's flags.
        unsafe { libc::fcntl(number, libc::F_GETFD) >= 0 }
    }

    fn this_program() -> Binary {
        let path = std::env::current_exe().unwrap();
        Binary { name: "probe", file: File::open(&path).unwrap().into(), path }
    }

    fn run_probe(mut plan: Plan, mut output: File) -> String {
        let arguments = ["launch::spawn::tests::probe", "--exact", "--ignored", "--nocapture"];
        plan.image = Image::new(this_program(), arguments.map(Into::into).into()).unwrap();
        let mut process = Pending::start(plan).unwrap().finish(Duration::from_secs(10)).unwrap();
        let exit = process.wait(Some(Duration::from_secs(10))).unwrap();
        let mut report = String::new();
        output.rewind().unwrap();
        output.read_to_string(&mut report).unwrap();
        assert_eq!(exit, Some(crate::launch::Exit::Code(0)), "{report}");
        report
    }

    fn output() -> File {
        memfd_create("output", MemfdFlags::CLOEXEC).unwrap().into()
    }

    fn assert_lines(report: &str, lines: &[&str]) {
        for line in lines {
            assert!(report.lines().any(|found| found == *line), "no line {line:?} in:\n{report}");
        }
    }

    #[test]
    fn boot_has_nothing() {
        let output = output();
        let control = output.try_clone().unwrap();
        let options = boot::Options {
            id: "x",
            control: control.as_fd(),
            errors: output.as_fd(),
            log: output.as_fd(),
            log_limit: Some(1 << 20),
            log_format: "text",
            log_level: "info",
            platform: None,
            dcache: None,
            cpus: None,
            memory: None,
            strace: None,
            user_log: None,
            panic_log: None,
            terminal: None,
        };
        let plan = boot::plan(this_program(), &options).unwrap();
        let report = run_probe(plan, output);
        assert_lines(
            &report,
            &[
                "uid=65534",
                "pid=1",
                "effective=CapabilitySet(0x0)",
                "permitted=CapabilitySet(0x0)",
                "bounding=[]",
                "no_new_privs=true",
                "root=",
                "write=ReadOnlyFilesystem",
                "open=[0, 1, 2, 3, 4]",
                "nodename=cloister",
            ],
        );
    }

    fn served() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), "served").unwrap();
        fs::create_dir(folder.path().join("proc")).unwrap();
        fs::write(folder.path().join("proc/secret"), "").unwrap();
        folder
    }

    fn gofer_report(folder: &Path, readonly: bool) -> String {
        let output = output();
        let source = std::ffi::CString::new(folder.as_os_str().to_owned().into_vec()).unwrap();
        let mut bind = Bind::new(source.clone(), true, readonly);
        bind.covered = vec![c"proc".into(), c"missing".into()];
        let file = std::ffi::CString::new(format!("{}/file", folder.display())).unwrap();
        let options = gofer::Options {
            binds: vec![bind, Bind::new(file, false, true)],
            errors: output.as_fd(),
            log: None,
            log_format: "text",
            log_level: "warn",
        };
        let (plan, ends) = gofer::plan(this_program(), options).unwrap();
        assert_eq!(ends.len(), 2);
        run_probe(plan, output)
    }

    #[test]
    fn gofer_has_what_it_serves() {
        let folder = served();
        let report = gofer_report(folder.path(), false);
        assert_lines(
            &report,
            &[
                "uid=0",
                "pid=1",
                "bounding=[0, 1, 2, 3, 4, 31]",
                "no_new_privs=true",
                "root=0,1",
                "write=ReadOnlyFilesystem",
                "file=served",
                "create=ok",
                "covered=0",
                "open=[0, 1, 2, 3, 4]",
            ],
        );
        assert!(folder.path().join("new").exists());
    }

    #[test]
    fn readonly_gofer_cannot_write() {
        let folder = served();
        let report = gofer_report(folder.path(), true);
        assert_lines(&report, &["bounding=[2]", "create=read-only filesystem or storage medium"]);
    }

    #[test]
    fn failures_on_the_way_name_step_and_object() {
        let output = output();
        let options = gofer::Options {
            binds: vec![Bind::new(c"/nonexistent/root".into(), true, true)],
            errors: output.as_fd(),
            log: None,
            log_format: "text",
            log_level: "warn",
        };
        let (plan, _ends) = gofer::plan(this_program(), options).unwrap();
        let error = Pending::start(plan).unwrap().finish(Duration::from_secs(10)).unwrap_err().to_string();
        assert_eq!(
            error,
            "cannot start cloister-gofer: cannot open what it serves (/nonexistent/root): \
             No such file or directory (os error 2)"
        );
    }
}
