//! Ids and keys.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::IpcPermission;
use crate::error::{Fail, fail};
use crate::prelude::errno;
use crate::task::Credentials;

/// An object is made if none has the key.
const IPC_CREAT: u32 = 0o1000;
/// With `IPC_CREAT`: it must not exist.
const IPC_EXCL: u32 = 0o2000;

/// How many ids differ only in the number of their place.
const PLACES: i32 = 1 << 15;
/// How often a place is used before an id comes again.
const GENERATIONS: i32 = 1 << 16;

/// An object that has an id and may have a key.
pub(crate) trait IpcObject {
    /// Returns its owners and mode.
    fn permission(&self) -> &IpcPermission;
}

/// The objects of one kind.
#[derive(Debug)]
pub(crate) struct IpcTable<T> {
    /// By their places: the id is the generation times [`PLACES`] plus the place.
    objects: BTreeMap<i32, (i32, T)>,
    next_generation: i32,
}

impl<T> Default for IpcTable<T> {
    fn default() -> Self {
        Self { objects: BTreeMap::new(), next_generation: 0 }
    }
}

/// What a call that gets an object by its key asks for (`shmget(2)`, `semget(2)`, `msgget(2)`).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Get<'a> {
    /// The key; 0 (`IPC_PRIVATE`) for a new object without one.
    pub(crate) key: i32,
    /// `IPC_CREAT`, `IPC_EXCL` and the mode.
    pub(crate) flags: u32,
    /// The caller's.
    pub(crate) credentials: &'a Credentials,
    /// How many objects there can be.
    pub(crate) limit: usize,
}

/// What such a call found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// The object with this id.
    Existing(i32),
    /// Nothing: a new one is to be made.
    Nothing,
}

/// What a checkpoint keeps of an [`IpcTable`]: `T` is the saved form of its objects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct IpcTableImage<T> {
    /// The objects by id.
    objects: Vec<(i32, T)>,
    next_generation: i32,
}

impl<T> IpcTable<T> {
    /// Returns what a checkpoint keeps, with `save` for each object.
    pub(crate) fn to_image<I>(&self, save: impl Fn(&T) -> I) -> IpcTableImage<I> {
        let entries = self.objects.iter();
        IpcTableImage {
            objects: entries.map(|(place, (turn, object))| (turn * PLACES + place, save(object))).collect(),
            next_generation: self.next_generation,
        }
    }

    /// Makes the table anew, with `restore` for each object. `None` if the image can't be one: an id is negative or
    /// its place is taken, or an object can't be restored.
    pub(crate) fn from_image<I>(image: IpcTableImage<I>, restore: impl Fn(I) -> Option<T>) -> Option<Self> {
        let mut objects = BTreeMap::new();
        for (id, object) in image.objects {
            let entry = (id.div_euclid(PLACES), restore(object)?);
            if id < 0 || objects.insert(id.rem_euclid(PLACES), entry).is_some() {
                return None;
            }
        }
        let is_turn = (0..GENERATIONS).contains(&image.next_generation);
        is_turn.then_some(Self { objects, next_generation: image.next_generation })
    }
}

impl<T: IpcObject> IpcTable<T> {
    /// Looks for the object that a call gets.
    ///
    /// # Errors
    ///
    /// `ENOENT`, `EEXIST`, `EACCES`, `ENOSPC` as the calls.
    pub(crate) fn find(&self, get: &Get<'_>) -> Result<Found, Fail> {
        let has_key = |(_, object): &&(i32, T)| object.permission().key == get.key;
        let existing = self.iter_entries().find(|(_, entry)| get.key != 0 && has_key(entry));
        if let Some((place, (generation, object))) = existing {
            if get.flags & (IPC_CREAT | IPC_EXCL) == IPC_CREAT | IPC_EXCL {
                return Err(fail(errno::EEXIST, "an object has the key"));
            }
            object.permission().check_flags(get.credentials, get.flags)?;
            return Ok(Found::Existing(generation * PLACES + place));
        }
        if get.key != 0 && get.flags & IPC_CREAT == 0 {
            return Err(fail(errno::ENOENT, "no object has the key"));
        }
        if self.objects.len() >= get.limit {
            return Err(fail(errno::ENOSPC, "there are too many objects"));
        }
        Ok(Found::Nothing)
    }

    /// Adds an object, for which [`IpcTable::find`] found room. Returns its id.
    pub(crate) fn add(&mut self, object: T) -> i32 {
        let place = (0..PLACES).find(|place| !self.objects.contains_key(place)).unwrap_or(PLACES - 1);
        let generation = self.next_generation;
        self.next_generation = (generation + 1) % GENERATIONS;
        self.objects.insert(place, (generation, object));
        generation * PLACES + place
    }

    fn iter_entries(&self) -> impl Iterator<Item = (i32, &(i32, T))> {
        self.objects.iter().map(|(place, entry)| (*place, entry))
    }

    /// Returns all objects.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.objects.values().map(|(_, object)| object)
    }

    /// Returns all objects, to be changed.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.objects.values_mut().map(|(_, object)| object)
    }

    /// Returns the object `id`.
    ///
    /// # Errors
    ///
    /// `EINVAL` if there is none.
    pub(crate) fn get_mut(&mut self, id: i32) -> Result<&mut T, Fail> {
        let found = self.objects.get_mut(&(id.rem_euclid(PLACES)));
        found
            .filter(|(generation, _)| *generation == id.div_euclid(PLACES))
            .map(|(_, object)| object)
            .ok_or(fail(errno::EINVAL, "there is no object with the id"))
    }

    /// Returns the object at a place, with its id (`SHM_STAT` and its like).
    ///
    /// # Errors
    ///
    /// `EINVAL` if there is none.
    pub(crate) fn at_place(&mut self, place: i32) -> Result<(i32, &mut T), Fail> {
        let found =
            self.objects.get_mut(&place).ok_or(fail(errno::EINVAL, "there is no object at the place"))?;
        Ok((found.0 * PLACES + place, &mut found.1))
    }

    /// Returns the highest place that is taken; 0 if none is.
    pub(crate) fn highest_place(&self) -> i32 {
        self.objects.keys().next_back().copied().unwrap_or(0)
    }

    /// Returns the number of objects.
    pub(crate) fn len(&self) -> usize {
        self.objects.len()
    }

    /// Removes the object `id`, if there is one.
    pub(crate) fn remove(&mut self, id: i32) -> Option<T> {
        self.get_mut(id).ok()?;
        self.objects.remove(&id.rem_euclid(PLACES)).map(|(_, object)| object)
    }

    /// Removes the objects that are not to be kept.
    pub(crate) fn retain(&mut self, mut is_kept: impl FnMut(&mut T) -> bool) {
        self.objects.retain(|_, (_, object)| is_kept(object));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Object(IpcPermission);

    impl IpcObject for Object {
        fn permission(&self) -> &IpcPermission {
            &self.0
        }
    }

    #[test]
    fn keys_and_ids() {
        let credentials = Credentials::default();
        let mut table = IpcTable::default();
        let get = |key, flags| Get { key, flags, credentials: &credentials, limit: 2 };
        let new = |key| Object(IpcPermission::new(key, 0o600, &credentials));
        assert!(table.find(&get(5, 0)).is_err_and(|f| f.is(errno::ENOENT)));
        assert_eq!(table.find(&get(5, IPC_CREAT)).unwrap(), Found::Nothing);
        let first = table.add(new(5));
        assert_eq!(table.find(&get(5, IPC_CREAT)).unwrap(), Found::Existing(first));
        let exclusive = get(5, IPC_CREAT | IPC_EXCL);
        assert!(table.find(&exclusive).is_err_and(|f| f.is(errno::EEXIST)));
        let second = table.add(new(0));
        assert!(table.find(&get(0, 0)).is_err_and(|f| f.is(errno::ENOSPC)));
        assert!(table.remove(first).is_some() && table.remove(first).is_none());
        // The place is used again, the id is not.
        let third = table.add(new(5));
        assert_eq!(third % PLACES, first % PLACES);
        assert!(table.get_mut(first).is_err_and(|f| f.is(errno::EINVAL)));
        assert!(table.get_mut(third).is_ok_and(|object| object.0.key == 5));
        assert_eq!(table.at_place(second % PLACES).map(|(id, _)| id).unwrap(), second);
        assert!(table.get_mut(-1).is_err_and(|f| f.is(errno::EINVAL)));
    }

    #[test]
    fn an_image_keeps_ids_and_a_bad_one_is_refused() {
        let credentials = Credentials::default();
        let new = |key| Object(IpcPermission::new(key, 0o600, &credentials));
        let mut table = IpcTable::default();
        let ids = [1, 2, 3].map(|key| table.add(new(key)));
        table.remove(ids[1]);

        let image = crate::testing::saved(&table.to_image(|object| object.0.clone()));
        let mut made = IpcTable::from_image(image.clone(), |permission| Some(Object(permission))).unwrap();
        assert_eq!(made.to_image(|object| object.0.clone()), image);
        assert!(
            made.get_mut(ids[0]).is_ok() && made.get_mut(ids[1]).is_err() && made.get_mut(ids[2]).is_ok()
        );
        assert_eq!(made.add(new(4)), table.add(new(4)), "the next id");

        let twice = [image.objects.clone(), image.objects.clone()].concat();
        let bad = IpcTableImage { objects: twice, ..image };
        assert!(IpcTable::from_image(bad, |permission| Some(Object(permission))).is_none());
    }
}
