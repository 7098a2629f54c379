//! The program itself: started as the runtime does it, and by hand for Debian's `diod` tools.

use std::fs;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::OFlags;

use crate::common::{connect, new_file, sockets};

/// A gofer that is killed in the end if it still runs.
struct Gofer(Child);

impl Drop for Gofer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Gofer {
    /// Waits until it has ended by itself, at most ten seconds.
    fn wait(&mut self) -> std::process::ExitStatus {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "the gofer still runs");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn status(&self, field: &str) -> String {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
        line.trim_start_matches(':').trim().to_owned()
    }
}

fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cloister-gofer"));
    command.stdin(Stdio::null());
    command
}

/// Starts the gofer with a connection that it inherits, and gives the other end.
fn start(path: &Path) -> (Gofer, std::os::fd::OwnedFd) {
    let (ours, theirs) = sockets();
    // A duplicate without close-on-exec; tests that run at the same time may leak it to their own gofers for a moment,
    // which hold it no longer than they need to start.
    let inherited = rustix::io::dup(&theirs).unwrap();
    let serve = format!("{}:{}", inherited.as_raw_fd(), path.display());
    let child = command().args(["--serve", &serve]).spawn().unwrap();
    (Gofer(child), ours)
}

#[test]
fn it_serves_in_its_sandbox_until_the_connection_is_closed() {
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    fs::write(folder.path().join("file"), "contents").unwrap();
    let (mut gofer, socket) = start(folder.path());
    let (mut client, root) = connect(socket);
    assert_eq!(gofer.status("Seccomp"), "2");
    assert_eq!(gofer.status("NoNewPrivs"), "1");
    assert_eq!(gofer.status("CapInh"), "0000000000000000");
    // The file capabilities: chown, dac_override, dac_read_search, fowner, fsetid, setfcap.
    let allowed = 0x8000_001f;
    for set in ["CapPrm", "CapEff"] {
        assert_eq!(u64::from_str_radix(&gofer.status(set), 16).unwrap() & !allowed, 0, "{set}");
    }

    // One of everything, so that a system call that the filter lacks is found here.
    let fid = client.walk_open(root, &[b"file"], OFlags::RDWR.bits()).unwrap().found[0].fid;
    let made = client.mkdir(root, b"dir", new_file(0o755)).unwrap().fid;
    client.create(made, b"new", OFlags::RDWR.bits(), new_file(0o4755)).unwrap();
    client.symlink(made, b"link", b"new", new_file(0o777)).unwrap();
    client.mknod(made, b"fifo", 0o010_000, 0, new_file(0o600)).unwrap();
    client.link(made, b"hard", fid).unwrap();
    client.renameat((made, b"hard"), (made, b"soft"), 1).unwrap();
    client.unlinkat(made, b"soft", 0).unwrap();
    let all = cloister_9p::client::SetAttr {
        mode: Some(0o600),
        uid: Some(new_file(0).uid),
        gid: Some(new_file(0).gid),
        size: Some(2),
        atime: Some(cloister_9p::client::SetTime::Now),
        mtime: Some(cloister_9p::client::SetTime::Now),
    };
    client.setattr(fid, &all).unwrap();
    assert_eq!(client.readdir_attr(made, 0).unwrap().entries.len(), 5);
    client.setxattr(fid, b"user.x", b"1", 0).unwrap();
    client.getxattr(fid, b"user.x").unwrap();
    client.listxattr(fid).unwrap();
    client.removexattr(fid, b"user.x").unwrap();
    client.statfs(root).unwrap();
    client.fsync(fid, false).unwrap();
    client.fsync(fid, true).unwrap();
    client.syncfs(root).unwrap();
    let processor = gofer.status("Cpus_allowed_list").split([',', '-']).next_back().unwrap().to_owned();
    client.run_on(processor.parse().unwrap()).unwrap();
    assert_eq!(gofer.status("Cpus_allowed_list"), processor);
    assert_eq!(crate::common::errno(client.run_on(u32::MAX)), rustix::io::Errno::INVAL);
    client.clunk_many(&[fid, made]).unwrap();
    drop(client);
    assert!(gofer.wait().success());
}

#[test]
fn several_connections_are_served_at_once() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "x").unwrap();
    let socket = folder.path().join("socket");
    let gofer = Gofer(listen(folder.path(), &socket));
    let connect_fn = || connect(std::os::unix::net::UnixStream::connect(&socket).unwrap().into());
    let mut clients: Vec<_> = (0..10).map(|_| connect_fn()).collect();
    for round in 0..3 {
        clients.truncate(10 - 3 * round);
        for (client, root) in &mut clients {
            assert_eq!(client.walk_attr(*root, &[b"file"]).unwrap().found.len(), 1);
        }
    }
    drop(gofer);
}

#[test]
fn mistakes_are_told() {
    let cases = [
        (&["--serve", "77:/tmp"][..], "descriptor 77 was not inherited"),
        (&["--serve", "2:/tmp"], "descriptor 2 was not inherited"),
        (&["--listen", "/nonexistent/socket:/tmp"], "cannot listen at `/nonexistent/socket`"),
        (&["--serve", "x:/tmp"], "`x` is not the number of a descriptor"),
        (&[], "nothing to serve"),
    ];
    for (arguments, message) in cases {
        let output = command().args(arguments).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && stderr.contains(message), "{arguments:?}: {stderr}");
    }
}

#[test]
fn the_filter_can_be_read() {
    let output = command().arg("--print-filter").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.lines().any(|line| line.starts_with("openat2 ") && line.ends_with("open what is served")),
        "{text}"
    );
}

/// Starts a gofer that listens, and waits until it does.
fn listen(path: &Path, socket: &Path) -> Child {
    let listen = format!("{}:{}", socket.display(), path.display());
    let child = command().args(["--listen", &listen]).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    while std::os::unix::net::UnixStream::connect(socket).is_err() {
        assert!(Instant::now() < deadline, "the gofer does not listen");
        std::thread::sleep(Duration::from_millis(5));
    }
    child
}

/// Runs one of Debian's tools for 9P2000.L against the gofer at `socket`, and gives what it prints.
fn diod(tool: &str, socket: &Path, arguments: &[&str]) -> String {
    let paths = ["/usr/sbin", "/sbin", "/usr/bin"].map(|folder| PathBuf::from(folder).join(tool));
    let program = paths.iter().find(|path| path.exists());
    let program = program.unwrap_or_else(|| panic!("`{tool}` is missing: install Debian's package `diod`"));
    let server = socket.to_str().unwrap();
    let output = Command::new(program).args(["-s", server, "-a", "/"]).args(arguments).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && stderr.is_empty(), "{tool} {arguments:?}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_tools_of_another_implementation_are_served() {
    let folder = tempfile::tempdir().unwrap();
    let served = folder.path().join("served");
    fs::create_dir_all(served.join("dir")).unwrap();
    let long: String = (0..50_000).map(|line| format!("{line}\n")).collect();
    fs::write(served.join("dir/long"), &long).unwrap();
    fs::write(served.join("short"), "text").unwrap();
    let socket = folder.path().join("socket");
    let _gofer = Gofer(listen(&served, &socket));

    let mut names: Vec<_> = diod("diodls", &socket, &["/"]).lines().map(str::to_owned).collect();
    names.sort();
    assert_eq!(names, ["dir", "short"]);
    let listing = diod("diodls", &socket, &["-l", "/dir"]);
    let line = listing.lines().find(|line| line.ends_with(" long")).unwrap();
    assert!(line.starts_with("-rw-r--r--") && line.contains(&long.len().to_string()), "{line}");
    assert_eq!(diod("diodcat", &socket, &["short"]), "text");
    assert_eq!(diod("diodcat", &socket, &["dir/long"]), long);
}
