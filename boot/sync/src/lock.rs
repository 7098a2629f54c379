//! The mutual-exclusion lock.

use std::fmt;
use std::ops::{Deref, DerefMut};

use crate::order::Held;

/// A mutual-exclusion lock of the class `CLASS` (see [`class`](crate::class)).
#[derive(Default)]
pub struct Lock<T: ?Sized, const CLASS: u8> {
    inner: parking_lot::Mutex<T>,
}

/// Access to what a [`Lock`] protects, for as long as it lives.
pub struct LockGuard<'a, T: ?Sized> {
    // Dropped in order of declaration: first unlock, then forget the class.
    inner: parking_lot::MutexGuard<'a, T>,
    _held: Held,
}

impl<T, const CLASS: u8> Lock<T, CLASS> {
    /// Returns an unlocked lock that holds `value`.
    pub const fn new(value: T) -> Self {
        Self { inner: parking_lot::Mutex::new(value) }
    }

    /// Takes the value out of a lock that nobody else can see any more.
    pub fn into_inner(self) -> T {
        self.inner.into_inner()
    }
}

impl<T: ?Sized, const CLASS: u8> Lock<T, CLASS> {
    /// Waits for the lock and takes it.
    ///
    /// # Panics
    ///
    /// In debug builds, if this thread holds a lock of this or a higher class.
    pub fn lock(&self) -> LockGuard<'_, T> {
        let held = Held::new(CLASS);
        LockGuard { inner: self.inner.lock(), _held: held }
    }

    /// Takes the lock if it is free.
    pub fn try_lock(&self) -> Option<LockGuard<'_, T>> {
        let inner = self.inner.try_lock()?;
        Some(LockGuard { inner, _held: Held::unordered(CLASS) })
    }

    /// Takes two different locks of one class, in the order of their addresses.
    ///
    /// # Panics
    ///
    /// In debug builds, if both are the same lock, or as [`Lock::lock`].
    pub fn pair<'a>(a: &'a Self, b: &'a Self) -> (LockGuard<'a, T>, LockGuard<'a, T>) {
        let (at_a, at_b) = (std::ptr::from_ref(a).cast::<u8>(), std::ptr::from_ref(b).cast::<u8>());
        debug_assert_ne!(at_a, at_b, "a lock can't be paired with itself");
        let take_second =
            |lock: &'a Self| LockGuard { inner: lock.inner.lock(), _held: Held::unordered(CLASS) };
        if at_a < at_b {
            let guard = a.lock();
            (guard, take_second(b))
        } else {
            let guard = b.lock();
            (take_second(a), guard)
        }
    }

    /// Gives access through a reference that proves that nobody else has one.
    pub fn get_mut(&mut self) -> &mut T {
        self.inner.get_mut()
    }
}

impl<T: ?Sized + fmt::Debug, const CLASS: u8> fmt::Debug for Lock<T, CLASS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.inner.try_lock() {
            Some(value) => value.fmt(f),
            None => f.write_str("<locked>"),
        }
    }
}

impl<T: ?Sized> Deref for LockGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.inner
    }
}

impl<T: ?Sized> DerefMut for LockGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.inner
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for LockGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ascending_order_is_fine() {
        let (low, high) = (Lock::<_, 1>::new(1), Lock::<_, 2>::new(2));
        let a = low.lock();
        let b = high.lock();
        assert_eq!(*a + *b, 3);
    }

    #[test]
    #[should_panic(expected = "lock order")]
    fn descending_order_panics() {
        let (low, high) = (Lock::<_, 1>::new(1), Lock::<_, 2>::new(2));
        let _b = high.lock();
        let _a = low.lock();
    }

    #[test]
    fn pair_takes_both_and_releases_both() {
        let (a, b) = (Lock::<_, 1>::new(1), Lock::<_, 1>::new(2));
        {
            let (x, y) = Lock::pair(&a, &b);
            assert_eq!((*x, *y), (1, 2));
        }
        crate::assert_only_held(0);
        assert_eq!(*a.lock(), 1);
    }
}
