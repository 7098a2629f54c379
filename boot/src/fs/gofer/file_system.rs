//! The connection, and the inodes that it has.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use cloister_9p::client::{Fid, Found};
use cloister_9p::{Attr, Client, ClientError};
use cloister_sync::{Lock, class};
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use super::GoferInode;
use super::attributes::FileId;
use super::handles::Ahead;
use super::inode::Place;
use super::listing::Told;
use crate::error::Errno;
use crate::fs::{FileSystem, FileSystemStatistics, NameCache, new_device_number};
use crate::prelude::{errno, uapi};

/// Whether what the gofer told stays true.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Trust {
    /// All changes go through this kernel (`--file-access=exclusive`).
    Exclusive,
    /// Others change the files too: each walk and each `stat` asks again (`--file-access=shared`).
    Shared,
}

/// A tree of host files behind a gofer.
#[derive(Debug)]
pub(crate) struct GoferFs {
    /// Which of the container's connections it has: what it is known by to who brings it back.
    connection_index: OnceLock<u32>,
    trust: Trust,
    device: (u32, u32),
    connection: Lock<Connection, { class::GOFER }>,
    inodes: Lock<Inodes, { class::RELEASED }>,
    /// The number of renames: each may have taken a name from a file that has several.
    renames: AtomicU64,
    /// The number of changes of any kind.
    changes: AtomicU64,
    pub(super) ahead: Ahead,
    root_fid: Fid,
    root_attr: Attr,
}

/// The connection to the gofer.
#[derive(Debug)]
struct Connection {
    client: Client,
    /// The processor that the gofer was asked to run on.
    processor: Option<usize>,
    /// How many requests in a row were made on another one.
    elsewhere: u32,
}

/// How many requests in a row from another processor bring the gofer there.
const MAX_ELSEWHERE: u32 = 8;

/// The inodes that exist, and what those that exist no longer have left behind.
#[derive(Debug, Default)]
struct Inodes {
    by_id: HashMap<FileId, Weak<GoferInode>>,
    /// Fids to be given back.
    dead: Vec<Fid>,
    /// Those that hold a descriptor for reading, the longest first.
    readers: VecDeque<Weak<GoferInode>>,
    /// The descriptor of the file that was created or truncated last, which is about to be opened.
    writer: Option<Arc<OwnedFd>>,
    /// The directories whose listings may be kept, the one listed longest ago first, and how many entries they have.
    listed: VecDeque<(FileId, usize)>,
    /// How many entries those have together.
    listed_entries: usize,
}

/// How many fids are given back by one request.
const DEAD_BATCH: usize = 64;

/// How many files stay open for reading when the guest has closed them, because it may open them again.
const MAX_READERS: usize = 256;

/// How many entries of directories are kept in listings.
const MAX_LISTED: usize = 16 * 1024;

impl GoferFs {
    /// Attaches to the tree that the gofer at the other end of `socket` serves.
    ///
    /// # Errors
    ///
    /// The connection's and the gofer's.
    pub(crate) fn connect(socket: OwnedFd, trust: Trust) -> Result<Arc<Self>, ClientError> {
        Self::connect_as(socket, trust, new_device_number())
    }

    /// As [`GoferFs::connect`], with this device number.
    pub(super) fn connect_as(
        socket: OwnedFd,
        trust: Trust,
        device: (u32, u32),
    ) -> Result<Arc<Self>, ClientError> {
        let mut client = Client::connect(socket)?;
        let root_fid = client.attach(b"", 0)?;
        let root_attr = client.getattr(root_fid)?;
        Ok(Arc::new(Self {
            connection_index: OnceLock::new(),
            trust,
            device,
            connection: Lock::new(Connection { client, processor: None, elsewhere: 0 }),
            inodes: Lock::default(),
            renames: AtomicU64::new(0),
            changes: AtomicU64::new(0),
            ahead: Ahead::default(),
            root_fid,
            root_attr,
        }))
    }

    /// Notes which of the container's connections it has.
    pub(crate) fn set_connection_index(&self, index: u32) {
        // It has one for good.
        let _ = self.connection_index.set(index);
    }

    /// Returns which of the container's connections it has.
    pub(crate) fn connection_index(&self) -> Option<u32> {
        self.connection_index.get().copied()
    }

    /// Returns the root of the tree: a directory or, for a mount of a single file, a file.
    ///
    /// # Errors
    ///
    /// The gofer's: no more fids.
    pub(crate) fn root(self: &Arc<Self>) -> Result<Arc<GoferInode>, Errno> {
        // The root's fid is the file system's own; an inode gives its fids back.
        let fid = self.call(|client| client.clone_fid(self.root_fid))?;
        Ok(self.inode(Found { fid, attr: self.root_attr }))
    }

    /// Returns whether what the gofer told stays true.
    pub(super) fn trust(&self) -> Trust {
        self.trust
    }

    /// Returns the device of the tree's root on the host.
    pub(super) fn root_device(&self) -> u64 {
        self.root_attr.dev
    }

    /// Makes a request.
    ///
    /// # Errors
    ///
    /// The gofer's; `EIO` if it is gone.
    pub(super) fn call<T>(
        &self,
        request_fn: impl FnOnce(&mut Client) -> Result<T, ClientError>,
    ) -> Result<T, Errno> {
        let mut connection = self.connection.lock();
        connection.bring_near();
        let dead = self.take_dead();
        if !dead.is_empty() {
            connection.client.clunk_many(&dead).map_err(to_errno)?;
        }
        request_fn(&mut connection.client).map_err(to_errno)
    }

    fn take_dead(&self) -> Vec<Fid> {
        let mut inodes = self.inodes.lock();
        if inodes.dead.len() < DEAD_BATCH { Vec::new() } else { std::mem::take(&mut inodes.dead) }
    }

    /// Returns the inode of a file that was found, which takes its fid over.
    pub(super) fn inode(self: &Arc<Self>, found: Found) -> Arc<GoferInode> {
        let id = (found.attr.dev, found.attr.ino);
        let known = {
            let mut inodes = self.inodes.lock();
            let known = inodes.by_id.get(&id).and_then(Weak::upgrade);
            match known {
                Some(known) => known,
                None => {
                    let inode = Arc::new(GoferInode::new(Arc::clone(self), found));
                    inodes.by_id.insert(id, Arc::downgrade(&inode));
                    return inode;
                }
            }
        };
        if let Some(fid) = known.meet_again(found) {
            self.give_back([fid]);
        }
        known
    }

    /// Returns the inode of a file that a listing told of.
    pub(super) fn inode_told(self: &Arc<Self>, told: Told, place: Place) -> Arc<GoferInode> {
        let mut inodes = self.inodes.lock();
        // One that is in use knows better than the listing.
        if let Some(known) = inodes.by_id.get(&told.id()).and_then(Weak::upgrade) {
            return known;
        }
        let id = told.id();
        let inode = Arc::new(GoferInode::of_told(Arc::clone(self), told, place));
        inodes.by_id.insert(id, Arc::downgrade(&inode));
        inode
    }

    /// Returns the inode of a file if there is one.
    pub(super) fn known(&self, id: FileId) -> Option<Arc<GoferInode>> {
        self.inodes.lock().by_id.get(&id).and_then(Weak::upgrade)
    }

    /// Forgets what a listing told about files that have an inode.
    pub(super) fn forget_known(&self, told: &mut [Option<Box<Told>>]) {
        let inodes = self.inodes.lock();
        let is_in_use =
            |told: &Told| inodes.by_id.get(&told.id()).is_some_and(|weak| weak.strong_count() > 0);
        told.iter_mut().filter(|told| told.as_deref().is_some_and(is_in_use)).for_each(|told| *told = None);
    }

    /// Notes that the directory `id` has a listing of so many entries, and has the oldest ones forgotten if there are too
    /// many.
    pub(super) fn note_listing(&self, id: FileId, entries: usize) {
        let mut forgotten = Vec::new();
        {
            let mut inodes = self.inodes.lock();
            inodes.listed.push_back((id, entries));
            inodes.listed_entries += entries;
            while inodes.listed_entries > MAX_LISTED
                && let Some((id, entries)) = inodes.listed.pop_front()
            {
                inodes.listed_entries -= entries;
                forgotten.extend(inodes.by_id.get(&id).and_then(Weak::upgrade));
            }
        }
        forgotten.iter().for_each(|inode| inode.forget_listing());
    }

    /// Gives fids back at some later time.
    pub(super) fn give_back(&self, fids: impl IntoIterator<Item = Fid>) {
        self.inodes.lock().dead.extend(fids);
    }

    /// Takes an inode that is being dropped out of the table, and its fids back.
    pub(super) fn release(&self, id: FileId, fids: impl IntoIterator<Item = Fid>) {
        let mut inodes = self.inodes.lock();
        inodes.dead.extend(fids);
        // Another inode may have been made for the same file since.
        if inodes.by_id.get(&id).is_some_and(|weak| weak.strong_count() == 0) {
            inodes.by_id.remove(&id);
        }
    }

    /// Notes that `inode` holds a descriptor for reading, and has the one that did so for the longest time close its own.
    pub(super) fn note_reader(&self, inode: &Arc<GoferInode>) {
        let oldest = {
            let mut inodes = self.inodes.lock();
            inodes.readers.push_back(Arc::downgrade(inode));
            if inodes.readers.len() <= MAX_READERS { None } else { inodes.readers.pop_front() }
        };
        if let Some(oldest) = oldest.and_then(|oldest| oldest.upgrade()) {
            oldest.close_reader();
        }
    }

    /// Keeps a descriptor for writing until the next one, because its file is about to be opened.
    pub(super) fn keep_writer(&self, writer: Option<Arc<OwnedFd>>) {
        let before = std::mem::replace(&mut self.inodes.lock().writer, writer);
        drop(before);
    }

    /// Ends the connection, as the end of the gofer would.
    #[cfg(test)]
    pub(super) fn disconnect(&self) {
        self.connection.lock().client.disconnect();
    }

    /// Returns the number of renames so far.
    pub(super) fn renames(&self) -> u64 {
        self.renames.load(Ordering::Acquire)
    }

    /// Returns the number of changes so far.
    pub(super) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// Notes a change of names or attributes.
    pub(super) fn note_change(&self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
    }

    /// Notes a rename.
    pub(super) fn note_rename(&self) {
        self.renames.fetch_add(1, Ordering::AcqRel);
    }
}

impl Connection {
    /// Has the gofer run on the processor of the calling thread, which is to wait for its answer, unless this is an exception.
    fn bring_near(&mut self) {
        let here = rustix::thread::sched_getcpu();
        self.elsewhere = if self.processor == Some(here) { 0 } else { self.elsewhere + 1 };
        if self.elsewhere > 0 && (self.processor.is_none() || self.elsewhere > MAX_ELSEWHERE) {
            (self.processor, self.elsewhere) = (Some(here), 0);
            // It is no matter of correctness; what is wrong with the connection, the request at hand tells.
            let _ = u32::try_from(here).map(|here| self.client.run_on(here));
        }
    }
}

impl FileSystem for GoferFs {
    fn type_name(&self) -> &'static str {
        "9p"
    }

    fn device(&self) -> (u32, u32) {
        self.device
    }

    fn statistics(&self) -> Result<FileSystemStatistics, Errno> {
        let stat = self.call(|client| client.statfs(self.root_fid))?;
        Ok(FileSystemStatistics {
            magic: u64::from(uapi::V9FS_MAGIC),
            block_bytes: u64::from(stat.bsize),
            blocks: stat.blocks,
            blocks_free: stat.bfree,
            blocks_available: stat.bavail,
            files: stat.files,
            files_free: stat.ffree,
            name_max: u64::from(stat.namelen),
        })
    }

    fn name_cache(&self) -> NameCache {
        match self.trust {
            Trust::Exclusive => NameCache::Keep,
            Trust::Shared => NameCache::Never,
        }
    }

    fn sync(&self) -> Result<(), Errno> {
        self.call(|client| client.syncfs(self.root_fid))
    }
}

/// Returns what the guest is told of a failure.
fn to_errno(error: ClientError) -> Errno {
    match error {
        ClientError::Errno(number) => i32::try_from(number).map_or(errno::EIO, Errno::from_raw),
        ClientError::Protocol(cause) => {
            tracing::error!(%cause, "the gofer broke the protocol: its files are lost");
            errno::EIO
        }
        ClientError::Io(cause) => {
            tracing::error!(%cause, "the connection to the gofer failed: its files are lost");
            errno::EIO
        }
    }
}
