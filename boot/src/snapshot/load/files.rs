//! Open files.

use std::sync::Arc;

use super::Loader;
use crate::error::Fail;
use crate::event::{Epoll, EventFd, Inotify};
use crate::fs::host::{HostFile, HostStream};
use crate::fs::pipe::PipeEnd;
use crate::fs::{FileOps, OpenFlags, Path, open};
use crate::net::{Socket, SocketByFamily, SocketFile};
use crate::prelude::errno;
use crate::signal::SignalFd;
use crate::snapshot::failure::{Result, because, damaged, failed};
use crate::snapshot::image::{FileImage, OpsImage};
use crate::snapshot::registry::find;
use crate::task::PidFd;
use crate::time::TimerFd;
use crate::tty::{Master, Pty};

impl Loader<'_> {
    /// Opens all files, without what they refer to.
    pub(super) fn files(&mut self, images: &[FileImage]) -> Result<()> {
        for image in images {
            let path = self.path(&image.file.path)?;
            let ops = self.ops(image, &path)?;
            if let Some(locks) = &image.locks {
                path.inode().anchors().get_or_init().locks.restore(locks.clone());
            }
            let file = Arc::new(image.file.restore(path, ops));
            if self.files.insert(file.id(), file).is_some() {
                return Err(damaged("two files have one id"));
            }
        }
        Ok(())
    }

    fn ops(&self, image: &FileImage, path: &Path) -> Result<Box<dyn FileOps>> {
        let missing = || damaged("what a file refers to is missing");
        Ok(match &image.ops {
            OpsImage::Reopened => return self.reopened(image.file.flags, path),
            OpsImage::Pipe(id, end) => {
                let pipe = find(&self.pipes, *id).ok_or_else(missing)?;
                *path.inode().anchors().get_or_init().object.lock() = Some(Arc::clone(&pipe) as Arc<_>);
                Box::new(PipeEnd::from_image(pipe, *end))
            }
            OpsImage::Master(id, root) => Box::new(Master::new(self.pty(*id)?, self.path(root)?)),
            OpsImage::Slave(id) => Box::new(self.pty(*id)?.restore_slave()),
            OpsImage::EventFd(image) => Box::new(EventFd::from_image(*image)),
            OpsImage::TimerFd(image) => Box::new(TimerFd::from_image(*image)),
            OpsImage::SignalFd(image) => {
                let maker = self.tasks.iter().find(|task| Some(task.tid()) == image.maker);
                Box::new(SignalFd::from_image(image, maker))
            }
            OpsImage::PidFd(group, image) => {
                let group = find(&self.groups, *group).ok_or_else(missing)?;
                Box::new(PidFd::from_image(*image, &group).ok_or_else(missing)?)
            }
            OpsImage::Epoll(_) => Box::new(Epoll::default()),
            OpsImage::Inotify(image) => {
                let cache = &self.kernel.vfs.cache;
                let dentry_of = |file_system, image: &crate::fs::DentryImage| {
                    let root = find(&self.roots, file_system).flatten().ok_or(errno::EINVAL)?;
                    image.restore(&root, cache, |id| self.inode(id))
                };
                let inotify = Inotify::from_image(image.clone(), dentry_of);
                Box::new(inotify.map_err(because(|| "find watched files again"))?)
            }
            OpsImage::Unix(id) => socket(find(&self.unix, *id).ok_or_else(missing)?),
            OpsImage::Tcp(id) => socket(find(&self.tcp, *id).ok_or_else(missing)?),
            OpsImage::Udp(id) => socket(find(&self.udp, *id).ok_or_else(missing)?),
            OpsImage::Netlink(id) => socket(find(&self.netlink, *id).ok_or_else(missing)?),
            OpsImage::Given(number) => {
                let given = self.given(*number)?;
                match (given.ops_as::<HostStream>(), given.ops_as::<HostFile>()) {
                    (Some(stream), _) => Box::new(stream.clone()),
                    (None, Some(file)) => Box::new(file.clone()),
                    (None, None) => return Err(missing()),
                }
            }
        })
    }

    fn reopened(&self, flags: OpenFlags, path: &Path) -> Result<Box<dyn FileOps>> {
        let task = self.tasks.first().ok_or_else(|| damaged("there are no tasks"))?;
        let flags = flags.difference(OpenFlags::UNNAMED);
        open::reopen(task, path, flags).map_err(|failure| {
            let errno = match failure {
                Fail::Errno(errno, _) => errno,
                Fail::Restart(_) | Fail::Park(_) => errno::EINTR,
            };
            let text = path.to_text(&task.fs().root()).text;
            failed(format_args!("open `{}` again", String::from_utf8_lossy(&text)), errno)
        })
    }

    fn pty(&self, id: u64) -> Result<Arc<Pty>> {
        let pty =
            find(&self.terminals, id).and_then(|terminal| crate::snapshot::downcast_terminal(&terminal));
        pty.ok_or_else(|| damaged("a terminal is missing"))
    }
}

fn socket(socket: SocketByFamily) -> Box<dyn FileOps> {
    let socket: Arc<dyn Socket> = match socket {
        SocketByFamily::Unix(socket) => socket,
        SocketByFamily::Tcp(socket) => socket,
        SocketByFamily::Udp(socket) => socket,
        SocketByFamily::Netlink(socket) => socket,
    };
    Box::new(SocketFile::new(socket))
}
