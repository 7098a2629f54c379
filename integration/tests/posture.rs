//! What a running sandbox's processes may do, seen from the host: the walls that `docs/security.md` promises.

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;
    use std::time::Duration;

    use anyhow::{Context, Result, bail, ensure};
    use cloister_integration::processes::Process;
    use cloister_integration::{Container, Place, Program, Rootfs, soon};

    /// Capabilities about files, by number: all that a gofer may have.
    const FILE_CAPABILITIES: [u32; 6] = [
        0,  // CAP_CHOWN
        1,  // CAP_DAC_OVERRIDE
        2,  // CAP_DAC_READ_SEARCH
        3,  // CAP_FOWNER
        4,  // CAP_FSETID
        31, // CAP_SETFCAP
    ];

    /// The processes of a sandbox that sleeps.
    struct Sandbox {
        boot: Process,
        stubs: Vec<Process>,
        gofers: Vec<Process>,
    }

    impl Sandbox {
        /// Waits until the application of a session sleeps: a process that begins is made of others that end.
        fn find(container: &Container<'_>) -> Result<Self> {
            let mut last = None;
            soon(|| {
                let tasks = container.run(&["ps", "ID"])?.stdout;
                let is_asleep = tasks.lines().any(|line| line.trim_end().ends_with(" sleep 100"));
                std::thread::sleep(Duration::from_millis(100));
                let sandbox = Self::look()?;
                let present = is_asleep.then(|| sandbox.stubs.clone());
                let is_at_rest = present.is_some() && present == last;
                last = present;
                ensure!(is_at_rest, "the application does not come to rest");
                Ok(sandbox)
            })
        }

        fn look() -> Result<Self> {
            let all = Process::own().descendants();
            let named = |name: &str| {
                let is = |process: &Process| process.name().is_ok_and(|own| own == name);
                all.iter().copied().filter(is).collect::<Vec<_>>()
            };
            let boots = named("cloister-boot");
            // A stub may still have the name of the process that it was forked from.
            let &boot = boots.first().context("no cloister-boot is running")?;
            Ok(Self { boot, stubs: boot.descendants(), gofers: named("cloister-gofer") })
        }
    }

    /// Checks a running sandbox.
    fn inspect(name: &str, check: impl FnOnce(&Sandbox) -> Result<()>) -> Result<()> {
        let program = Program::new(Rootfs::Small, ["sh", "-c", "sleep 100 & wait"]);
        Container::with(&format!("posture/{name}"), Place::Cloister(None), &program, |container| {
            let log = container.session.dir().join("log");
            let log = log.to_str().context("odd path")?;
            container.ok(&["--log", log, "create", "--bundle", "BUNDLE", "ID"])?;
            container.ok(&["start", "ID"])?;
            let checked = Sandbox::find(container).and_then(|sandbox| check(&sandbox));
            container.run(&["delete", "--force", "ID"])?;
            checked
        })
    }

    fn assert_field(
        process: Process,
        status: &BTreeMap<String, String>,
        field: &str,
        want: &str,
    ) -> Result<()> {
        let got = status.get(field).map_or("", String::as_str);
        ensure!(
            got == want,
            "{field} of process {} ({}) is `{got}`, not `{want}`",
            process.0,
            process.name()?
        );
        Ok(())
    }

    /// The namespaces are not the host's.
    fn assert_own_namespaces(process: Process, kinds: &[&str]) -> Result<()> {
        for kind in kinds {
            let (own, host) =
                (process.link(&format!("ns/{kind}"))?, Process::own().link(&format!("ns/{kind}"))?);
            ensure!(own != host, "process {} is in the host's {kind} namespace", process.0);
        }
        Ok(())
    }

    /// No capability at all, no way to get one, no user but nobody.
    fn assert_powerless(process: Process) -> Result<()> {
        let status = process.status()?;
        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            assert_field(process, &status, set, "0000000000000000")?;
        }
        assert_field(process, &status, "NoNewPrivs", "1")?;
        assert_field(process, &status, "Uid", "65534\t65534\t65534\t65534")?;
        assert_field(process, &status, "Gid", "65534\t65534\t65534\t65534")?;
        assert_field(process, &status, "Groups", "")
    }

    /// The root holds nothing, and nothing can be written to it.
    fn assert_empty_root(process: Process) -> Result<()> {
        let root = process.path("root");
        let entries: Vec<_> = fs::read_dir(&root)?.flatten().map(|entry| entry.file_name()).collect();
        ensure!(entries.is_empty(), "the root of process {} holds {entries:?}", process.0);
        let mounts = process.read("mountinfo")?;
        let root_mount = mounts.lines().find(|line| line.split(' ').nth(4) == Some("/"));
        let options = root_mount.and_then(|line| line.split(' ').nth(5)).unwrap_or_default();
        ensure!(
            options.split(',').any(|option| option == "ro"),
            "the root of process {}: {mounts}",
            process.0
        );
        ensure!(
            mounts.lines().count() == 1,
            "process {} sees more mounts than its root: {mounts}",
            process.0
        );
        Ok(())
    }

    #[test]
    fn the_kernel_is_nobody_in_an_empty_root() -> Result<()> {
        inspect("boot", |sandbox| {
            let boot = sandbox.boot;
            assert_own_namespaces(boot, &["user", "pid", "mnt", "ipc", "uts", "net"])?;
            assert_powerless(boot)?;
            assert_field(boot, &boot.status()?, "Seccomp", "2")?;
            assert_empty_root(boot)?;
            for map in ["uid_map", "gid_map"] {
                let text = boot.read(map)?;
                let words: Vec<_> = text.split_whitespace().collect();
                ensure!(words == ["65534", "65534", "1"], "{map} is {text}");
            }
            assert_descriptors(boot)
        })
    }

    /// Descriptors are sockets, pipes, events, memory, donated files: nothing by which a path can be walked.
    fn assert_descriptors(process: Process) -> Result<()> {
        const KINDS: [&str; 5] = ["socket:", "pipe:", "anon_inode:", "/memfd:", "/dev/null"];
        for (fd, target) in process.descriptors()? {
            let is_log = target.ends_with("/log");
            if is_log || KINDS.iter().any(|kind| target.starts_with(kind)) {
                continue;
            }
            let kind = fs::metadata(process.path(&format!("fd/{fd}")))?.file_type();
            ensure!(kind.is_file(), "descriptor {fd} of process {} is {target}", process.0);
        }
        Ok(())
    }

    #[test]
    fn application_processes_have_nothing() -> Result<()> {
        inspect("stubs", |sandbox| {
            for &stub in &sandbox.stubs {
                assert_own_namespaces(stub, &["user", "pid", "mnt", "ipc", "uts", "net"])?;
                assert_powerless(stub)?;
                assert_empty_root(stub)?;
                let open = stub.descriptors()?;
                // A helper: the socket by which it is given files to map, and the file by whose position it answers.
                let is_helpers = |fd: i32, target: &str| match fd {
                    0 => target.starts_with("socket:"),
                    2 => target == "/memfd:cloister-answers (deleted)",
                    _ => false,
                };
                ensure!(
                    open.iter().all(|(fd, target)| is_helpers(*fd, target)),
                    "process {} has descriptors: {open:?}",
                    stub.0
                );
            }
            Ok(())
        })
    }

    #[test]
    fn the_file_server_keeps_to_its_folders() -> Result<()> {
        inspect("gofer", |sandbox| {
            ensure!(!sandbox.gofers.is_empty(), "no cloister-gofer is running");
            for &gofer in &sandbox.gofers {
                assert_own_namespaces(gofer, &["pid", "mnt", "ipc", "uts", "net"])?;
                let status = gofer.status()?;
                assert_field(gofer, &status, "NoNewPrivs", "1")?;
                assert_field(gofer, &status, "Seccomp", "2")?;
                let allowed = FILE_CAPABILITIES.iter().fold(0, |set, number| set | 1_u64 << number);
                for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
                    let bits = u64::from_str_radix(status.get(set).context("no capabilities")?, 16)?;
                    ensure!(bits & !allowed == 0, "{set} of the gofer is {bits:#x}: more than about files");
                }
                let entries = fs::read_dir(gofer.path("root"))?.flatten();
                for name in entries.map(|entry| entry.file_name().to_string_lossy().into_owned()) {
                    // What is served is mounted by number.
                    ensure!(name.parse::<u32>().is_ok(), "the gofer's root holds `{name}`");
                }
            }
            Ok(())
        })
    }

    #[test]
    fn a_handful_of_processes() -> Result<()> {
        inspect("processes", |sandbox| {
            let all = [vec![sandbox.boot], sandbox.stubs.clone(), sandbox.gofers.clone()].concat();
            let threads: usize = all.iter().map(|process| process.nr_threads()).sum();
            // The kernel, the file server, and for each of two address spaces some.
            if all.len() > 7 || threads > 12 {
                bail!("{} processes with {threads} threads for a shell and a sleep", all.len());
            }
            Ok(())
        })
    }

    #[test]
    fn an_idle_sandbox_gives_memory_back() -> Result<()> {
        inspect("memory", |sandbox| {
            for process in [vec![sandbox.boot], sandbox.gofers.clone()].concat() {
                soon(|| {
                    let (resident, size) = process.program_kib()?;
                    ensure!(size > 1000, "process {} has {size} KiB of program", process.0);
                    let name = process.name()?;
                    ensure!(resident < size / 2, "{name} keeps {resident} of {size} KiB of its program");
                    Ok(())
                })?;
            }
            Ok(())
        })
    }
}
