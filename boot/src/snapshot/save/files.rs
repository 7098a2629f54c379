//! Descriptors, and what they refer to.

use std::sync::Arc;

use super::{Saver, describe};
use crate::error::Errno;
use crate::event::{Epoll, EventFd, Inotify};
use crate::fs::gofer::GoferInode;
use crate::fs::host::{HostFile, HostStream};
use crate::fs::pipe::PipeEnd;
use crate::fs::{Dentry, FdTable, FdTableImage, OpenFile, OpenFileImage, OpenFlags, downcast_inode};
use crate::net::inet::{TcpSocketImage, UdpSocketImage};
use crate::net::unix::UnixSocketImage;
use crate::net::{SocketByFamily, SocketFile};
use crate::signal::SignalFd;
use crate::snapshot::failure::{Result, failed, unsupported};
use crate::snapshot::image::{FileImage, OpsImage, SocketsImage};
use crate::task::PidFd;
use crate::time::TimerFd;
use crate::tty::{Master, Slave, Terminal};

/// The file systems whose objects are opened again by their paths.
const REOPENED: [&str; 7] = ["9p", "overlay", "tmpfs", "proc", "sysfs", "devpts", "cgroup2"];

impl Saver<'_> {
    /// Notes by which descriptor of which process a description is known, for errors.
    pub(super) fn hold_tables(&self) {
        let tasks: Vec<_> = self.kernel.processes.lock().tasks().cloned().collect();
        let mut holders = self.holders.borrow_mut();
        for task in tasks {
            for (fd, _, file) in task.files().iter().flat_map(|table| table.entries()) {
                holders.entry(file.id()).or_insert_with(|| format!("descriptor {fd} of {}", describe(&task)));
            }
        }
    }

    fn holder(&self, file: &OpenFile) -> String {
        let known = self.holders.borrow().get(&file.id()).cloned();
        known.unwrap_or_else(|| "a file that is mapped or on its way in a message".to_owned())
    }

    pub(super) fn table(&self, table: &FdTable) -> FdTableImage {
        for (_, _, file) in table.entries() {
            self.files.id(&file);
        }
        FdTableImage::of(table)
    }

    /// Saves a description, and gives ids to what it refers to.
    pub(super) fn file(&self, file: &Arc<OpenFile>) -> Result<FileImage> {
        self.check_path(file.path(), &self.holder(file))?;
        if file.path().dentry.is_removed() && downcast_inode::<GoferInode>(file.inode()).is_some() {
            let holder = self.holder(file);
            return Err(unsupported(format_args!("{holder}: a file of the host that was removed")));
        }
        let ops = self.ops(file)?;
        let locks = file.inode().anchors().get().map(|anchors| anchors.locks.to_image());
        Ok(FileImage {
            file: OpenFileImage::of(file, |inode| self.inodes.id(inode)),
            ops,
            locks: locks.filter(|locks| !locks.is_empty()),
        })
    }

    fn ops(&self, file: &Arc<OpenFile>) -> Result<OpsImage> {
        let refused = |why: &str| unsupported(format_args!("{}: {why}", self.holder(file)));
        let given = |given: Option<u32>| {
            given.map(OpsImage::Given).ok_or_else(|| refused("a descriptor of the host that `exec` put in"))
        };
        if file.flags().contains(OpenFlags::PATH) {
            return Ok(OpsImage::Reopened);
        }
        if let Some(end) = file.ops_as::<PipeEnd>() {
            return Ok(OpsImage::Pipe(self.pipes.id(end.pipe()), end.to_image()));
        }
        if let Some(master) = file.ops_as::<Master>() {
            self.check_path(master.root(), &self.holder(file))?;
            let terminal: Arc<dyn Terminal> = Arc::clone(master.pty()) as Arc<_>;
            return Ok(OpsImage::Master(self.terminals.id(&terminal), self.path(master.root())));
        }
        if let Some(slave) = file.ops_as::<Slave>() {
            let terminal: Arc<dyn Terminal> = Arc::clone(slave.pty()) as Arc<_>;
            return Ok(OpsImage::Slave(self.terminals.id(&terminal)));
        }
        if let Some(event) = file.ops_as::<EventFd>() {
            return Ok(OpsImage::EventFd(event.to_image()));
        }
        if let Some(timer) = file.ops_as::<TimerFd>() {
            return Ok(OpsImage::TimerFd(timer.to_image()));
        }
        if let Some(signals) = file.ops_as::<SignalFd>() {
            return Ok(OpsImage::SignalFd(signals.to_image()));
        }
        if let Some(pidfd) = file.ops_as::<PidFd>() {
            return Ok(OpsImage::PidFd(self.groups.id(pidfd.group()), pidfd.to_image()));
        }
        if let Some(epoll) = file.ops_as::<Epoll>() {
            return Ok(OpsImage::Epoll(epoll.to_image(|file| file.id())));
        }
        if let Some(inotify) = file.ops_as::<Inotify>() {
            let file_system = |dentry: &Arc<Dentry>| self.file_system_of(dentry);
            return Ok(OpsImage::Inotify(inotify.to_image(file_system, |inode| self.inodes.id(inode))));
        }
        if let Some(stream) = file.ops_as::<HostStream>() {
            return given(stream.given_as());
        }
        if let Some(host) = file.ops_as::<HostFile>() {
            return given(host.given_as());
        }
        if let Ok(socket) = SocketFile::of(file) {
            return Ok(match Arc::clone(socket).by_family() {
                SocketByFamily::Unix(socket) => OpsImage::Unix(self.unix.id(&socket)),
                SocketByFamily::Tcp(socket) => OpsImage::Tcp(self.tcp.id(&socket)),
                SocketByFamily::Udp(socket) => OpsImage::Udp(self.udp.id(&socket)),
                SocketByFamily::Netlink(socket) => OpsImage::Netlink(self.netlink.id(&socket)),
            });
        }
        let kind = file.inode().file_system().type_name();
        if !REOPENED.contains(&kind) {
            return Err(refused(&format!("a file of {kind}")));
        }
        self.check_found(file)
            .map_err(|errno| failed(format_args!("find {} again", self.holder(file)), errno))?;
        Ok(OpsImage::Reopened)
    }

    /// Checks that what is opened by its names again is what is open now.
    fn check_found(&self, file: &OpenFile) -> std::result::Result<(), Errno> {
        file.inode().attributes().map(drop)
    }

    /// Saves the next socket that is not saved yet. Returns whether there was one.
    pub(super) fn next_socket(&self, images: &mut SocketsImage) -> bool {
        if let Some(socket) = self.unix.get(images.unix.len()) {
            for file in socket.files_in_flight() {
                self.files.id(&file);
            }
            let image =
                UnixSocketImage::of(&socket, &|other| self.unix.id(other), &|inode| self.inodes.id(inode));
            images.unix.push(image);
        } else if let Some(socket) = self.tcp.get(images.tcp.len()) {
            images.tcp.push(TcpSocketImage::of(&socket, &|other| self.tcp.id(other)));
        } else if let Some(socket) = self.udp.get(images.udp.len()) {
            images.udp.push(UdpSocketImage::of(&socket));
        } else if let Some(socket) = self.netlink.get(images.netlink.len()) {
            images.netlink.push(socket.to_image());
        } else {
            return false;
        }
        true
    }
}
