//! Processes that are put into a container from outside.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use cloister_proto::container::ProcessSpec;
use cloister_proto::control::{ErrorKind, Failure};

use super::create::failed;
use super::namespaces::Namespaces;
use crate::error::{Errno, Fail, fail};
use crate::fs::host::{HostStream, Terminal};
use crate::fs::{
    Access, FdFlags, FdTable, FileKind, Follow, FsContext, OpenFlags, Walker, devpts, host, permission,
};
use crate::kernel::Kernel;
use crate::loader::{Arguments, Place, Program};
use crate::mm::{MemoryLimits, Mm, Randomization};
use crate::prelude::errno;
use crate::seccomp::Mode;
use crate::signal::{SignalActions, TaskSignals};
use crate::task::{
    self, Capabilities, Credentials, Policy, Process, Rlimit, Scheduling, Task, TaskAttributes, TaskParts,
    TaskRun, TaskSet, ThreadGroup,
};
use crate::tty::job_control;

/// What a new process starts with.
#[derive(Debug)]
pub(super) struct NewProcess<'a> {
    /// Root, current directory and umask.
    pub(super) fs: Arc<FsContext>,
    /// The other namespaces.
    pub(super) namespaces: &'a Namespaces,
    /// The tasks of the container.
    pub(super) tasks: Arc<TaskSet>,
    /// The descriptors.
    pub(super) files: Arc<FdTable>,
    /// Which system calls it may make.
    pub(super) seccomp: Mode,
    /// All else.
    pub(super) spec: &'a ProcessSpec,
}

/// Whose the descriptors of a process are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// The container's own: a container that was saved is given them anew.
    Container,
    /// Put in later.
    Later,
}

/// Makes a descriptor table of standard input, output and error, and what is behind them.
///
/// # Errors
///
/// `Os` if one of them can't be used.
pub(super) fn descriptor_table(
    kernel: &Arc<Kernel>,
    descriptors: Vec<OwnedFd>,
    origin: Origin,
) -> Result<Arc<FdTable>, Failure> {
    let files = FdTable::default();
    let count = descriptors.len() as u64;
    for (number, descriptor) in (0..).zip(descriptors) {
        let what = || format!("use the descriptor given as {number}");
        // With the access that the caller's have: a terminal is open for reading and writing on all three.
        let file = host::open_stdio(
            kernel,
            descriptor,
            (origin == Origin::Container).then_some(number),
            OpenFlags::empty(),
        )
        .map_err(|errno| failed(what(), errno))?;
        files.add(file, FdFlags::empty(), count).map_err(|errno| failed(what(), errno))?;
    }
    Ok(Arc::new(files))
}

/// Makes the first task of a process, without a program. It is in no tree yet: [`add_to_tree`].
///
/// # Errors
///
/// `Os` if the host has no room for a process.
pub(super) fn new_task(kernel: &Arc<Kernel>, new: &NewProcess<'_>) -> Result<Arc<Task>, Failure> {
    let no_room = |errno| failed("make a process", errno);
    let pid = kernel.processes.lock().new_pid(new.namespaces.pid).ok_or_else(|| no_room(errno::EAGAIN))?;
    let space = kernel.platform.new_address_space().map_err(no_room)?;
    let mm = Mm::new(space, MemoryLimits::default(), Randomization::On);
    let group = ThreadGroup::new(pid, Arc::clone(&new.tasks));
    for limit in &new.spec.rlimits {
        let value = Rlimit { soft: limit.soft, hard: limit.hard };
        group.rlimits_mut().set_by_number(limit.resource, value);
    }
    let adjustment = new.spec.oom_score_adj.unwrap_or(0).clamp(-1000, 1000);
    group.state().oom_score_adj = i16::try_from(adjustment).unwrap_or(0);
    let parts = TaskParts {
        name: Vec::new(),
        credentials: Arc::new(credentials(new.spec)),
        mm: Some(Arc::clone(&mm)),
        files: Some(Arc::clone(&new.files)),
        fs: Arc::clone(&new.fs),
        uts: Arc::clone(&new.namespaces.uts),
        ipc: Arc::clone(&new.namespaces.ipc),
        net: Arc::clone(&new.namespaces.net),
        actions: Arc::new(SignalActions::default()),
    };
    let run = TaskRun::new(cloister_abi::Registers::default(), mm, Arc::clone(&new.files));
    let task = Task::new(Arc::clone(kernel), pid, Arc::new(group), parts, TaskSignals::default(), run);
    task.seccomp.set(new.seccomp.clone());
    *task.attributes.lock() = attributes(new.spec)?;
    Ok(task)
}

/// Returns what a process would have set for itself.
///
/// # Errors
///
/// `InvalidArgument` for a scheduling policy that there is not, or a priority that it has not.
fn attributes(spec: &ProcessSpec) -> Result<TaskAttributes, Failure> {
    let wanted = spec.scheduling;
    let policy = Policy::new(wanted.policy).filter(|policy| policy.priorities().contains(&wanted.priority));
    let policy = policy.filter(|_| (-20..20).contains(&wanted.nice)).ok_or_else(|| {
        Failure::new(ErrorKind::InvalidArgument, format!("there is no such scheduling: {wanted:?}"))
    })?;
    let scheduling = Scheduling {
        policy,
        priority: wanted.priority,
        nice: wanted.nice,
        resets_on_fork: wanted.resets_on_fork,
        affinity: None,
    };
    Ok(TaskAttributes {
        scheduling,
        personality: spec.personality,
        io_priority: spec.io_priority,
        ..TaskAttributes::default()
    })
}

/// Gives the terminals among a process' standard files names in the devpts of the container.
pub(super) fn name_terminals(task: &Task) {
    let owner = task.credentials();
    if let Some(files) = task.files() {
        devpts::adopt_terminals(&task.fs(), &files, (owner.uid, owner.gid));
    }
}

/// Returns the terminal among a process' standard input, output and error.
fn terminal(files: &FdTable) -> Option<Arc<Terminal>> {
    (0..3).find_map(|fd| files.get(fd)?.ops_as::<HostStream>()?.terminal().cloned())
}

/// Puts a new process into the tree: the leader of a process group and a session of its own, which has the terminal among
/// its standard files.
pub(super) fn add_to_tree(kernel: &Kernel, task: &Arc<Task>) {
    let pid = task.tid();
    kernel.processes.lock().add_process(Process {
        group: Arc::clone(task.group()),
        tasks: vec![Arc::clone(task)],
        parent: 0,
        children: Vec::new(),
        process_group: pid,
        session: pid,
        exit_signal: 0,
        name: Vec::new(),
        uid: 0,
        zombie: None,
        is_subreaper: false,
        has_executed: true,
    });
    if let Some(terminal) = task.files().and_then(|files| terminal(&files)) {
        job_control::control(kernel, terminal, pid);
    }
}

fn credentials(spec: &ProcessSpec) -> Credentials {
    let (uid, gid) = (spec.user.uid, spec.user.gid);
    let set = Capabilities::from_bits_truncate;
    Credentials {
        uid,
        euid: uid,
        suid: uid,
        fsuid: uid,
        gid,
        egid: gid,
        sgid: gid,
        fsgid: gid,
        groups: spec.user.additional_gids.clone(),
        effective: set(spec.capabilities.effective),
        permitted: set(spec.capabilities.permitted),
        inheritable: set(spec.capabilities.inheritable),
        bounding: set(spec.capabilities.bounding),
        ambient: set(spec.capabilities.ambient),
        securebits: 0,
        no_new_privileges: spec.no_new_privileges,
    }
}

/// Returns the credentials with which the kernel itself makes mounts.
pub(super) fn superuser() -> Credentials {
    let all = Capabilities::all();
    Credentials { effective: all, permitted: all, bounding: all, ..Credentials::default() }
}

/// Gives a new task its program.
///
/// # Errors
///
/// `Execute` with the error number of `execve`; `Os` if there is no such working directory.
pub(super) fn execute(task: &Arc<Task>, spec: &ProcessSpec) -> Result<(), Failure> {
    enter_directory(task, &spec.cwd, spec.create_cwd)?;
    let name = spec.args.first().map(|name| name.to_vec()).unwrap_or_default();
    let strings = |list: &[cloister_proto::ByteString]| list.iter().map(|string| string.to_vec()).collect();
    let arguments = Arguments { arguments: strings(&spec.args), environment: strings(&spec.env) };
    let mut result = Err(fail(errno::ENOENT, "no such program"));
    for path in candidates(&name, &arguments.environment) {
        let place = Place::Named { base: task.fs().cwd(), path: path.clone(), follow: Follow::Yes };
        let program = Program { place, path, path_vanishes: false };
        let shown = program.path.clone();
        let ended = task.enter(|cx| task::start_program(cx, program, arguments.clone()));
        task.kernel().strace.log_first_program(task, &shown, &arguments.arguments, ended.is_ok());
        match ended {
            // As a shell: a directory without the program, or one that can't be searched, is passed over.
            Err(failure) if failure.is(errno::ENOENT) || failure.is(errno::ENOTDIR) => {}
            Err(failure) if failure.is(errno::EACCES) => result = Err(failure),
            ended => {
                result = ended;
                break;
            }
        }
    }
    result.map_err(|failure| {
        let errno = match failure {
            Fail::Errno(errno, _) => errno,
            Fail::Restart(_) | Fail::Park(_) => errno::EINTR,
        };
        not_executable(&name, errno)
    })
}

/// Checks that a process' program can be found and executed, so that this is told before anybody waits for it to run.
///
/// A path from the working directory, which may be made later, is passed over.
///
/// # Errors
///
/// `Execute` with the error number of `execve`.
pub(super) fn find_program(task: &Arc<Task>, spec: &ProcessSpec) -> Result<(), Failure> {
    let name = spec.args.first().map(|name| name.to_vec()).unwrap_or_default();
    let environment: Vec<_> = spec.env.iter().map(|variable| variable.to_vec()).collect();
    let mut result = Err(errno::ENOENT);
    for path in candidates(&name, &environment) {
        if !path.starts_with(b"/") {
            return Ok(());
        }
        let mut walker = Walker::new(task);
        let found = walker.lookup(task.fs().root(), &path, Follow::Yes);
        match found.and_then(|found| permission::check(walker.credentials(), &found, Access::EXECUTE)) {
            Err(errno::ENOENT | errno::ENOTDIR) => {}
            Err(errno::EACCES) => result = Err(errno::EACCES),
            // Whatever else is wrong with it is told by the start.
            _ => return Ok(()),
        }
    }
    result.map_err(|errno| not_executable(&name, errno))
}

fn not_executable(name: &[u8], errno: Errno) -> Failure {
    let message = format!("execute `{}`: {errno}", String::from_utf8_lossy(name));
    Failure::new(ErrorKind::Execute(errno.raw()), message)
}

/// Returns the paths at which a program may be: its name, or its name in the directories of `PATH`.
fn candidates(name: &[u8], environment: &[Vec<u8>]) -> Vec<Vec<u8>> {
    if name.contains(&b'/') || name.is_empty() {
        return vec![name.to_vec()];
    }
    let path = environment.iter().find_map(|variable| variable.strip_prefix(b"PATH="));
    let path = path.unwrap_or(b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    // An empty directory is the current one.
    let join = |directory: &[u8]| match directory {
        b"" => name.to_vec(),
        _ => [directory, b"/", name].concat(),
    };
    path.split(|byte| *byte == b':').map(join).collect()
}

/// Makes `path` the current directory of a new task; with `create` it is made where it does not exist.
fn enter_directory(task: &Arc<Task>, path: &[u8], create: bool) -> Result<(), Failure> {
    let root = task.fs().root();
    let found = match Walker::new(task).lookup(root, path, Follow::Yes) {
        Err(errno::ENOENT) if create => {
            let mut walker = Walker::with_credentials(task, Arc::new(superuser()));
            super::mounts::mount_point(&mut walker, path, FileKind::Directory)
        }
        found => found,
    };
    let directory = found.and_then(|found| {
        if found.inode().kind() == FileKind::Directory { Ok(found) } else { Err(errno::ENOTDIR) }
    });
    let what = || format!("enter the working directory `{}`", String::from_utf8_lossy(path));
    task.fs().set_cwd(directory.map_err(|errno| failed(what(), errno))?);
    Ok(())
}

/// Takes a process that got no program out of the tree again.
pub(super) fn abandon(kernel: &Kernel, task: &Arc<Task>) {
    let mut tree = kernel.processes.lock();
    tree.remove_task(task);
    tree.reap(task.tid());
    tree.sessions_mut().forget(task.tid());
    drop(tree);
    task.end();
}
