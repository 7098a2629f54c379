//! Lack of memory.
//!
//! The programs of all containers of a pod are in the control group of its root container, so it is that one that is told of.

use std::os::fd::AsFd;

use cloister_runtime::cgroup::{Group, OomWatch};

use crate::watch::{Watched, watch};

/// Watches whether a container lacks memory. Where nothing counts it, nothing is told.
#[derive(Debug)]
pub(super) struct Oom(Option<(OomWatch, Watched)>);

impl Oom {
    /// Begins.
    pub(super) fn watch(group: Option<Group>) -> Self {
        let begin = || {
            let oom = OomWatch::begin(group?).inspect_err(|error| tracing::warn!("{error}")).ok()??;
            let watched = oom.as_fd().try_clone_to_owned().and_then(watch).ok()?;
            Some((oom, watched))
        };
        Self(begin())
    }

    /// Waits until it lacks memory.
    pub(super) async fn next(&mut self) {
        while let Some((oom, watched)) = &mut self.0 {
            match watched.readable().await {
                Ok(mut ready) => ready.clear_ready(),
                Err(_) => break,
            }
            if oom.take() {
                return;
            }
        }
        std::future::pending::<()>().await;
    }

    /// Whether it lacked memory since it was told of last.
    pub(super) fn was_missed(&mut self) -> bool {
        self.0.as_mut().is_some_and(|(oom, _)| oom.take())
    }
}
