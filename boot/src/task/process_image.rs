//! The saved forms of processes: what a thread group counts, and the relations of the process tree.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use cloister_platform::CpuTime;
use serde::{Deserialize, Serialize};

use super::process_tree::{ExitStatus, Process, Tree};
use super::thread_group::{GroupState, ThreadGroup};
use super::{PID_MAX, Pid, PidNamespace, Rlimits, Task, TaskSet};
use crate::error::Errno;
use crate::kernel::Kernel;
use crate::prelude::errno;
use crate::time::{GroupTimers, GroupTimersImage};
use crate::tty::{Sessions, SessionsImage, Terminal};

/// The saved form of a [`ThreadGroup`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ThreadGroupImage {
    tgid: Pid,
    /// The container's [`TaskSet`], by its id.
    task_set: u32,
    state: GroupState,
    rlimits: Rlimits,
    has_ended: bool,
    timers: GroupTimersImage,
}

impl ThreadGroupImage {
    /// Saves a group, whose living threads have used `running` of processor time: their host threads do not live on.
    pub(crate) fn of(group: &ThreadGroup, running: CpuTime) -> Self {
        let (tgid, rlimits) = (group.tgid(), group.rlimits());
        let (mut state, timers) = (group.state().clone(), group.timers.to_image());
        state.ended_threads_time = state.ended_threads_time + running;
        let (task_set, has_ended) = (group.tasks().id(), group.has_ended());
        Self { tgid, task_set, state, rlimits, has_ended, timers }
    }

    /// Brings the group back; its timers do not run yet. The tasks of its container are found by their id.
    ///
    /// # Errors
    ///
    /// `EINVAL` if they are not there, or the image contradicts itself.
    pub(crate) fn restore(
        self,
        kernel: &Weak<Kernel>,
        set_of: impl Fn(u32) -> Option<Arc<TaskSet>>,
    ) -> Result<Arc<ThreadGroup>, Errno> {
        let tasks = set_of(self.task_set).ok_or(errno::EINVAL)?;
        let mut is_sound = true;
        let group = Arc::new_cyclic(|this: &Weak<ThreadGroup>| {
            let timers = GroupTimers::from_image(&self.timers, kernel, self.tgid, this);
            is_sound = timers.is_some();
            ThreadGroup::with_timers(self.tgid, tasks, timers.unwrap_or_default())
        });
        *group.state() = self.state;
        *group.rlimits_mut() = self.rlimits;
        group.restore_end(self.has_ended);
        if is_sound { Ok(group) } else { Err(errno::EINVAL) }
    }
}

/// The saved form of the process tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TreeImage {
    last_pid: Pid,
    /// The PID namespaces, and the number that was handed out last in each.
    namespaces: Vec<(PidNamespace, i32)>,
    processes: Vec<ProcessImage>,
    sessions: SessionsImage,
}

/// The saved form of a [`Process`]; it is known by the id of its group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct ProcessImage {
    tgid: Pid,
    /// The living tasks, by their ids.
    tasks: Vec<Pid>,
    parent: Pid,
    children: Vec<Pid>,
    process_group: Pid,
    session: Pid,
    exit_signal: u8,
    name: Vec<u8>,
    uid: u32,
    zombie: Option<ExitStatus>,
    is_subreaper: bool,
    has_executed: bool,
}

impl ProcessImage {
    fn of(process: &Process) -> Self {
        Self {
            tgid: process.group.tgid(),
            tasks: process.tasks.iter().map(|task| task.tid()).collect(),
            parent: process.parent,
            children: process.children.clone(),
            process_group: process.process_group,
            session: process.session,
            exit_signal: process.exit_signal,
            name: process.name.clone(),
            uid: process.uid,
            zombie: process.zombie,
            is_subreaper: process.is_subreaper,
            has_executed: process.has_executed,
        }
    }

    fn restore(self, group: Arc<ThreadGroup>, tasks: Vec<Arc<Task>>) -> Process {
        Process {
            group,
            tasks,
            parent: self.parent,
            children: self.children,
            process_group: self.process_group,
            session: self.session,
            exit_signal: self.exit_signal,
            name: self.name,
            uid: self.uid,
            zombie: self.zombie,
            is_subreaper: self.is_subreaper,
            has_executed: self.has_executed,
        }
    }
}

impl TreeImage {
    /// Saves the tree; `terminal_id` tells the ids of terminals.
    pub(crate) fn of(tree: &Tree, terminal_id: impl Fn(&Arc<dyn Terminal>) -> u64) -> Self {
        Self {
            last_pid: tree.last_pid,
            namespaces: tree.namespaces.iter().map(|(namespace, last)| (*namespace, *last)).collect(),
            processes: tree.processes.values().map(ProcessImage::of).collect(),
            sessions: tree.sessions.to_image(terminal_id),
        }
    }

    /// Brings the tree back; groups, tasks and terminals are found by their ids.
    ///
    /// # Errors
    ///
    /// `EINVAL` if one of them is not there, or the image contradicts itself.
    pub(crate) fn restore(
        self,
        group_of: impl Fn(Pid) -> Option<Arc<ThreadGroup>>,
        task_of: impl Fn(Pid) -> Option<Arc<Task>>,
        terminal_of: impl Fn(u64) -> Option<Arc<dyn Terminal>>,
    ) -> Result<Tree, Errno> {
        let is_valid =
            |(namespace, last): &(PidNamespace, i32)| namespace.is_valid() && (0..PID_MAX).contains(last);
        if self.last_pid < 0 || !self.namespaces.iter().all(is_valid) {
            return Err(errno::EINVAL);
        }
        let (mut tasks, mut processes) = (BTreeMap::new(), BTreeMap::new());
        for image in self.processes {
            let tgid = image.tgid;
            let group = group_of(tgid).filter(|group| group.tgid() == tgid).ok_or(errno::EINVAL)?;
            let own: Option<Vec<_>> = image.tasks.iter().map(|tid| task_of(*tid)).collect();
            let own = own.ok_or(errno::EINVAL)?;
            for task in &own {
                let is_foreign = !Arc::ptr_eq(task.group(), &group);
                if is_foreign || tasks.insert(task.tid(), Arc::clone(task)).is_some() {
                    return Err(errno::EINVAL);
                }
                group.tasks().note_added();
            }
            if processes.insert(tgid, image.restore(group, own)).is_some() {
                return Err(errno::EINVAL);
            }
        }
        check_families(&processes)?;
        let sessions = Sessions::from_image(self.sessions, terminal_of)?;
        let namespaces = self.namespaces.into_iter().collect();
        Ok(Tree { last_pid: self.last_pid, namespaces, tasks, processes, sessions })
    }
}

/// Checks that parents and children agree on who they are.
fn check_families(processes: &BTreeMap<Pid, Process>) -> Result<(), Errno> {
    for (pid, process) in processes {
        let is_known = process.parent == 0
            || processes.get(&process.parent).is_some_and(|parent| parent.children.contains(pid));
        let is_parent_of = |child| processes.get(child).is_some_and(|child| child.parent == *pid);
        if !is_known || process.parent == *pid || !process.children.iter().all(is_parent_of) {
            return Err(errno::EINVAL);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::{Resource, Rlimit};
    use crate::testing::{TestKernel, saved};

    #[test]
    fn a_thread_group_comes_back() {
        let tasks = Arc::new(TaskSet::new(4, PidNamespace::default(), None));
        let group = ThreadGroup::new(12, Arc::clone(&tasks));
        group.state().oom_score_adj = -7;
        group.state().exit = Some(ExitStatus::Exited(3));
        group.rlimits_mut().change(Resource::OpenFiles, Rlimit { soft: 5, hard: 6 }, true).unwrap();
        let image = saved(&ThreadGroupImage::of(&group, CpuTime::default()));
        let kernel = Weak::new();
        let set_of = |id| (id == 4).then(|| Arc::clone(&tasks));
        let restored = image.clone().restore(&kernel, set_of).unwrap();
        assert!(image.clone().restore(&kernel, |_| None).is_err(), "no such container");
        assert_eq!(ThreadGroupImage::of(&restored, CpuTime::default()), image);
        assert_eq!((restored.tgid(), restored.rlimit(Resource::OpenFiles)), (12, 5));
        assert_eq!(restored.state().final_status(), ExitStatus::Exited(3));
    }

    #[test]
    fn the_process_tree_comes_back() {
        let kernel = TestKernel::new();
        let tasks = [kernel.root_task().task, kernel.root_task().task];
        let [first, second] = &tasks;
        let ids = [first.tid(), second.tid()];
        let process = |task: &Arc<Task>, parent, children, zombie| Process {
            group: Arc::clone(task.group()),
            tasks: if zombie { vec![] } else { vec![Arc::clone(task)] },
            parent,
            children,
            process_group: ids[0],
            session: ids[0],
            exit_signal: 17,
            name: b"name".to_vec(),
            uid: 9,
            zombie: zombie.then_some(ExitStatus::Signaled { signal: 9, core_dumped: false }),
            is_subreaper: true,
            has_executed: false,
        };
        let namespace = PidNamespace::default();
        let namespaces = [(namespace, ids[1])].into();
        let mut tree = Tree { last_pid: ids[1], namespaces, ..Tree::default() };
        tree.processes.insert(ids[0], process(first, 0, vec![ids[1]], false));
        tree.processes.insert(ids[1], process(second, ids[0], vec![], true));
        let image = saved(&TreeImage::of(&tree, |_| 0));
        let task_of = |tid| tasks.iter().find(|task| task.tid() == tid).cloned();
        let restore = |image: TreeImage| {
            let group_of = |tgid| task_of(tgid).map(|task| Arc::clone(task.group()));
            image.restore(group_of, task_of, |_| None)
        };
        let mut restored = restore(image.clone()).unwrap();
        assert_eq!(TreeImage::of(&restored, |_| 0), image);
        assert_eq!(restored.tasks.keys().copied().collect::<Vec<_>>(), [ids[0]]);
        assert!(restored.new_pid(namespace).is_some_and(|new| new > ids[1]), "ids go on where they were");

        let refused = |change: &dyn Fn(&mut TreeImage)| {
            let mut image = image.clone();
            change(&mut image);
            restore(image).err() == Some(errno::EINVAL)
        };
        assert!(refused(&|image| image.last_pid = -1));
        assert!(refused(&|image| image.namespaces[0].1 = PID_MAX));
        assert!(refused(&|image| image.processes[0].tasks = vec![ids[1]]), "another process's task");
        assert!(refused(&|image| image.processes[0].children.clear()), "a parent that knows of no child");
        assert!(refused(&|image| image.processes[1].parent = 99));
        assert!(refused(&|image| image.processes[1].tgid = ids[0]), "two with one id");
        assert!(refused(&|image| image.processes[0].tgid = 99), "no such group");
    }
}
