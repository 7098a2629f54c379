//! The end of tasks and processes.

use std::sync::Arc;

use super::{ExitStatus, Pid, Task, ThreadGroup, Tree, futex};
use crate::context::SyscallCx;
use crate::event::Events;
use crate::signal;
use crate::tty::job_control;

/// Makes all tasks of the caller's group end with `status`, unless they end with another already, and ends the caller.
pub(crate) fn exit_group(cx: &mut SyscallCx<'_>, status: ExitStatus) {
    let status = request_exit(cx.group(), status);
    for task in other_tasks(cx) {
        task.kick();
    }
    exit_task(cx, status);
}

/// Notes that all tasks of a group are to end with `status`, unless they end with another already. Returns the status that
/// counts. The caller kicks the tasks.
pub(crate) fn request_exit(group: &ThreadGroup, status: ExitStatus) -> ExitStatus {
    *group.state().exit.get_or_insert(status)
}

/// Returns the living tasks of the caller's group besides the caller.
pub(crate) fn other_tasks(cx: &SyscallCx<'_>) -> Vec<Arc<Task>> {
    let tree = cx.kernel().processes.lock();
    let tasks = tree.process(cx.group().tgid()).map(|process| process.tasks.as_slice()).unwrap_or_default();
    tasks.iter().filter(|task| task.tid() != cx.task.tid()).cloned().collect()
}

/// Ends the calling task. With the last task of its group the process ends: its children get another parent, and its
/// own parent is told.
pub(crate) fn exit_task(cx: &mut SyscallCx<'_>, status: ExitStatus) {
    futex::on_task_exit(cx);
    cx.run.call = None;
    cx.run.registrations.clear();
    cx.run.deadline_timer = None;
    cx.task.vfork.release();
    let time = cx.task.thread().map(|thread| thread.cpu_time()).unwrap_or_default();
    cx.group().state().note_exit(cx.task.tid() == cx.group().tgid(), status, time);

    let (is_last, parts) = {
        let mut tree = cx.kernel().processes.lock();
        tree.remove_task(cx.task);
        let process = tree.process(cx.group().tgid());
        let is_last = process.is_some_and(|process| process.tasks.is_empty());
        if let Some(process) = process {
            signal::on_task_gone(&tree, process);
        }
        let mut parts = cx.task.parts();
        (is_last, (parts.mm.take(), parts.files.take()))
    };
    // Files that nobody else has are closed here, without a lock.
    cx.run.files = Arc::default();
    let (mm, files) = parts;
    if let Some(files) = files {
        files.release(cx.task);
    }
    drop(mm);
    cx.task.end();
    if is_last {
        end_process(cx);
    } else {
        cx.group().thread_events.wake(Events::IN);
    }
}

/// Turns the caller's process, whose tasks have all ended, into a zombie.
fn end_process(cx: &mut SyscallCx<'_>) {
    let kernel = Arc::clone(cx.kernel());
    let group = Arc::clone(cx.group());
    group.timers.stop();
    let status = group.state().final_status();
    cx.task.ipc().on_process_exit(group.tgid());
    let mut tree = kernel.processes.lock();
    let held_groups = signal::groups_held(&tree, group.tgid());
    let (orphans, reaper) = reparent_children(&mut tree, group.tgid());
    let Some(process) = tree.process_mut(group.tgid()) else { return };
    process.zombie = Some(status);
    process.uid = cx.task.credentials().uid;
    process.name = cx.task.name();
    group.tasks().add_ended_time(process.cpu_time());
    let parent = process.parent;
    job_control::on_process_exit(&mut tree, group.tgid());
    signal::wake_orphaned_groups(&tree, &held_groups);
    drop(tree);

    for orphan in orphans {
        signal::on_parent_exit(&kernel, &orphan, reaper);
    }
    group.end();
    if parent == 0 || signal::notify_parent_of_exit(&kernel, &group, parent, status) {
        kernel.processes.lock().reap(group.tgid());
    }
    kernel.containers.on_process_exit(&kernel, &group, status);
}

/// Gives the children of `tgid` to the next subreaper above it, or to the first process of the container. Returns their
/// groups and the new parent (0 if there is none).
fn reparent_children(tree: &mut Tree, tgid: Pid) -> (Vec<Arc<ThreadGroup>>, Pid) {
    let Some(process) = tree.process_mut(tgid) else { return (Vec::new(), 0) };
    let children = std::mem::take(&mut process.children);
    let reaper = tree.reaper_of(tgid).unwrap_or(0);
    let mut groups = Vec::with_capacity(children.len());
    for child in &children {
        if let Some(child) = tree.process_mut(*child) {
            child.parent = reaper;
            groups.push(Arc::clone(&child.group));
        }
    }
    if let Some(reaper) = tree.process_mut(reaper) {
        reaper.children.extend(&children);
    }
    (groups, reaper)
}
