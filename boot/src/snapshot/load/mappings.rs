//! Memory: what mappings show, mappings, and pages.

use std::sync::Arc;

use cloister_proto::control::RestoreMemory;
use cloister_proto::snapshot::{PAGE_BYTES, Run};
use rustix::io::pwrite;

use super::{Loader, pages};
use crate::fs::{FileCx, MapSource};
use crate::mm::{MemoryObject, MmImage, ObjectOwner};
use crate::prelude::errno;
use crate::snapshot::failure::{Result, because, damaged, failed, host};
use crate::snapshot::image::{ObjectImage, OwnerImage};
use crate::snapshot::memory::MemoryReader;
use crate::snapshot::registry::find;

/// How much is copied at once.
const COPY_BYTES: usize = 256 << 10;

impl Loader<'_> {
    /// Brings back what mappings show; the memories of those without files come behind `first` others.
    pub(super) fn memory_objects(
        &mut self,
        images: &[ObjectImage],
        first: usize,
        memory: &MemoryReader,
    ) -> Result<()> {
        for (number, image) in images.iter().enumerate() {
            let object = match image.owner {
                OwnerImage::File(file) => self.mapped_file(file, image)?,
                OwnerImage::Anonymous => new_memory(image, ObjectOwner::Anonymous)?,
                OwnerImage::SystemV(key) => new_memory(image, ObjectOwner::SystemV(key))?,
                OwnerImage::Kernel => new_memory(image, ObjectOwner::Kernel)?,
            };
            for run in memory.runs(first.saturating_add(number))? {
                write_run(&object, run, memory)?;
            }
            self.objects.push(object);
        }
        Ok(())
    }

    fn mapped_file(&self, id: u64, image: &ObjectImage) -> Result<Arc<MemoryObject>> {
        let file = self.file(id).ok_or_else(|| damaged("a mapped file is missing"))?;
        let task = self.tasks.first().ok_or_else(|| damaged("there are no tasks"))?;
        let name = || String::from_utf8_lossy(&file.path().to_text(&task.fs().root()).text).into_owned();
        let source = file.ops().map(&FileCx { task, file: &file });
        let MapSource::Host(fd) = source.map_err(because(|| format!("map `{}` again", name())))? else {
            return Err(damaged("a mapped file can't be mapped"));
        };
        if let Some(modified) = image.modified {
            let stat = rustix::fs::fstat(&fd).map_err(|errno| host("look at a mapped file", errno))?;
            let is_same = modified == (stat.st_mtime, stat.st_mtime_nsec)
                && u64::try_from(stat.st_size) == Ok(image.bytes);
            if !is_same {
                let what = format!("map `{}`, which was changed since the checkpoint", name());
                return Err(failed(what, errno::ESTALE));
            }
        }
        MemoryObject::of_file(fd, Arc::clone(&file)).map_err(because(|| "look at a mapped file"))
    }

    /// Maps what was mapped, and brings the pages back.
    pub(super) fn map(&self, images: Vec<MmImage>, memory: &MemoryReader, how: RestoreMemory) -> Result<()> {
        for (number, (image, mm)) in images.into_iter().zip(&self.mms).enumerate() {
            let object_of = |id| find(&self.objects, u64::from(id));
            mm.restore(image, object_of, |id| self.file(id)).map_err(because(|| "map memory again"))?;
            pages::bring_back(mm, memory.runs(number)?, memory, how)?;
        }
        Ok(())
    }
}

fn new_memory(image: &ObjectImage, owner: ObjectOwner) -> Result<Arc<MemoryObject>> {
    MemoryObject::with_len(image.bytes, owner).map_err(because(|| "make shared memory"))
}

fn write_run(object: &MemoryObject, run: &Run, memory: &MemoryReader) -> Result<()> {
    let mut bytes = vec![0; COPY_BYTES];
    let (start, len) = (run.page * PAGE_BYTES, run.pages * PAGE_BYTES);
    let mut done = 0;
    while done < len {
        let part = usize::try_from(len - done).unwrap_or(usize::MAX).min(COPY_BYTES);
        let part = bytes.get_mut(..part).unwrap_or_default();
        memory.read(run, done, part)?;
        let written = pwrite(object.host(), part, start + done);
        match written.map_err(|errno| host("write shared memory", errno))? {
            0 => return Err(failed("write shared memory", errno::ENOSPC)),
            written => done += written as u64,
        }
    }
    Ok(())
}
