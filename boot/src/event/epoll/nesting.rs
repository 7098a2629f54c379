//! Epoll instances that watch each other.

use std::sync::{Arc, Weak};

use cloister_sync::{Lock, class};
use hashbrown::HashMap;

use super::instance::{self, Inner};
use crate::error::Errno;
use crate::prelude::errno;

/// The longest chain of instances that watch each other (`epoll_ctl(2)`, `ELOOP`).
pub(super) const MAX_NESTING: usize = 5;

/// The right to have one instance watch another: a field of the kernel.
#[derive(Debug, Default)]
pub(crate) struct Nesting {
    lock: Lock<(), { class::EPOLL_NESTING }>,
}

impl Nesting {
    /// Runs `insert`, by which `parent` comes to watch `child`.
    ///
    /// # Errors
    ///
    /// `ELOOP` if that would close a circle or make too long a chain, and those of `insert`.
    pub(super) fn nest(
        &self,
        parent: &Arc<Inner>,
        child: &Arc<Inner>,
        insert: impl FnOnce() -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        let _guard = self.lock.lock();
        let above = Levels::default().above(parent);
        let below = Levels::default().below(child, parent)?;
        if above + below > MAX_NESTING {
            return Err(errno::ELOOP);
        }
        insert()?;
        let mut interests = child.interests.lock();
        interests.parents.retain(|other| other.strong_count() > 0);
        interests.parents.push(Arc::downgrade(parent));
        Ok(())
    }
}

/// Forgets that `parent` watches `child`, once: it may do so by several descriptors.
pub(super) fn forget_parent(parent: &Arc<Inner>, child: &Arc<Inner>) {
    let mut interests = child.interests.lock();
    let parent = Arc::downgrade(parent);
    if let Some(at) = interests.parents.iter().position(|other| other.ptr_eq(&parent)) {
        interests.parents.swap_remove(at);
    }
}

/// The lengths of the longest chains from instances on, each found once. There is no circle, and no chain is longer than
/// [`MAX_NESTING`], so the recursion ends.
#[derive(Debug, Default)]
struct Levels {
    known: HashMap<*const Inner, usize>,
}

impl Levels {
    /// Returns the length of the longest chain that ends with `instance`.
    fn above(&mut self, instance: &Arc<Inner>) -> usize {
        if let Some(levels) = self.known.get(&Arc::as_ptr(instance)) {
            return *levels;
        }
        let parents: Vec<_> = instance.interests.lock().parents.iter().filter_map(Weak::upgrade).collect();
        let levels = 1 + parents.iter().map(|parent| self.above(parent)).max().unwrap_or(0);
        self.known.insert(Arc::as_ptr(instance), levels);
        levels
    }

    /// Returns the length of the longest chain that begins with `instance`.
    ///
    /// # Errors
    ///
    /// `ELOOP` if `top` is in one of the chains.
    fn below(&mut self, instance: &Arc<Inner>, top: &Arc<Inner>) -> Result<usize, Errno> {
        if Arc::ptr_eq(instance, top) {
            return Err(errno::ELOOP);
        }
        if let Some(levels) = self.known.get(&Arc::as_ptr(instance)) {
            return Ok(*levels);
        }
        let files: Vec<_> =
            instance.interests.lock().map.values().filter_map(|watched| watched.interest.file()).collect();
        let mut levels = 0;
        for child in files.iter().filter_map(|file| instance::of(file)) {
            levels = levels.max(self.below(&child.inner, top)?);
        }
        self.known.insert(Arc::as_ptr(instance), levels + 1);
        Ok(levels + 1)
    }
}
