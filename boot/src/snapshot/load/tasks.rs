//! Tasks, and what they share: made empty at first.

use std::sync::Arc;

use super::Loader;
use crate::fs::FdTableImage;
use crate::mm::{Mm, MmImage};
use crate::seccomp::{Filter, FilterImage, Mode};
use crate::signal::{ActionTable, SignalActions};
use crate::snapshot::failure::{Result, because, damaged};
use crate::snapshot::image::{ContextImage, FileImage, OpsImage};
use crate::snapshot::registry::find;
use crate::task::{SharedParts, TaskImage, ThreadGroupImage, TreeImage, UtsNames, UtsNamespace};
use crate::time::TimerFd;

impl Loader<'_> {
    /// Makes what tasks share, empty.
    pub(super) fn empty(
        &mut self,
        tables: &[FdTableImage],
        uts: Vec<UtsNames>,
        actions: Vec<ActionTable>,
        contexts: &[ContextImage],
    ) -> Result<()> {
        self.tables = tables.iter().map(FdTableImage::restore).collect();
        self.uts = uts.into_iter().map(|names| Arc::new(UtsNamespace::new(names))).collect();
        self.actions = actions.into_iter().map(|table| Arc::new(SignalActions::from_table(table))).collect();
        for ContextImage { namespace, context } in contexts {
            let namespace = find(&self.namespaces, *namespace);
            let namespace = namespace.ok_or_else(|| damaged("a mount namespace is missing"))?;
            self.contexts.push(Arc::new(context.restore(namespace)));
        }
        Ok(())
    }

    pub(super) fn groups(&mut self, images: Vec<ThreadGroupImage>, filters: &[FilterImage]) -> Result<()> {
        let kernel = Arc::downgrade(self.kernel);
        let filters = filters.iter().map(|image| Filter::from_image(image).map(Arc::new));
        let filters: std::result::Result<_, _> = filters.collect();
        self.filters = filters.map_err(|_| damaged("a system call filter is none"))?;
        for image in images {
            let set_of = |id| (id == self.task_set.id()).then(|| Arc::clone(&self.task_set));
            let group = image.restore(&kernel, set_of);
            let group =
                group.map_err(|_| damaged("a process has impossible timers, or another container"))?;
            self.groups.push(group);
        }
        Ok(())
    }

    /// Makes address spaces with nothing in them.
    pub(super) fn address_spaces(&mut self, images: &[MmImage]) -> Result<()> {
        for image in images {
            let space = self.kernel.platform.new_address_space().map_err(because(|| "make a process"))?;
            self.mms.push(Mm::from_image(space, image));
        }
        Ok(())
    }

    pub(super) fn tasks(&mut self, images: &[TaskImage]) -> Result<()> {
        for image in images {
            let group = self.groups.iter().find(|group| group.tgid() == image.tgid);
            let parts = find(&self.mms, image.mm).and_then(|mm| {
                Some(SharedParts {
                    mm,
                    files: find(&self.tables, image.files)?,
                    fs: find(&self.contexts, image.fs)?,
                    uts: find(&self.uts, image.uts)?,
                    ipc: Arc::clone(&self.ipc),
                    net: Arc::clone(&self.net),
                    actions: find(&self.actions, image.actions)?,
                })
            });
            let (Some(group), Some(parts)) = (group, parts) else {
                return Err(damaged("a part of a task is missing"));
            };
            let mode = Mode::from_image(&image.seccomp, &|id| find(&self.filters, id));
            let task = image.clone().restore(self.kernel, Arc::clone(group), parts);
            task.seccomp.set(mode.map_err(|_| damaged("a system call filter is missing"))?);
            self.tasks.push(task);
        }
        Ok(())
    }

    /// Brings the relations of processes back.
    pub(super) fn tree(&self, image: TreeImage) -> Result<()> {
        let group_of = |tgid| self.groups.iter().find(|group| group.tgid() == tgid).cloned();
        let task_of = |tid| self.tasks.iter().find(|task| task.tid() == tid).cloned();
        let terminal_of = |id| find(&self.terminals, id);
        let tree = image
            .restore(group_of, task_of, terminal_of)
            .map_err(|_| damaged("processes do not agree on how they are related"))?;
        *self.kernel.processes.lock() = tree;
        Ok(())
    }

    /// Sets root and current directories, which may be in `/proc`.
    pub(super) fn enter_directories(&self, images: &[ContextImage]) -> Result<()> {
        for (ContextImage { context: image, .. }, context) in images.iter().zip(&self.contexts) {
            context.set_root(self.path(&image.root)?);
            context.set_cwd(self.path(&image.cwd)?);
        }
        Ok(())
    }

    /// Gives the calls that wait what they held.
    pub(super) fn hold(&self, images: &[TaskImage]) -> Result<()> {
        for (image, task) in images.iter().zip(&self.tasks) {
            task.enter(|cx| image.run.restore_held(cx.run, task, |id| self.inode(id)))
                .map_err(|_| damaged("a call holds what it can't"))?;
        }
        Ok(())
    }

    /// Makes the host threads of all tasks.
    pub(super) fn threads(&self, images: &[TaskImage]) -> Result<()> {
        for (image, task) in images.iter().zip(&self.tasks) {
            let fpu = image.run.fpu().map_err(|_| damaged("a task has too many registers"))?;
            let mm = task.mm().ok_or_else(|| damaged("a task has no memory"))?;
            let thread = Arc::clone(mm.space())
                .spawn(Some(fpu), Arc::clone(task) as Arc<_>)
                .map_err(because(|| "make a thread"))?;
            task.set_thread(thread);
        }
        Ok(())
    }

    /// Lets all timers run.
    pub(super) fn start_timers(&self, files: &[FileImage]) -> Result<()> {
        for group in &self.groups {
            group.timers.start(self.kernel, &self.kernel.processes.lock());
            group.timers.watch_cpu_limit(self.kernel, group);
        }
        for image in files {
            if matches!(image.ops, OpsImage::TimerFd(_)) {
                let file = self.file(image.file.id).ok_or_else(|| damaged("a file is missing"))?;
                let timer = file.ops_as::<TimerFd>().ok_or_else(|| damaged("two files have one id"))?;
                timer.start(self.kernel);
            }
        }
        Ok(())
    }
}
