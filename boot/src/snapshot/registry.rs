//! Ids of shared objects.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

/// Objects that are to be saved, each once, with the ids that the snapshot gives them: from 0 on.
///
/// What an object refers to gets its id when the object is saved, so the list grows while it is worked on:
/// [`Registry::get`] from 0 on until there is none left.
#[derive(Debug)]
pub(super) struct Registry<T: ?Sized> {
    inner: RefCell<Inner<T>>,
}

#[derive(Debug)]
struct Inner<T: ?Sized> {
    /// By address: the objects are in the list, so an address stays its own.
    ids: HashMap<usize, u64>,
    list: Vec<Arc<T>>,
}

impl<T: ?Sized> Default for Registry<T> {
    fn default() -> Self {
        Self { inner: RefCell::new(Inner { ids: HashMap::new(), list: Vec::new() }) }
    }
}

impl<T: ?Sized> Registry<T> {
    /// Returns the id of an object, which it gets if it has none.
    pub(super) fn id(&self, object: &Arc<T>) -> u64 {
        let mut inner = self.inner.borrow_mut();
        let next = inner.list.len() as u64;
        let address = Arc::as_ptr(object).cast::<()>().addr();
        let id = *inner.ids.entry(address).or_insert(next);
        if id == next {
            inner.list.push(Arc::clone(object));
        }
        id
    }

    /// Returns the object with an id.
    pub(super) fn get(&self, id: usize) -> Option<Arc<T>> {
        self.inner.borrow().list.get(id).cloned()
    }

    /// Returns all objects in the order of their ids.
    pub(super) fn all(&self) -> Vec<Arc<T>> {
        self.inner.borrow().list.clone()
    }
}

/// Finds by an id what was brought back in the order of ids.
pub(super) fn find<T: Clone>(list: &[T], id: u64) -> Option<T> {
    list.get(usize::try_from(id).ok()?).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_has_one_id() {
        let registry = Registry::<str>::default();
        let (a, b): (Arc<str>, Arc<str>) = ("same".into(), "same".into());
        assert_eq!([registry.id(&a), registry.id(&b), registry.id(&a)], [0, 1, 0]);
        assert!(registry.get(1).is_some_and(|found| Arc::ptr_eq(&found, &b)));
        assert!(registry.get(2).is_none());
        assert_eq!((registry.all().len(), find(&registry.all(), 0)), (2, Some(a)));
    }
}
