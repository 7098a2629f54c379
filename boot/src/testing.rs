//! A kernel without a platform, for unit tests: tasks have memory and files, but run no guest code.

use std::ops::Range;
use std::sync::Arc;

use cloister_abi::{Errno, Registers, errno};
use cloister_platform::{
    AddressSpace, Backing, FpuState, Platform, Protection, Supervisor, Thread, TrapHandler,
};
use cloister_sync::{Lock, class};

use crate::context::SyscallCx;
use crate::fs::tmpfs::{Tmpfs, TmpfsOptions};
use crate::fs::{Dentry, FdTable, FsContext, MountFlags, MountNamespace, NewMount, Path};
use crate::ipc::Ipc;
use crate::kernel::{Kernel, KernelOptions};
use crate::mm::{MemoryLimits, Mm, Randomization};
use crate::net::NetNamespace;
use crate::signal::TaskSignals;
use crate::task::{
    Capabilities, Credentials, PidNamespace, Task, TaskParts, TaskRun, TaskSet, ThreadGroup, UtsNames,
    UtsNamespace,
};

/// Where the memory of [`FakeSpace`] begins.
pub(crate) const MEMORY_START: u64 = 0x10_0000;

/// How many bytes it has.
const MEMORY_BYTES: usize = 1 << 20;

/// A platform that runs nothing.
#[derive(Debug)]
struct FakePlatform;

impl Platform for FakePlatform {
    fn name(&self) -> &'static str {
        "fake"
    }

    fn new_address_space(&self) -> Result<Arc<dyn AddressSpace>, Errno> {
        Ok(Arc::new(FakeSpace { memory: Lock::new(vec![0; MEMORY_BYTES]) }))
    }

    fn set_clock_offsets(&self, _: cloister_platform::vdso::ClockOffsets) -> Result<(), Errno> {
        Ok(())
    }

    fn run(&self, _supervisor: &dyn Supervisor) -> std::io::Result<()> {
        Ok(())
    }
}

/// An address space with one readable and writable area.
struct FakeSpace {
    memory: Lock<Vec<u8>, { class::PLATFORM }>,
}

impl std::fmt::Debug for FakeSpace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FakeSpace")
    }
}

impl FakeSpace {
    fn offset(address: u64) -> usize {
        address.checked_sub(MEMORY_START).and_then(|at| usize::try_from(at).ok()).unwrap_or(usize::MAX)
    }
}

impl AddressSpace for FakeSpace {
    fn range(&self) -> Range<u64> {
        0x1_0000..0x7fff_ffff_0000
    }

    fn map(&self, _: Range<u64>, _: Protection, _: Backing<'_>) -> Result<(), Errno> {
        Ok(())
    }

    fn unmap(&self, _: Range<u64>) -> Result<(), Errno> {
        Ok(())
    }

    fn protect(&self, _: Range<u64>, _: Protection) -> Result<(), Errno> {
        Ok(())
    }

    fn remap(&self, _: Range<u64>, _: Range<u64>) -> Result<(), Errno> {
        Ok(())
    }

    fn advise(&self, _: Range<u64>, _: i32) -> Result<(), Errno> {
        Ok(())
    }

    fn fork(&self) -> Result<Arc<dyn AddressSpace>, Errno> {
        Ok(Arc::new(Self { memory: Lock::new(self.memory.lock().clone()) }))
    }

    fn holder(&self) -> i32 {
        0
    }

    fn read(&self, address: u64, into: &mut [u8]) -> usize {
        let memory = self.memory.lock();
        let rest = memory.get(Self::offset(address)..).unwrap_or_default();
        let len = rest.len().min(into.len());
        into[..len].copy_from_slice(&rest[..len]);
        len
    }

    fn write(&self, address: u64, from: &[u8]) -> usize {
        let mut memory = self.memory.lock();
        let rest = memory.get_mut(Self::offset(address)..).unwrap_or_default();
        let len = rest.len().min(from.len());
        rest[..len].copy_from_slice(&from[..len]);
        len
    }

    fn host_process(&self) -> i32 {
        0
    }

    fn compare_exchange(&self, _: u64, _: u32, _: u32) -> Result<u32, Errno> {
        Err(errno::EFAULT)
    }

    fn spawn(
        self: Arc<Self>,
        _: Option<&FpuState>,
        _: Arc<dyn TrapHandler>,
    ) -> Result<Arc<dyn Thread>, Errno> {
        Err(errno::EAGAIN)
    }
}

/// A kernel with a tmpfs as the root directory.
pub(crate) struct TestKernel {
    kernel: Arc<Kernel>,
    namespace: Arc<MountNamespace>,
    ipc: Arc<Ipc>,
    net: Arc<NetNamespace>,
    tasks: Arc<TaskSet>,
}

/// A task of a [`TestKernel`], and what its worker would have.
pub(crate) struct TestTask {
    /// The task.
    pub(crate) task: Arc<Task>,
    run: TaskRun,
}

impl TestKernel {
    /// Makes it.
    pub(crate) fn new() -> Self {
        let kernel = Kernel::new(Box::new(FakePlatform), KernelOptions::default()).unwrap();
        let root = Dentry::new_root(Tmpfs::new_root(TmpfsOptions { mode: 0o755, ..TmpfsOptions::default() }));
        let flags = MountFlags::RELATIVE_ACCESS_TIME;
        let new = NewMount { root, source: "tmpfs".to_owned(), flags, options: String::new() };
        let namespace = MountNamespace::new(new, Arc::clone(&kernel.vfs.cache));
        let tasks = Arc::new(TaskSet::new(0, PidNamespace::default(), None));
        Self { kernel, namespace, ipc: Arc::default(), net: Arc::default(), tasks }
    }

    /// Returns the kernel.
    pub(crate) fn kernel(&self) -> &Arc<Kernel> {
        &self.kernel
    }

    /// Returns the root directory.
    pub(crate) fn root(&self) -> Path {
        self.namespace.root()
    }

    /// Makes a task of the superuser.
    pub(crate) fn root_task(&self) -> TestTask {
        let all = Capabilities::all();
        self.task(Credentials { effective: all, permitted: all, bounding: all, ..Credentials::default() })
    }

    /// Makes a task of an ordinary user.
    pub(crate) fn user_task(&self, id: u32) -> TestTask {
        self.task(Credentials {
            uid: id,
            euid: id,
            suid: id,
            fsuid: id,
            gid: id,
            egid: id,
            sgid: id,
            fsgid: id,
            ..Credentials::default()
        })
    }

    fn task(&self, credentials: Credentials) -> TestTask {
        let space = self.kernel.platform.new_address_space().unwrap();
        let mm = Mm::new(space, MemoryLimits::default(), Randomization::Off);
        let files = Arc::new(FdTable::default());
        let parts = TaskParts {
            name: b"test".to_vec(),
            credentials: Arc::new(credentials),
            mm: Some(Arc::clone(&mm)),
            files: Some(Arc::clone(&files)),
            fs: Arc::new(FsContext::new(Arc::clone(&self.namespace), self.root(), self.root(), 0o022)),
            uts: Arc::new(UtsNamespace::new(UtsNames { host: b"test".to_vec(), domain: Vec::new() })),
            ipc: Arc::clone(&self.ipc),
            net: Arc::clone(&self.net),
            actions: Arc::default(),
        };
        let tid = self.kernel.processes.lock().new_pid(PidNamespace::default()).unwrap();
        let group = Arc::new(ThreadGroup::new(tid, Arc::clone(&self.tasks)));
        let run = TaskRun::new(Registers::default(), mm, files);
        let own = TaskRun::new(Registers::default(), Arc::clone(&run.mm), Arc::clone(&run.files));
        let task = Task::new(Arc::clone(&self.kernel), tid, group, parts, TaskSignals::default(), own);
        TestTask { task, run }
    }
}

impl TestTask {
    /// Returns what a handler works with.
    pub(crate) fn cx(&mut self) -> SyscallCx<'_> {
        SyscallCx { task: &self.task, run: &mut self.run }
    }
}

/// Returns an image as it is after it was written to a checkpoint and read again.
pub(crate) fn saved<T: serde::Serialize + serde::de::DeserializeOwned>(image: &T) -> T {
    let config = bincode::config::standard();
    let bytes = bincode::serde::encode_to_vec(image, config).expect("plain data");
    let (image, len) = bincode::serde::decode_from_slice(&bytes, config).expect("what was written");
    assert_eq!(len, bytes.len());
    image
}
