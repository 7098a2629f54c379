//! The check of the lock order, in debug builds only.

#[cfg(debug_assertions)]
mod checked {
    use std::cell::RefCell;

    thread_local! {
        static CLASSES: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }

    /// The note that this thread holds a lock of a class.
    #[derive(Debug)]
    pub(crate) struct Held(u8);

    impl Held {
        pub(crate) fn new(class: u8) -> Self {
            CLASSES.with_borrow(|held| {
                let highest = held.iter().copied().max().unwrap_or(0);
                assert!(highest < class, "lock order: class {class} is taken while {highest} is held");
            });
            Self::unordered(class)
        }

        pub(crate) fn unordered(class: u8) -> Self {
            CLASSES.with_borrow_mut(|held| held.push(class));
            Self(class)
        }
    }

    impl Drop for Held {
        fn drop(&mut self) {
            CLASSES.with_borrow_mut(|held| {
                if let Some(at) = held.iter().rposition(|&class| class == self.0) {
                    held.remove(at);
                }
            });
        }
    }

    /// Asserts, in debug builds, that this thread holds no lock but one of `class`: before it parks a task or blocks.
    ///
    /// # Panics
    ///
    /// In debug builds, if it does.
    pub fn assert_only_held(class: u8) {
        CLASSES.with_borrow(|held| {
            assert!(held.iter().all(|&c| c == class), "lock order: locks {held:?} are held over a park");
        });
    }
}

#[cfg(not(debug_assertions))]
mod unchecked {
    #[derive(Debug)]
    pub(crate) struct Held;

    impl Held {
        pub(crate) fn new(_class: u8) -> Self {
            Self
        }

        pub(crate) fn unordered(_class: u8) -> Self {
            Self
        }
    }

    /// Asserts, in debug builds, that this thread holds no lock but one of the given class.
    pub fn assert_only_held(_class: u8) {}
}

#[cfg(debug_assertions)]
pub(crate) use checked::Held;
#[cfg(debug_assertions)]
pub use checked::assert_only_held;
#[cfg(not(debug_assertions))]
pub(crate) use unchecked::Held;
#[cfg(not(debug_assertions))]
pub use unchecked::assert_only_held;
