//! Generations: how often what runs in the sandbox was brought back from a snapshot.
//!
//! A program whose state must not be in two places (the state of a random number generator, a lease, a connection's sequence
//! number) can watch `/proc/cloister/generation`: it is another number once the program goes on from a snapshot, be it the same
//! sandbox or a copy. Random numbers of the kernel are the host's and so differ by themselves, and `boot_id` is made anew.
//!
//! # Snapshot
//!
//! Saved are the number and the environment; the next generation begins when all files are open again, so that they show the
//! change to who waits for it.

use std::sync::atomic::{AtomicU64, Ordering};

use cloister_sync::{Lock, class};
use serde::{Deserialize, Serialize};

use crate::fs::kernfs::Changes;

/// The sandbox's generation, and what a copy was given.
#[derive(Debug, Default)]
pub(crate) struct Generation {
    number: AtomicU64,
    environment: Lock<Vec<u8>, { class::GENERATION }>,
    changes: Changes,
}

/// The saved form of a [`Generation`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct GenerationImage {
    number: u64,
    environment: Vec<u8>,
}

impl Generation {
    /// Returns how often the sandbox was brought back.
    pub(crate) fn number(&self) -> u64 {
        self.number.load(Ordering::Relaxed)
    }

    /// Returns the variables that a copy was given, each ended by a null byte.
    pub(crate) fn environment(&self) -> Vec<u8> {
        self.environment.lock().clone()
    }

    /// Sets the variables of a copy, each `NAME=value`.
    pub(crate) fn set_environment<'a>(&self, variables: impl IntoIterator<Item = &'a [u8]>) {
        let text = variables.into_iter().flat_map(|variable| [variable, b"\0"]).collect::<Vec<_>>().concat();
        *self.environment.lock() = text;
    }

    /// Returns what tells that there is another generation.
    pub(crate) fn changes(&self) -> &Changes {
        &self.changes
    }

    /// Begins the next generation.
    pub(crate) fn advance(&self) {
        self.number.fetch_add(1, Ordering::Relaxed);
        self.changes.note();
    }

    /// Returns the saved form.
    pub(crate) fn to_image(&self) -> GenerationImage {
        GenerationImage { number: self.number(), environment: self.environment() }
    }

    /// Goes on from the saved form.
    pub(crate) fn restore(&self, image: GenerationImage) {
        self.number.store(image.number, Ordering::Relaxed);
        *self.environment.lock() = image.environment;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generation_goes_on_from_its_image() {
        let first = Generation::default();
        first.set_environment([&b"A=1"[..], b"B=2"]);
        first.advance();
        let second = Generation::default();
        second.restore(first.to_image());
        assert_eq!((second.number(), second.environment()), (1, b"A=1\0B=2\0".to_vec()));
        assert_eq!(second.to_image(), first.to_image());
        let seen = second.changes().count();
        second.advance();
        assert_eq!(second.number(), 2);
        assert_ne!(second.changes().count(), seen);
    }
}
