//! Tests of the file system calls, from the argument registers to the guest's memory.

use super::*;
use crate::error::{Errno, Fail, Outcome};
use crate::prelude::{errno, uapi};
use crate::testing::{MEMORY_START, TestKernel, TestTask};

/// Where tests put buffers.
const BUFFER: u64 = MEMORY_START + 0x1_0000;

/// Makes calls by their names.
struct Caller {
    task: TestTask,
    /// Where the next string goes.
    next: u64,
}

impl Caller {
    fn new() -> Self {
        Self { task: TestKernel::new().root_task(), next: MEMORY_START }
    }

    fn string(&mut self, text: &str) -> u64 {
        let address = self.next;
        let bytes = [text.as_bytes(), &[0]].concat();
        self.task.cx().memory().write_bytes(Address(address), &bytes).unwrap();
        self.next += bytes.len() as u64;
        address
    }

    fn put(&mut self, bytes: &[u8]) {
        self.task.cx().memory().write_bytes(Address(BUFFER), bytes).unwrap();
    }

    fn take(&mut self, len: usize) -> Vec<u8> {
        self.task.cx().memory().read_array(Address(BUFFER), len).unwrap()
    }

    fn try_call(&mut self, name: &str, arguments: &[u64]) -> Result<u64, Errno> {
        self.next = MEMORY_START;
        let row = table_x86_64::TABLE.iter().find(|row| row.name == name).unwrap();
        let mut registers = [0; 6];
        registers[..arguments.len()].copy_from_slice(arguments);
        match row.handler.unwrap()(&mut self.task.cx(), registers) {
            Ok(Outcome::Value(value)) => Ok(value),
            Err(Fail::Errno(errno, _)) => Err(errno),
            other => panic!("{name}: {other:?}"),
        }
    }

    #[track_caller]
    fn call(&mut self, name: &str, arguments: &[u64]) -> u64 {
        let result = self.try_call(name, arguments);
        result.unwrap_or_else(|errno| panic!("{name}: {errno:?}"))
    }

    #[track_caller]
    fn open(&mut self, path: &str, flags: u32) -> u64 {
        let path = self.string(path);
        self.call("open", &[path, u64::from(flags), 0o644])
    }

    fn write(&mut self, fd: u64, bytes: &[u8]) -> Result<u64, Errno> {
        self.put(bytes);
        self.try_call("write", &[fd, BUFFER, bytes.len() as u64])
    }

    fn read(&mut self, fd: u64, len: u64) -> Vec<u8> {
        let read = self.call("read", &[fd, BUFFER, len]);
        self.take(usize::try_from(read).unwrap())
    }
}

const RW_CREATE: u32 = uapi::O_RDWR | uapi::O_CREAT;

#[test]
fn reads_and_writes_move_the_position() {
    let mut caller = Caller::new();
    let fd = caller.open("/f", RW_CREATE);
    assert_eq!(fd, 0);
    assert_eq!(caller.write(fd, b"hello world"), Ok(11));
    assert_eq!(caller.read(fd, 10), b"");
    assert_eq!(caller.call("lseek", &[fd, 6, u64::from(uapi::SEEK_SET)]), 6);
    assert_eq!(caller.read(fd, 100), b"world");
    assert_eq!(caller.call("pread64", &[fd, BUFFER, 5, 0]), 5);
    assert_eq!(caller.take(5), b"hello");
    assert_eq!(caller.try_call("lseek", &[fd, 0_u64.wrapping_sub(1), 0]), Err(errno::EINVAL));
    assert_eq!(caller.try_call("pread64", &[fd, BUFFER, 1, u64::MAX]), Err(errno::EINVAL));
    assert_eq!(caller.try_call("read", &[fd, 0, 5]), Ok(0));
    caller.call("lseek", &[fd, 0, 0]);
    assert_eq!(caller.try_call("read", &[fd, 0, 5]), Err(errno::EFAULT));
}

#[test]
fn append_and_access_modes_hold() {
    let mut caller = Caller::new();
    let fd = caller.open("/f", RW_CREATE | uapi::O_APPEND);
    caller.write(fd, b"one").unwrap();
    caller.call("lseek", &[fd, 0, 0]);
    caller.write(fd, b"two").unwrap();
    let reader = caller.open("/f", uapi::O_RDONLY);
    assert_eq!(caller.read(reader, 10), b"onetwo");
    assert_eq!(caller.write(reader, b"x"), Err(errno::EBADF));
    let writer = caller.open("/f", uapi::O_WRONLY | uapi::O_TRUNC);
    assert_eq!(caller.try_call("read", &[writer, BUFFER, 1]), Err(errno::EBADF));
    assert_eq!(caller.call("fcntl", &[fd, 3, 0]), u64::from(uapi::O_RDWR | uapi::O_APPEND | 0o100_000));
    let stat = caller.call("fstat", &[fd, BUFFER]);
    assert_eq!((stat, &caller.take(144)[48..56]), (0, &0_u64.to_ne_bytes()[..]));
    let directory = caller.open("/", uapi::O_RDONLY);
    assert_eq!(caller.try_call("read", &[directory, BUFFER, 1]), Err(errno::EISDIR));
}

#[test]
fn descriptors_are_the_lowest_free() {
    let mut caller = Caller::new();
    for expected in 0..4 {
        assert_eq!(caller.open("/f", RW_CREATE), expected);
    }
    caller.call("close", &[1]);
    assert_eq!(caller.try_call("close", &[1]), Err(errno::EBADF));
    assert_eq!(caller.call("dup", &[0]), 1);
    assert_eq!(caller.call("fcntl", &[0, u64::from(uapi::F_DUPFD_CLOEXEC), 10]), 10);
    assert_eq!(caller.call("fcntl", &[10, u64::from(uapi::F_GETFD), 0]), 1);
    assert_eq!(caller.call("dup2", &[0, 20]), 20);
    assert_eq!(caller.try_call("dup3", &[0, 0, 0]), Err(errno::EINVAL));
    caller.call("close_range", &[2, 15, 0]);
    assert_eq!(caller.open("/f", uapi::O_RDONLY), 2);
    assert_eq!(caller.call("fcntl", &[20, u64::from(uapi::F_GETFD), 0]), 0);
    assert_eq!(caller.try_call("dup2", &[0, 1 << 30]), Err(errno::EBADF));
}

fn names(bytes: &[u8]) -> Vec<String> {
    let mut names = Vec::new();
    let mut rest = bytes;
    while rest.len() > 19 {
        let len = usize::from(u16::from_ne_bytes([rest[16], rest[17]]));
        let name = rest[19..len].split(|byte| *byte == 0).next().unwrap();
        names.push(String::from_utf8(name.to_vec()).unwrap());
        rest = &rest[len..];
    }
    names
}

#[test]
fn directories_are_read_in_pieces_while_they_change() {
    let mut caller = Caller::new();
    for name in ["a", "b", "c", "d"] {
        let fd = caller.open(&format!("/{name}"), RW_CREATE);
        caller.call("close", &[fd]);
    }
    let fd = caller.open("/", uapi::O_RDONLY | uapi::O_DIRECTORY);
    let read = caller.call("getdents64", &[fd, BUFFER, 80]);
    assert_eq!(names(&caller.take(usize::try_from(read).unwrap())), [".", "..", "a"]);
    for gone in ["/a", "/b"] {
        let path = caller.string(gone);
        caller.call("unlink", &[path]);
    }
    let read = caller.call("getdents64", &[fd, BUFFER, 1000]);
    assert_eq!(names(&caller.take(usize::try_from(read).unwrap())), ["c", "d"]);
    assert_eq!(caller.call("getdents64", &[fd, BUFFER, 1000]), 0);
    caller.call("lseek", &[fd, 0, 0]);
    assert_eq!(caller.try_call("getdents64", &[fd, BUFFER, 10]), Err(errno::EINVAL));
}

#[test]
fn the_current_directory_is_told() {
    let mut caller = Caller::new();
    let path = caller.string("/dir");
    caller.call("mkdir", &[path, 0o777]);
    let path = caller.string("/dir");
    caller.call("chdir", &[path]);
    assert_eq!(caller.call("getcwd", &[BUFFER, 100]), 5);
    assert_eq!(caller.take(5), b"/dir\0");
    assert_eq!(caller.try_call("getcwd", &[BUFFER, 4]), Err(errno::ERANGE));
    let path = caller.string("../dir");
    caller.call("rmdir", &[path]);
    assert_eq!(caller.try_call("getcwd", &[BUFFER, 100]), Err(errno::ENOENT));
    let path = caller.string("x");
    assert_eq!(caller.try_call("mkdir", &[path, 0o777]), Err(errno::ENOENT));
}

#[test]
fn record_locks_exclude_other_files_owners() {
    let mut caller = Caller::new();
    let (a, b) = (caller.open("/f", RW_CREATE), caller.open("/f", RW_CREATE));
    let flock = |kind: i16| {
        let mut bytes = [0; 32];
        bytes[..2].copy_from_slice(&kind.to_ne_bytes());
        bytes[16..24].copy_from_slice(&10_i64.to_ne_bytes());
        bytes
    };
    let set = u64::from(uapi::F_OFD_SETLK);
    caller.put(&flock(1));
    caller.call("fcntl", &[a, set, BUFFER]);
    caller.put(&flock(0));
    assert_eq!(caller.try_call("fcntl", &[b, set, BUFFER]), Err(errno::EAGAIN));
    caller.call("close", &[a]);
    caller.put(&flock(0));
    caller.call("fcntl", &[b, set, BUFFER]);
    assert_eq!(caller.call("flock", &[b, u64::from(uapi::LOCK_EX | uapi::LOCK_NB)]), 0);
}

#[test]
fn memfds_are_sealed() {
    let mut caller = Caller::new();
    let name = caller.string("shared");
    let fd = caller.call("memfd_create", &[name, u64::from(uapi::MFD_ALLOW_SEALING)]);
    caller.call("ftruncate", &[fd, 4096]);
    caller.call("fcntl", &[fd, u64::from(uapi::F_ADD_SEALS), u64::from(uapi::F_SEAL_SHRINK)]);
    assert_eq!(caller.try_call("ftruncate", &[fd, 0]), Err(errno::EPERM));
    assert_eq!(caller.call("fcntl", &[fd, u64::from(uapi::F_GET_SEALS), 0]), u64::from(uapi::F_SEAL_SHRINK));
    let path = caller.string("/f");
    assert_eq!(caller.try_call("access", &[path, 0]), Err(errno::ENOENT));
}

#[test]
fn extended_attributes_come_back() {
    let mut caller = Caller::new();
    let fd = caller.open("/f", RW_CREATE);
    caller.put(b"value");
    let name = caller.string("user.test");
    caller.call("fsetxattr", &[fd, name, BUFFER, 5, 0]);
    let name = caller.string("user.test");
    assert_eq!(caller.call("fgetxattr", &[fd, name, BUFFER + 100, 10]), 5);
    assert_eq!(caller.call("flistxattr", &[fd, BUFFER, 100]), 10);
    assert_eq!(caller.take(10), b"user.test\0");
    let name = caller.string("user.test");
    assert_eq!(caller.try_call("fsetxattr", &[fd, name, BUFFER, 5, 1]), Err(errno::EEXIST));
    let name = caller.string("system.posix_acl_access");
    assert_eq!(caller.try_call("fgetxattr", &[fd, name, 0, 0]), Err(errno::EOPNOTSUPP));
}

#[test]
fn bytes_go_from_file_to_file() {
    let mut caller = Caller::new();
    let (a, b) = (caller.open("/a", RW_CREATE), caller.open("/b", RW_CREATE));
    let bytes: Vec<u8> = (0..300_000_u32).map(|at| (at % 251) as u8).collect();
    caller.write(a, &bytes).unwrap();
    caller.put(&10_i64.to_ne_bytes());
    assert_eq!(caller.call("copy_file_range", &[a, BUFFER, b, 0, 1 << 20, 0]), 299_990);
    assert_eq!(caller.take(8), 300_000_i64.to_ne_bytes());
    caller.call("lseek", &[b, 0, 0]);
    assert_eq!(caller.read(b, 300_000), bytes[10..]);
    caller.call("lseek", &[a, 0, 0]);
    assert_eq!(caller.call("sendfile", &[b, a, 0, 5]), 5);
    assert_eq!(caller.call("lseek", &[a, 0, u64::from(uapi::SEEK_CUR)]), 5);
    assert_eq!(caller.try_call("copy_file_range", &[a, 0, a, 0, 10, 0]), Err(errno::EINVAL));
}

#[test]
fn pipes_are_spliced_and_teed() {
    let mut caller = Caller::new();
    let mut pipe = || {
        caller.call("pipe", &[BUFFER]);
        let ends = caller.take(8);
        [&ends[..4], &ends[4..]].map(|end| u64::from(u32::from_ne_bytes(end.try_into().unwrap())))
    };
    let ([r1, w1], [r2, w2]) = (pipe(), pipe());
    let file = caller.open("/f", RW_CREATE);
    caller.write(file, b"0123456789").unwrap();
    caller.put(&2_i64.to_ne_bytes());
    assert_eq!(caller.call("splice", &[file, BUFFER, w1, 0, 4, 0]), 4);
    assert_eq!(caller.call("tee", &[r1, w2, 100, 0]), 4);
    assert_eq!((caller.read(r1, 100), caller.read(r2, 100)), (b"2345".to_vec(), b"2345".to_vec()));
    caller.write(w1, b"back").unwrap();
    caller.put(&0_i64.to_ne_bytes());
    assert_eq!(caller.call("splice", &[r1, 0, file, BUFFER, 100, 0]), 4);
    caller.call("lseek", &[file, 0, 0]);
    assert_eq!(caller.read(file, 6), b"back45");
    assert_eq!(caller.try_call("splice", &[r1, 0, w2, 0, 1, 2]), Err(errno::EAGAIN));
    assert_eq!(caller.try_call("splice", &[file, 0, file, 0, 1, 0]), Err(errno::EINVAL));
}

#[test]
fn mounts_are_made_and_taken_away() {
    let mut caller = Caller::new();
    let path = caller.string("/m");
    caller.call("mkdir", &[path, 0o755]);
    let strings = |caller: &mut Caller| ["none", "/m", "tmpfs", "size=1m"].map(|text| caller.string(text));
    let [source, target, kind, data] = strings(&mut caller);
    caller.call("mount", &[source, target, kind, 0, data]);
    let fd = caller.open("/m/f", RW_CREATE);
    assert_eq!(caller.call("ftruncate", &[fd, 2 << 20]), 0);
    assert_eq!(caller.try_call("fallocate", &[fd, 0, 0, 2 << 20]), Err(errno::ENOSPC));
    let path = caller.string("/m");
    assert_eq!(caller.try_call("umount2", &[path, 0]), Err(errno::EBUSY));
    caller.call("close", &[fd]);
    let path = caller.string("/m");
    caller.call("umount2", &[path, 0]);
    let path = caller.string("/m/f");
    assert_eq!(caller.try_call("access", &[path, 0]), Err(errno::ENOENT));
}
