//! Where the time of a start goes.

use cloister_proto::control::Mark;
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// What was done when, in the order in which it was.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeline(Vec<(String, u64)>);

impl Timeline {
    /// Takes note that a step is done now.
    pub fn mark(&mut self, step: &str) {
        let time = clock_gettime(ClockId::Monotonic);
        let (seconds, nanoseconds) = (time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs());
        self.0.push((step.to_owned(), seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds)));
    }

    /// Adds the steps of another one.
    pub fn append(&mut self, other: &Self) {
        self.0.extend_from_slice(&other.0);
    }

    /// Adds what the sandbox's kernel tells.
    pub fn add(&mut self, marks: Vec<Mark>) {
        self.0.extend(marks.into_iter().map(|mark| (mark.step, mark.at)));
        self.0.sort_by_key(|(_, at)| *at);
    }

    /// A line for each step: milliseconds since the first, and since the one before.
    #[must_use]
    pub fn table(&self) -> String {
        let first = self.0.first().map_or(0, |(_, at)| *at);
        let mut before = first;
        let line = |(step, at): &(String, u64)| {
            let (total, own) = (milliseconds(first, *at), milliseconds(before, *at));
            before = *at;
            format!("{total:>10} {own:>9}  {step}\n")
        };
        self.0.iter().map(line).fold(format!("{:>10} {:>9}  STEP\n", "MS", "OWN"), |text, line| text + &line)
    }
}

fn milliseconds(from: u64, to: u64) -> String {
    let microseconds = to.saturating_sub(from) / 1000;
    format!("{}.{:03}", microseconds / 1000, microseconds % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_in_the_order_of_time() {
        let mut timeline = Timeline(vec![("a".to_owned(), 1_000_000), ("c".to_owned(), 4_500_000)]);
        timeline.add(vec![Mark { step: "b".to_owned(), at: 2_250_000 }]);
        let lines = [
            "        MS       OWN  STEP",
            "     0.000     0.000  a",
            "     1.250     1.250  b",
            "     3.500     2.250  c",
        ];
        assert_eq!(timeline.table().lines().collect::<Vec<_>>(), lines);
    }
}
