//! The saved form of an overlay: what differs from the lower layer.
//!
//! Objects that are as below are not saved unless something refers to them; the lower inodes are the other file system's,
//! and known by ids that the snapshot gives.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::file_system::Key;
use super::names::Name;
use super::{OverlayFs, OverlayInode};
use crate::error::Errno;
use crate::fs::tmpfs::TmpfsImage;
use crate::fs::{FileKind, FileSystem, Inode, reserve_device_number};
use crate::prelude::errno;

/// The saved form of an overlay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OverlayImage {
    device: (u32, u32),
    /// What holds the attributes and contents that differ.
    upper: TmpfsImage,
    next_number: u64,
    /// The objects; the first is the root, and they refer to each other by their places.
    objects: Vec<ObjectImage>,
}

/// The saved form of an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct ObjectImage {
    kind: FileKind,
    number: u64,
    /// The id of the lower inode in the snapshot.
    lower: Option<u64>,
    /// The number of the inode of the upper layer.
    upper: Option<u64>,
    links: u32,
    /// Whether it is kept though nobody uses it.
    is_pinned: bool,
    names: Vec<(Box<[u8]>, NameImage)>,
}

/// The saved form of a name that differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum NameImage {
    Is { object: usize, hides: bool },
    Removed,
}

/// The objects to be saved, each once.
#[derive(Default)]
struct Numbered {
    list: Vec<Arc<OverlayInode>>,
    places: HashMap<*const OverlayInode, usize>,
}

impl Numbered {
    /// Returns the place of an object, which it gets if it has none.
    fn place(&mut self, object: &Arc<OverlayInode>) -> usize {
        *self.places.entry(Arc::as_ptr(object)).or_insert_with(|| {
            self.list.push(Arc::clone(object));
            self.list.len() - 1
        })
    }
}

impl OverlayImage {
    /// Saves the overlay with this root; `unnamed` are objects that only descriptors refer to, and `lower_id` tells the
    /// ids of lower inodes. The places that `unnamed` have in the image are returned in their order.
    ///
    /// # Errors
    ///
    /// The host's, if contents can't be read.
    pub(crate) fn of(
        root: &Arc<OverlayInode>,
        unnamed: &[Arc<OverlayInode>],
        lower_id: impl Fn(&Arc<dyn Inode>) -> u64,
    ) -> Result<(Self, Vec<usize>), Errno> {
        let file_system = &root.file_system;
        let mut numbered = Numbered::default();
        numbered.place(root);
        let places = unnamed.iter().map(|object| numbered.place(object)).collect();
        for object in file_system.changed() {
            numbered.place(&object);
        }
        let (mut objects, mut uppers) = (Vec::new(), Vec::new());
        // The list grows as names lead to more objects.
        while let Some(object) = numbered.list.get(objects.len()).cloned() {
            let state = object.state.lock();
            let names = state.names.iter().map(|(name, what)| {
                let what = match what {
                    Name::Is { object, hides } => {
                        NameImage::Is { object: numbered.place(object), hides: *hides }
                    }
                    Name::Removed => NameImage::Removed,
                };
                (name.into(), what)
            });
            let names = names.collect();
            uppers.extend(state.upper.clone());
            let (upper, links) = (state.upper.as_ref().map(|upper| upper.number()), state.links);
            drop(state);
            objects.push(ObjectImage {
                kind: object.kind(),
                number: object.number,
                lower: object.lower.as_ref().map(&lower_id),
                upper,
                links,
                is_pinned: object.lower.as_ref().is_some_and(|lower| file_system.is_pinned(Key::of(lower))),
                names,
            });
        }
        let image = Self {
            device: file_system.device(),
            upper: TmpfsImage::of_inodes(&file_system.upper, None, uppers)?,
            next_number: file_system.next_number(),
            objects,
        };
        Ok((image, places))
    }

    /// Brings the overlay back; `lower_of` finds lower inodes by their ids. Returns the objects in their places: the first
    /// is the root.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the image contradicts itself or a lower inode is not there, or the host's.
    pub(crate) fn restore(
        self,
        lower_of: impl Fn(u64) -> Option<Arc<dyn Inode>>,
    ) -> Result<Vec<Arc<OverlayInode>>, Errno> {
        let lower_root = self.objects.first().and_then(|root| root.lower).and_then(&lower_of);
        let lower = lower_root.ok_or(errno::EINVAL)?.file_system();
        let upper = self.upper.restore()?;
        reserve_device_number(self.device);
        let file_system = OverlayFs::with_upper(self.device, upper.file_system, lower, self.next_number);
        let mut objects = Vec::new();
        for image in &self.objects {
            let lower = restored(image.lower, &lower_of)?;
            let upper = restored(image.upper, |number| upper.inodes.get(&number).cloned())?;
            let has_kind = lower.as_ref().is_none_or(|lower| lower.kind() == image.kind)
                && upper.as_ref().is_none_or(|upper| upper.kind() == image.kind);
            if !has_kind || (lower.is_none() && upper.is_none()) {
                return Err(errno::EINVAL);
            }
            let key = lower.as_ref().map(Key::of);
            let parts = (upper, image.links);
            let object = OverlayInode::with_parts(&file_system, image.kind, image.number, lower, parts);
            if let Some(key) = key {
                file_system.restore_object(key, &object)?;
                if image.is_pinned {
                    file_system.pin(key);
                }
            }
            objects.push(object);
        }
        restore_names(self.objects, &objects)?;
        Ok(objects)
    }
}

/// Finds what an id refers to, if there is one.
fn restored<T>(id: Option<u64>, find: impl FnOnce(u64) -> Option<T>) -> Result<Option<T>, Errno> {
    match id {
        Some(id) => find(id).map(Some).ok_or(errno::EINVAL),
        None => Ok(None),
    }
}

fn restore_names(images: Vec<ObjectImage>, objects: &[Arc<OverlayInode>]) -> Result<(), Errno> {
    // A directory with two names, or one that holds the root, would be a circle.
    let mut has_parent = BTreeSet::from([0]);
    for (image, directory) in images.into_iter().zip(objects) {
        if !image.names.is_empty() && directory.kind() != FileKind::Directory {
            return Err(errno::EINVAL);
        }
        for (name, what) in image.names {
            let what = match what {
                NameImage::Removed => Name::Removed,
                NameImage::Is { object: place, hides } => {
                    let object = objects.get(place).ok_or(errno::EINVAL)?;
                    if object.kind() == FileKind::Directory && !has_parent.insert(place) {
                        return Err(errno::EINVAL);
                    }
                    Name::Is { object: Arc::clone(object), hides }
                }
            };
            directory.state.lock().names.restore(name, what);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::tests::{has, lower, new, overlay, read, write};
    use super::*;
    use crate::fs::{NewInodeKind, RenameMode};
    use crate::testing::saved;

    /// An overlay with one of each difference, and a file without a name.
    fn changed(below: &Arc<dyn Inode>) -> (Arc<OverlayInode>, Arc<OverlayInode>) {
        let root = overlay(below);
        let as_dyn: Arc<dyn Inode> = Arc::clone(&root) as Arc<_>;
        write(&root.lookup(b"link").unwrap(), b"UPPER");
        let d = root.lookup(b"d").unwrap();
        d.unlink(b"x", &d.lookup(b"x").unwrap()).unwrap();
        root.rename(b"d", &as_dyn, b"moved", RenameMode::Replace).unwrap();
        root.remove_directory(b"e", &root.lookup(b"e").unwrap()).unwrap();
        let e = root.create(b"e", &new(NewInodeKind::Directory)).unwrap();
        e.create(b"made", &new(NewInodeKind::Regular)).unwrap();
        let open = root.create(b"open", &new(NewInodeKind::Regular)).unwrap();
        write(&open, b"open");
        root.unlink(b"open", &open).unwrap();
        let open = OverlayInode::from_dyn(&open).unwrap();
        (root, open)
    }

    /// Gives ids to lower inodes as they are met.
    #[derive(Default)]
    struct Ids(std::cell::RefCell<Vec<Arc<dyn Inode>>>);

    impl Ids {
        fn id(&self, inode: &Arc<dyn Inode>) -> u64 {
            let mut list = self.0.borrow_mut();
            let known = list.iter().position(|own| Key::of(own) == Key::of(inode));
            known.unwrap_or_else(|| {
                list.push(Arc::clone(inode));
                list.len() - 1
            }) as u64
        }

        fn find(&self, id: u64) -> Option<Arc<dyn Inode>> {
            self.0.borrow().get(usize::try_from(id).ok()?).cloned()
        }
    }

    #[test]
    fn what_differs_comes_back() {
        let (below, ids) = (lower(), Ids::default());
        let (root, open) = changed(&below);
        let attributes = root.lookup(b"a").unwrap().attributes();
        let (image, places) = OverlayImage::of(&root, &[open], |inode| ids.id(inode)).unwrap();
        drop(root);
        let objects = saved(&image).restore(|id| ids.find(id)).unwrap();
        let unnamed: Vec<_> = places.iter().map(|place| Arc::clone(&objects[*place])).collect();
        let root = Arc::clone(&objects[0]);
        drop(objects);

        let (again, places) = OverlayImage::of(&root, &unnamed, |inode| ids.id(inode)).unwrap();
        assert_eq!((again.objects.len(), places), (image.objects.len(), vec![1]));
        assert_eq!((again.device, again.next_number), (image.device, image.next_number));
        assert_eq!(read(&(Arc::clone(&unnamed[0]) as Arc<dyn Inode>)), b"open");
        let a = root.lookup(b"a").unwrap();
        assert_eq!((read(&a), a.attributes()), (b"UPPER".to_vec(), attributes));
        assert!(Key::of(&a) == Key::of(&root.lookup(b"link").unwrap()), "both names are one object");
        assert!(!has(&*root, b"d") && !has(&*root, b"open"));
        let moved = root.lookup(b"moved").unwrap();
        assert!(!has(&*moved, b"x") && has(&*moved, b"y"));
        let e = root.lookup(b"e").unwrap();
        assert!(has(&*e, b"made"));
        assert_eq!(root.remove_directory(b"e", &e), Err(errno::ENOTEMPTY));
        e.unlink(b"made", &e.lookup(b"made").unwrap()).unwrap();
        root.remove_directory(b"e", &e).unwrap();
        assert!(!has(&*root, b"e"), "the lower name must not show through again");
    }

    #[test]
    fn contradictions_are_refused() {
        let (below, ids) = (lower(), Ids::default());
        let (root, open) = changed(&below);
        let (good, _) = OverlayImage::of(&root, &[open], |inode| ids.id(inode)).unwrap();
        let refused = |change: &dyn Fn(&mut OverlayImage)| {
            let mut image = good.clone();
            change(&mut image);
            image.restore(|id| ids.find(id)).err() == Some(errno::EINVAL)
        };
        assert!(!refused(&|_| {}));
        assert!(refused(&|image| image.objects.clear()));
        assert!(refused(&|image| image.objects[0].lower = Some(99)));
        assert!(refused(&|image| image.objects[1].upper = Some(99)));
        assert!(refused(&|image| image.objects[1].upper = None), "neither layer has it");
        assert!(refused(&|image| image.objects[0].kind = FileKind::Fifo));
        let name = |object| (Box::from(*b"new"), NameImage::Is { object, hides: false });
        assert!(refused(&|image| image.objects[0].names.push(name(0))), "a circle");
        assert!(refused(&|image| image.objects[0].names.push(name(99))));
        assert!(refused(&|image| image.objects[1].names.push(name(1))), "a file with names");
        assert!(refused(&|image| image.objects.push(image.objects[0].clone())), "two objects for one inode");
    }
}
