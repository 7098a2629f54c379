//! What requests to a gofer process cost, beside the same work done by the host's system calls: `cargo bench -p
//! cloister-gofer`.
//!
//! Prints the best of several batches for each: what it costs if nobody else uses the machine. With `pin`, client and gofer
//! share one processor, so that no wake-up crosses processors: `cargo bench -p cloister-gofer -- pin`.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement ends with what failed, and prints"
)]

use std::fs;
use std::hint::black_box;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::process::{Child, Command};
use std::time::Instant;

use cloister_9p::Client;
use cloister_9p::client::{Fid, NewFile, Opened};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, StatxFlags, openat, statx};
use rustix::io::pread;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::thread::{CpuSet, sched_setaffinity};

const CALLS: u32 = 500;
const BATCHES: u32 = 20;

/// Runs `work_fn` and prints the nanoseconds that it takes at best.
fn measure(name: &str, mut work_fn: impl FnMut()) {
    let best = (0..BATCHES).map(|_| {
        let begin = Instant::now();
        (0..CALLS).for_each(|_| work_fn());
        begin.elapsed() / CALLS
    });
    println!("{name:<42} {:>8} ns", best.min().unwrap().as_nanos());
}

fn start(path: &Path) -> (Child, OwnedFd) {
    let (ours, theirs) =
        socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
    let inherited = rustix::io::dup(&theirs).unwrap();
    let serve = format!("{}:{}", inherited.as_raw_fd(), path.display());
    let child = Command::new(env!("CARGO_BIN_EXE_cloister-gofer")).args(["--serve", &serve]).spawn().unwrap();
    (child, ours)
}

fn host(opened: Opened) -> OwnedFd {
    match opened {
        Opened::Host(fd) => fd,
        Opened::Remote(_) => unreachable!("our gofer gives descriptors"),
    }
}

fn read(fd: &OwnedFd) {
    let mut buffer = [0; 4096];
    assert_eq!(pread(fd, &mut buffer, 0).unwrap(), 4096);
    black_box(&buffer);
}

fn measure_host(folder: &Path) {
    let file = folder.join("dir/file");
    measure("host: statx", || {
        black_box(statx(CWD, &file, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::BASIC_STATS).unwrap());
    });
    measure("host: open, read 4 KiB, close", || {
        read(&openat(CWD, &file, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).unwrap());
    });
    measure("host: create, close, unlink", || {
        let new = folder.join("new");
        drop(fs::File::create_new(&new).unwrap());
        fs::remove_file(new).unwrap();
    });
    measure("host: list 1000 entries, statx each", || {
        for entry in fs::read_dir(folder.join("many")).unwrap() {
            black_box(entry.unwrap().metadata().unwrap());
        }
    });
}

fn measure_gofer(client: &mut Client, root: Fid) {
    let dir = client.walk_attr(root, &[b"dir"]).unwrap().found[0].fid;
    let many = client.walk_attr(root, &[b"many"]).unwrap().found[0].fid;
    let file = client.walk_attr(dir, &[b"file"]).unwrap().found[0].fid;
    measure("gofer: getattr", || {
        black_box(client.getattr(file).unwrap());
    });
    measure("gofer: open, read 4 KiB, close", || {
        read(&host(client.open(file, 0).unwrap()));
    });
    let mut dead = Vec::new();
    let mut clunk = |client: &mut Client, fid| {
        dead.push(fid);
        if dead.len() == 64 {
            client.clunk_many(&dead).unwrap();
            dead.clear();
        }
    };
    measure("gofer: walk (a missing name)", || {
        assert!(client.walk_attr(dir, &[b"missing"]).unwrap().found.is_empty());
    });
    measure("gofer: walk, clunk by 64", || {
        let fid = client.walk_attr(dir, &[b"file"]).unwrap().found[0].fid;
        clunk(client, fid);
    });
    measure("gofer: walk and open, read, close, clunk", || {
        let walk = client.walk_open(dir, &[b"file"], 0).unwrap();
        read(&walk.opened.unwrap().unwrap());
        clunk(client, walk.found[0].fid);
    });
    let new = NewFile { mode: 0o644, uid: 0, gid: 0 };
    measure("gofer: create, close, unlink, clunk", || {
        let created = client.create(root, b"new", OFlags::RDWR.bits(), new).unwrap();
        drop(created.opened);
        client.unlinkat(root, b"new", 0).unwrap();
        clunk(client, created.fid);
    });
    measure("gofer: list 1000 entries with attributes", || {
        let (mut count, mut offset) = (0, 0);
        loop {
            let entries = client.readdir_attr(many, offset).unwrap().entries;
            let Some(last) = entries.last() else { break };
            offset = last.offset;
            count += entries.len();
        }
        assert_eq!(count, 1002);
    });
}

fn main() {
    if std::env::args().any(|argument| argument == "pin") {
        let mut first = CpuSet::new();
        first.set(0);
        sched_setaffinity(None, &first).unwrap();
    }
    let folder = std::env::temp_dir().join(format!("gofer-bench-{}", std::process::id()));
    fs::create_dir_all(folder.join("dir")).unwrap();
    fs::create_dir_all(folder.join("many")).unwrap();
    fs::write(folder.join("dir/file"), [1; 4096]).unwrap();
    (0..1000).for_each(|number| fs::write(folder.join(format!("many/{number}")), "").unwrap());
    measure_host(&folder);
    let (mut gofer, socket) = start(&folder);
    let mut client = Client::connect(socket).unwrap();
    let root = client.attach(b"", 0).unwrap();
    measure_gofer(&mut client, root);
    drop(client);
    gofer.wait().unwrap();
    fs::remove_dir_all(&folder).unwrap();
}
