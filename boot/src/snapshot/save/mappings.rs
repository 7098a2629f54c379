//! Address spaces, and the memory that they share.

use std::ops::Range;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use cloister_platform::{Protection, pagemap};
use cloister_proto::snapshot::{PAGE_BYTES, PAGEMAPS_PER_PACKET};
use cloister_proto::transport::{Connection, Received};

use super::Saver;
use crate::fs::gofer::GoferInode;
use crate::fs::overlay::OverlayInode;
use crate::fs::{FileCx, Inode, MapSource, downcast_inode};
use crate::mm::{MemoryObject, Mm, MmImage, ObjectOwner, Vma};
use crate::prelude::errno;
use crate::snapshot::failure::{Result, because, failed, host, unsupported};
use crate::snapshot::image::{ObjectImage, OwnerImage};
use crate::snapshot::memory::{MemoryWriter, PAGE, Zeros};

/// How much is read at once.
const READ_BYTES: usize = 256 << 10;

impl Saver<'_> {
    pub(super) fn address_space(&self, mm: &Mm) -> MmImage {
        if let Some(file) = mm.program().file {
            self.files.id(&file);
        }
        mm.to_image(|object| u32::try_from(self.objects.id(object)).unwrap_or(u32::MAX))
    }

    pub(super) fn object(&self, object: &Arc<MemoryObject>) -> Result<ObjectImage> {
        let stat = rustix::fs::fstat(object.host()).map_err(|errno| host("look at mapped memory", errno))?;
        let mut modified = None;
        let owner = match object.owner() {
            ObjectOwner::Anonymous => OwnerImage::Anonymous,
            ObjectOwner::SystemV(key) => OwnerImage::SystemV(*key),
            ObjectOwner::Kernel => OwnerImage::Kernel,
            ObjectOwner::File(file) => {
                let task = self.kernel.processes.lock().tasks().next().cloned();
                let task = task.ok_or_else(|| unsupported("a sandbox without processes"))?;
                // By its description it is mapped again: that must show the same.
                let now = match file.ops().map(&FileCx { task: &task, file }) {
                    Ok(MapSource::Host(now)) => MemoryObject::of_file(now, Arc::clone(file)).ok(),
                    _ => None,
                };
                if now.is_none_or(|now| now.key() != object.key()) {
                    let path = file.path().to_text(&task.fs().root()).for_proc();
                    let path = String::from_utf8_lossy(&path);
                    return Err(unsupported(format_args!(
                        "a mapping of `{path}`: the file was changed since it was mapped"
                    )));
                }
                if is_host_file(file.inode()) {
                    modified = Some((stat.st_mtime, stat.st_mtime_nsec));
                }
                self.files.id(file);
                OwnerImage::File(file.id())
            }
        };
        Ok(ObjectImage { owner, bytes: u64::try_from(stat.st_size).unwrap_or(0), modified })
    }

    /// Saves the pages of all address spaces, and of the memory that these share.
    pub(super) fn save_memory(&self, memory: &mut MemoryWriter, pagemaps: &Connection) -> Result<()> {
        let mms = self.mms.all();
        for some in mms.chunks(PAGEMAPS_PER_PACKET) {
            let lists = match pagemaps.try_receive::<u32>() {
                Ok(Received::Message(_, lists)) if lists.len() == some.len() => lists,
                _ => return Err(failed("receive the lists of pages of all processes", errno::EINVAL)),
            };
            for (mm, list) in some.iter().zip(lists) {
                save_private(mm, &list, memory)?;
                memory.next();
            }
        }
        for object in self.objects.all() {
            if !matches!(object.owner(), ObjectOwner::File(_)) {
                save_shared(&object, memory)?;
            }
            memory.next();
        }
        Ok(())
    }
}

/// Returns whether the contents of a file are those of a file of the host.
fn is_host_file(inode: &Arc<dyn Inode>) -> bool {
    downcast_inode::<GoferInode>(inode).is_some()
        || downcast_inode::<OverlayInode>(inode).is_some_and(|inode| inode.is_as_below())
}

/// Saves memory that has no file.
fn save_shared(object: &MemoryObject, memory: &mut MemoryWriter) -> Result<()> {
    let failed = |errno| host("read shared memory", errno);
    let mut bytes = vec![0; READ_BYTES];
    let mut at = 0;
    // To where a hole begins.
    while let Ok(start) = rustix::fs::seek(object.host(), rustix::fs::SeekFrom::Data(at)) {
        let end = rustix::fs::seek(object.host(), rustix::fs::SeekFrom::Hole(start)).map_err(failed)?;
        at = start / PAGE_BYTES * PAGE_BYTES;
        while at < end {
            let read = rustix::io::pread(object.host(), &mut bytes, at).map_err(failed)?;
            if read == 0 {
                return Ok(());
            }
            // The last page may be a part of one.
            let whole = read.next_multiple_of(PAGE).min(bytes.len());
            bytes.get_mut(read..whole).unwrap_or_default().fill(0);
            memory.pages(at / PAGE_BYTES, bytes.get(..whole).unwrap_or_default(), Zeros::Left)?;
            at += whole as u64;
        }
    }
    Ok(())
}

/// Saves the pages of an address space that are its own.
fn save_private(mm: &Mm, list: &OwnedFd, memory: &mut MemoryWriter) -> Result<()> {
    let mut bytes = vec![0; READ_BYTES];
    for (range, vma) in mm.mappings() {
        if vma.is_shared() {
            continue;
        }
        let found = pagemap::private_pages(list, range.clone()).map_err(|error| {
            let hint = "find pages that were written (needs Linux 6.7)";
            failed(hint, crate::error::Errno::from_raw(error.raw_os_error().unwrap_or(0)))
        })?;
        let saved = mm.saved_pages(&range).into_iter().map(|(part, _)| part);
        let found = union(found.into_iter().chain(saved).collect());
        if found.is_empty() {
            continue;
        }
        // What the program itself can't read is made readable for the moment: it stands still.
        let is_hidden = !vma.protection.contains(Protection::READ);
        let protect = |protection| {
            let result = mm.space().protect(range.clone(), protection);
            result.map_err(because(|| "read memory"))
        };
        if is_hidden {
            protect(Protection::READ)?;
        }
        let result =
            found.into_iter().try_for_each(|run| save_run(mm, &range, &vma, run, &mut bytes, memory));
        if is_hidden {
            protect(vma.protection)?;
        }
        result?;
    }
    Ok(())
}

/// Returns what is in any of the ranges, in order.
fn union(mut ranges: Vec<Range<u64>>) -> Vec<Range<u64>> {
    ranges.sort_by_key(|range| range.start);
    let mut all: Vec<Range<u64>> = Vec::new();
    for range in ranges {
        match all.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => all.push(range),
        }
    }
    all
}

/// Saves pages that are next to each other, of a mapping at `range`.
fn save_run(
    mm: &Mm,
    range: &Range<u64>,
    vma: &Vma,
    run: Range<u64>,
    bytes: &mut [u8],
    memory: &mut MemoryWriter,
) -> Result<()> {
    let mut below = vec![0; if vma.object().is_some() { bytes.len() } else { 0 }];
    let mut at = run.start;
    while at < run.end {
        let len = usize::try_from(run.end - at).unwrap_or(usize::MAX).min(bytes.len());
        let part = bytes.get_mut(..len).unwrap_or_default();
        if mm.space().read_original(at, part) < len {
            return Err(failed(format_args!("read memory at {at:#x}"), errno::EFAULT));
        }
        match vma.object() {
            None => memory.pages(at / PAGE_BYTES, part, Zeros::Left)?,
            Some((object, offset)) => {
                // Pages that are as in the file are not saved; behind its end there are zeros.
                let below = below.get_mut(..len).unwrap_or_default();
                below.fill(0);
                let from = offset.wrapping_add(at - range.start);
                read_all(object, below, from)?;
                let pages = part.chunks(PAGE).zip(below.chunks(PAGE));
                for (number, (page, below)) in (at / PAGE_BYTES..).zip(pages) {
                    if page != below {
                        memory.pages(number, page, Zeros::Kept)?;
                    }
                }
            }
        }
        at += len as u64;
    }
    Ok(())
}

/// Reads what a file has, which may be less than asked for.
fn read_all(object: &MemoryObject, into: &mut [u8], from: u64) -> Result<()> {
    let mut done = 0;
    while done < into.len() {
        let rest = into.get_mut(done..).unwrap_or_default();
        match rustix::io::pread(object.host(), rest, from + done as u64) {
            Ok(0) => break,
            Ok(read) => done += read,
            Err(errno) => return Err(host("read a mapped file", errno)),
        }
    }
    Ok(())
}
