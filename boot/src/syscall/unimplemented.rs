//! The report of calls that are missing.

use std::collections::HashSet;

use cloister_sync::{Lock, class};

use crate::log;

/// The report of calls that are missing: each once for each program, so that a user learns why a program fails, and
/// a program that tries for ever does not fill the log.
#[derive(Debug, Default)]
pub(crate) struct UnimplementedLog {
    reported: Lock<HashSet<(u64, Box<[u8]>)>, { class::RUN_QUEUE }>,
}

/// How many pairs are remembered; hostile programs can make up any number of names.
const MAX_REPORTED: usize = 1024;

impl UnimplementedLog {
    /// Reports that the program `name` asked for the call `number`, unless it was reported before.
    pub(crate) fn report(&self, number: u64, name: &[u8]) {
        let mut reported = self.reported.lock();
        if reported.len() >= MAX_REPORTED || !reported.insert((number, name.into())) {
            return;
        }
        drop(reported);
        let call = super::lookup(number).map_or("", |row| row.name);
        let program = String::from_utf8_lossy(name);
        tracing::warn!(target: log::UNSUPPORTED, number, call, program = &*program, "system call is not implemented");
    }
}
