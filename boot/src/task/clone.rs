//! New tasks and processes.

use std::sync::Arc;

use bitflags::bitflags;

use super::{
    Capabilities, Credentials, Pid, PidFd, Process, Resource, Task, TaskParts, TaskRun, ThreadGroup,
    UtsNamespace, number,
};
use crate::context::SyscallCx;
use crate::error::{Fail, fail};
use crate::fs::{FdTable, FsContext, OpenFlags};
use crate::prelude::errno;
use crate::signal::SignalActions;
use crate::syscall::Address;

bitflags! {
    /// What a new task shares with its maker, and what else is done (`clone(2)`).
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) struct CloneFlags: u64 {
        /// The address space.
        const VM = 0x100;
        /// Root, current directory, umask.
        const FS = 0x200;
        /// The descriptor table.
        const FILES = 0x400;
        /// The signal actions.
        const SIGHAND = 0x800;
        /// A descriptor of the new process is made.
        const PIDFD = 0x1000;
        /// The maker's tracer traces the new task too.
        const PTRACE = 0x2000;
        /// The maker waits until the new task executes a program or ends.
        const VFORK = 0x4000;
        /// The new process has the maker's parent.
        const PARENT = 0x8000;
        /// The thread group.
        const THREAD = 0x1_0000;
        /// A new mount namespace.
        const NEWNS = 0x2_0000;
        /// System V semaphore undo values.
        const SYSVSEM = 0x4_0000;
        /// The thread pointer is set.
        const SETTLS = 0x8_0000;
        /// The new id is stored in the maker's memory.
        const PARENT_SETTID = 0x10_0000;
        /// The word at the child's id is cleared, and a futex woken, when it ends.
        const CHILD_CLEARTID = 0x20_0000;
        /// Has no effect since Linux 2.6.2.
        const DETACHED = 0x40_0000;
        /// The new task can't be traced by force.
        const UNTRACED = 0x80_0000;
        /// The new id is stored in the new task's memory.
        const CHILD_SETTID = 0x100_0000;
        /// A new cgroup namespace.
        const NEWCGROUP = 0x200_0000;
        /// A new UTS namespace.
        const NEWUTS = 0x400_0000;
        /// A new IPC namespace.
        const NEWIPC = 0x800_0000;
        /// A new user namespace.
        const NEWUSER = 0x1000_0000;
        /// A new PID namespace.
        const NEWPID = 0x2000_0000;
        /// A new network namespace.
        const NEWNET = 0x4000_0000;
        /// The I/O context; has no effect here.
        const IO = 0x8000_0000;
        /// The new task has default signal actions (`clone3` only).
        const CLEAR_SIGHAND = 0x1_0000_0000;
        /// The new process is put in a cgroup (`clone3` only).
        const INTO_CGROUP = 0x2_0000_0000;
    }
}

impl CloneFlags {
    /// The new namespaces.
    pub(crate) const NAMESPACES: Self = Self::NEWNS
        .union(Self::NEWCGROUP)
        .union(Self::NEWUTS)
        .union(Self::NEWIPC)
        .union(Self::NEWUSER)
        .union(Self::NEWPID)
        .union(Self::NEWNET);

    /// Checks that the namespaces that they ask for can be made for somebody with `credentials`.
    ///
    /// # Errors
    ///
    /// `EPERM` without `CAP_SYS_ADMIN`, which only a new user namespace does not need; `EINVAL` for those that there are not.
    pub(crate) fn check_namespaces(self, credentials: &Credentials) -> Result<(), Fail> {
        let asked = self.intersection(Self::NAMESPACES);
        if asked.is_empty() {
            return Ok(());
        }
        if !credentials.has(Capabilities::SYS_ADMIN) && !asked.contains(Self::NEWUSER) {
            return Err(fail(errno::EPERM, "new namespaces need `CAP_SYS_ADMIN`"));
        }
        if !(Self::NEWNS | Self::NEWUTS).contains(asked) {
            return Err(fail(errno::EINVAL, "only mounts and host names have other namespaces"));
        }
        Ok(())
    }

    /// Checks that they can go together (`clone(2)`, `EINVAL`).
    fn check(self) -> Result<(), Fail> {
        let needs = [
            (Self::THREAD, Self::SIGHAND, "a thread must share signal actions"),
            (Self::SIGHAND, Self::VM, "shared signal actions need a shared address space"),
        ];
        for (flag, needed, cause) in needs {
            if self.contains(flag) && !self.contains(needed) {
                return Err(fail(errno::EINVAL, cause));
            }
        }
        let contradict = [
            (Self::NEWNS, Self::FS, "a new mount namespace can't share a root"),
            (Self::NEWUSER, Self::FS, "a new user namespace can't share a root"),
            (Self::NEWPID, Self::THREAD, "a thread can't be in another PID namespace"),
            (Self::NEWUSER, Self::THREAD, "a thread can't be in another user namespace"),
            (Self::PIDFD, Self::THREAD, "a pidfd is of a process"),
            (Self::CLEAR_SIGHAND, Self::SIGHAND, "shared signal actions can't be cleared"),
        ];
        for (one, other, cause) in contradict {
            if self.contains(one | other) {
                return Err(fail(errno::EINVAL, cause));
            }
        }
        if self.contains(Self::INTO_CGROUP) {
            return Err(fail(errno::EOPNOTSUPP, "cgroups are not supported"));
        }
        Ok(())
    }
}

/// What `clone` is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CloneArguments {
    /// What is shared and done.
    pub(crate) flags: CloneFlags,
    /// What the parent is told by when the new process ends.
    pub(crate) exit_signal: u8,
    /// The stack pointer of the new task; null: the maker's.
    pub(crate) stack: Address,
    /// The new thread pointer, with `SETTLS`.
    pub(crate) tls: u64,
    /// Where the maker finds the new id.
    pub(crate) parent_tid: Address,
    /// Where the new task finds its id, and where it is cleared.
    pub(crate) child_tid: Address,
    /// Where the maker finds the descriptor of the new process.
    pub(crate) pidfd: Address,
}

/// Makes a task, which runs from the maker's registers with the result 0. Returns it, not yet started: [`Task::start`].
///
/// # Errors
///
/// `EINVAL` for flags that do not go together, `EAGAIN` if there are too many tasks, `ENOMEM`.
pub(crate) fn clone_task(cx: &mut SyscallCx<'_>, arguments: &CloneArguments) -> Result<Arc<Task>, Fail> {
    let flags = arguments.flags;
    flags.check()?;
    flags.check_namespaces(&cx.credentials())?;
    check_process_limit(cx)?;
    let parts = clone_parts(cx, flags)?;
    let (Some(mm), Some(files)) = (parts.mm.clone(), parts.files.clone()) else {
        return Err(fail(errno::ESRCH, "the caller is ending"));
    };
    let mut registers = *cx.registers();
    registers.rax = 0;
    if !arguments.stack.is_null() {
        registers.rsp = arguments.stack.0;
    }
    if flags.contains(CloneFlags::SETTLS) {
        registers.fs_base = arguments.tls;
    }
    let mut run = TaskRun::new(registers, Arc::clone(&mm), files);
    if flags.contains(CloneFlags::CHILD_CLEARTID) {
        run.clear_child_tid = arguments.child_tid.0;
    }
    let signals = if flags.intersection(CloneFlags::VM | CloneFlags::VFORK) == CloneFlags::VM {
        cx.task.signals.lock().for_thread()
    } else {
        cx.task.signals.lock().for_fork()
    };

    // An id that was handed out is not handed out again before 4 million others were.
    let tid = {
        let mut tree = cx.kernel().processes.lock();
        if !cx.group().tasks().has_room() {
            return Err(fail(errno::EAGAIN, "the container may have no more tasks"));
        }
        tree.new_pid(cx.task.pid_namespace()).ok_or(fail(errno::EAGAIN, "too many tasks"))?
    };
    let group = if flags.contains(CloneFlags::THREAD) {
        Arc::clone(cx.group())
    } else {
        Arc::new(ThreadGroup::for_fork(tid, cx.group()))
    };
    let pidfd = if flags.contains(CloneFlags::PIDFD) {
        Some(PidFd::install(cx, &group, OpenFlags::empty())?)
    } else {
        None
    };
    let kernel = Arc::clone(cx.kernel());
    let task = Task::new(kernel, tid, group, parts, signals, run);
    let attributes = cx.task.attributes.lock().for_clone();
    *task.attributes.lock() = attributes;
    task.vfork.set_pending(flags.contains(CloneFlags::VFORK));

    let fpu = cx.task.thread().and_then(|thread| thread.fpu().ok());
    let thread = Arc::clone(mm.space())
        .spawn(fpu.as_ref(), Arc::clone(&task) as Arc<_>)
        .map_err(|errno| fail(errno, "the host has no room for a thread"))
        .inspect_err(|_| drop(pidfd.map(|fd| cx.files().remove(fd))))?;
    task.set_thread(thread);
    if let Some(pidfd) = pidfd {
        // As in Linux a maker that can't be told is not an error.
        let _ = cx.memory().write(arguments.pidfd, &pidfd);
    }
    if flags.contains(CloneFlags::CHILD_SETTID) {
        // As in Linux a child that can't be told is not an error.
        let _ = crate::mm::UserMemory::new(mm).write(arguments.child_tid, &number(tid));
    }
    if flags.contains(CloneFlags::PARENT_SETTID) {
        let _ = cx.memory().write(arguments.parent_tid, &number(tid));
    }
    add_to_tree(cx, &task, arguments);
    Ok(task)
}

/// Checks that the caller's user may have another task (`RLIMIT_NPROC`).
fn check_process_limit(cx: &SyscallCx<'_>) -> Result<(), Fail> {
    let limit = cx.group().rlimit(Resource::Processes);
    let credentials = cx.credentials();
    let is_exempt =
        credentials.uid == 0 || credentials.has(Capabilities::SYS_RESOURCE | Capabilities::SYS_ADMIN);
    if limit == u64::MAX || is_exempt {
        return Ok(());
    }
    let tree = cx.kernel().processes.lock();
    let tasks =
        tree.tasks_of(cx.group().tasks()).filter(|task| task.credentials().uid == credentials.uid).count();
    if tasks as u64 >= limit { Err(fail(errno::EAGAIN, "the user has too many tasks")) } else { Ok(()) }
}

/// Copies or shares the parts of the caller.
fn clone_parts(cx: &SyscallCx<'_>, flags: CloneFlags) -> Result<TaskParts, Fail> {
    let mut parts = cx.task.parts().clone();
    if !flags.contains(CloneFlags::VM) {
        let mm = cx.mm().fork().map_err(|errno| fail(errno, "the host can't copy the address space"))?;
        parts.mm = Some(mm);
    }
    if !flags.contains(CloneFlags::FILES) {
        parts.files = Some(Arc::new(FdTable::copy_of(cx.files())));
    }
    if !flags.contains(CloneFlags::FS) {
        parts.fs = Arc::new(FsContext::copy_of(&parts.fs));
    }
    if flags.contains(CloneFlags::NEWNS) {
        parts.fs.unshare_namespace();
    }
    if flags.contains(CloneFlags::NEWUTS) {
        parts.uts = Arc::new(UtsNamespace::new(parts.uts.names()));
    }
    if flags.contains(CloneFlags::CLEAR_SIGHAND) {
        parts.actions = Arc::new(SignalActions::default());
    } else if !flags.contains(CloneFlags::SIGHAND) {
        parts.actions = Arc::new(SignalActions::copy_of(&parts.actions));
    }
    Ok(parts)
}

/// Gives a new task the filters of its maker as they are now: with the tree locked, so that no other thread changes them.
fn inherit_seccomp(cx: &SyscallCx<'_>, task: &Task) {
    task.seccomp.set(cx.task.seccomp.mode());
    if cx.credentials().no_new_privileges && !task.credentials().no_new_privileges {
        task.parts().credentials = cx.credentials();
    }
}

fn add_to_tree(cx: &SyscallCx<'_>, task: &Arc<Task>, arguments: &CloneArguments) {
    let flags = arguments.flags;
    let mut tree = cx.kernel().processes.lock();
    inherit_seccomp(cx, task);
    if flags.contains(CloneFlags::THREAD) {
        tree.add_task(Arc::clone(task));
        return;
    }
    let maker: Pid = cx.group().tgid();
    let Some(own) = tree.process(maker) else { return };
    let (parent, exit_signal) = if flags.contains(CloneFlags::PARENT) {
        (own.parent, own.exit_signal)
    } else {
        (maker, arguments.exit_signal)
    };
    let process = Process {
        group: Arc::clone(task.group()),
        tasks: vec![Arc::clone(task)],
        parent,
        children: Vec::new(),
        process_group: own.process_group,
        session: own.session,
        exit_signal,
        name: Vec::new(),
        uid: cx.credentials().uid,
        zombie: None,
        is_subreaper: false,
        has_executed: false,
    };
    tree.add_process(process);
    drop(tree);
    task.group().timers.watch_cpu_limit(cx.kernel(), task.group());
}
