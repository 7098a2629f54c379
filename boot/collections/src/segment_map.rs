//! A map from ranges of numbers to values.

use std::collections::BTreeMap;
use std::ops::Range;

/// A value that a [`SegmentMap`] can hold: one that can be cut in two, and become one with its neighbour.
pub trait Segment: Clone {
    /// Cuts off and returns the part that begins `at` behind the segment's start; `self` becomes the part before.
    /// By default the parts are equal.
    #[must_use]
    fn split_off(&mut self, at: u64) -> Self {
        let _ = at;
        self.clone()
    }

    /// Returns whether this segment, of the length `len`, and `next`, which begins where it ends, can be one.
    fn can_merge(&self, len: u64, next: &Self) -> bool;
}

/// A map from ranges that do not overlap to values. Neighbours that can be one segment always are.
#[derive(Clone, Debug)]
pub struct SegmentMap<T> {
    entries: BTreeMap<u64, Entry<T>>,
}

#[derive(Clone, Debug)]
struct Entry<T> {
    end: u64,
    value: T,
}

impl<T> Default for SegmentMap<T> {
    fn default() -> Self {
        Self { entries: BTreeMap::new() }
    }
}

impl<T: Segment> SegmentMap<T> {
    /// Returns the number of segments.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns whether there is no segment.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns the segment that holds `at`.
    pub fn get(&self, at: u64) -> Option<(Range<u64>, &T)> {
        self.below(at.checked_add(1)?).next().filter(|(range, _)| at < range.end)
    }

    /// Returns all segments, in ascending order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (Range<u64>, &T)> {
        self.entries.iter().map(|(start, entry)| (*start..entry.end, &entry.value))
    }

    /// Returns the segments that end behind `at`, in ascending order.
    pub fn above(&self, at: u64) -> impl Iterator<Item = (Range<u64>, &T)> {
        let first = self.start_of(at);
        self.entries.range(first..).map(|(start, entry)| (*start..entry.end, &entry.value))
    }

    /// Returns the segments that begin before `at`, in descending order.
    pub fn below(&self, at: u64) -> impl Iterator<Item = (Range<u64>, &T)> {
        self.entries.range(..at).rev().map(|(start, entry)| (*start..entry.end, &entry.value))
    }

    /// Returns the segments that have a part of `range`, whole, in ascending order.
    pub fn overlapping(&self, range: Range<u64>) -> impl Iterator<Item = (Range<u64>, &T)> {
        self.above(range.start).take_while(move |(segment, _)| segment.start < range.end)
    }

    /// Returns the end of the segments that follow each other from `start` on without a gap; `start` itself if it is in
    /// no segment.
    pub fn covered_until(&self, start: u64) -> u64 {
        let mut until = start;
        for (segment, _) in self.above(start) {
            if segment.start > until {
                break;
            }
            until = segment.end;
        }
        until
    }

    /// Returns whether all of `range` is in segments.
    pub fn covers(&self, range: &Range<u64>) -> bool {
        range.is_empty() || {
            let mut until = range.start;
            self.overlapping(range.clone()).all(|(segment, _)| {
                let follows = segment.start <= until;
                until = segment.end;
                follows
            }) && until >= range.end
        }
    }

    /// Sets `range`, which must not be empty, to `value`, and returns what was there.
    pub fn insert(&mut self, range: Range<u64>, value: T) -> Vec<(Range<u64>, T)> {
        debug_assert!(range.start < range.end, "a segment can't be empty");
        let removed = self.remove(range.clone());
        self.entries.insert(range.start, Entry { end: range.end, value });
        self.merge(range);
        removed
    }

    /// Removes what is in `range`, and returns it.
    pub fn remove(&mut self, range: Range<u64>) -> Vec<(Range<u64>, T)> {
        if range.is_empty() {
            return Vec::new();
        }
        self.split(range.start);
        self.split(range.end);
        let starts: Vec<u64> = self.entries.range(range).map(|(start, _)| *start).collect();
        starts
            .into_iter()
            .filter_map(|start| self.entries.remove(&start).map(|entry| (start..entry.end, entry.value)))
            .collect()
    }

    /// Changes the parts of segments that are in `range`.
    pub fn update(&mut self, range: Range<u64>, mut change: impl FnMut(&mut T)) {
        if range.is_empty() {
            return;
        }
        self.split(range.start);
        self.split(range.end);
        for (_, entry) in self.entries.range_mut(range.clone()) {
            change(&mut entry.value);
        }
        self.merge(range);
    }

    /// Returns the start of the segment that holds `at`, otherwise `at`.
    fn start_of(&self, at: u64) -> u64 {
        match self.entries.range(..at).next_back() {
            Some((start, entry)) if entry.end > at => *start,
            _ => at,
        }
    }

    /// Makes `at` a border of segments, unless it is in none.
    fn split(&mut self, at: u64) {
        let Some((start, entry)) = self.entries.range_mut(..at).next_back() else { return };
        if entry.end > at {
            let value = entry.value.split_off(at - start);
            let end = std::mem::replace(&mut entry.end, at);
            self.entries.insert(at, Entry { end, value });
        }
    }

    /// Makes one of those neighbours at the borders in and around `range` that can be.
    fn merge(&mut self, range: Range<u64>) {
        let before = self.entries.range(..range.start).next_back();
        let first = before.or_else(|| self.entries.range(range.clone()).next());
        let Some(mut start) = first.map(|(start, _)| *start) else { return };
        while let Some(entry) = self.entries.get(&start) {
            let end = entry.end;
            let next = self.entries.get(&end);
            if next.is_some_and(|next| entry.value.can_merge(end - start, &next.value)) {
                let next_end = self.entries.remove(&end).map_or(end, |next| next.end);
                if let Some(entry) = self.entries.get_mut(&start) {
                    entry.end = next_end;
                }
                continue;
            }
            // What begins at the end of the range was looked at as a neighbour.
            if end >= range.end {
                break;
            }
            match self.entries.range(end..range.end).next() {
                Some((next, _)) => start = *next,
                None => break,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// A value that counts on: as a mapping of a file, whose offset grows with the address.
    #[derive(Clone, Debug, PartialEq, Eq)]
    struct Counting {
        kind: u8,
        from: u64,
    }

    impl Segment for Counting {
        fn split_off(&mut self, at: u64) -> Self {
            Self { kind: self.kind, from: self.from + at }
        }

        fn can_merge(&self, len: u64, next: &Self) -> bool {
            self.kind == next.kind && self.from + len == next.from
        }
    }

    const SIZE: u64 = 40;

    #[derive(Clone, Debug)]
    enum Step {
        Insert(Range<u64>, Counting),
        Remove(Range<u64>),
        Update(Range<u64>, u8),
    }

    fn range() -> impl Strategy<Value = Range<u64>> {
        (0..SIZE, 1..12_u64).prop_map(|(start, len)| start..(start + len).min(SIZE))
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (range(), 0..3_u8, 0..2_u64).prop_map(|(range, kind, base)| {
                // Bases that are a multiple of a large number apart let neighbours merge.
                let from = range.start + base * 1000;
                Step::Insert(range, Counting { kind, from })
            }),
            range().prop_map(Step::Remove),
            (range(), 0..3_u8).prop_map(|(range, kind)| Step::Update(range, kind)),
        ]
    }

    /// The naive model: a cell for each number.
    type Model = Vec<Option<(u8, u64)>>;

    fn cells(range: &Range<u64>) -> Range<usize> {
        usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()
    }

    fn as_cells(parts: &[(Range<u64>, Counting)]) -> Model {
        let mut model = vec![None; usize::try_from(SIZE).unwrap()];
        for (range, value) in parts {
            for at in range.clone() {
                model[usize::try_from(at).unwrap()] = Some((value.kind, value.from + at - range.start));
            }
        }
        model
    }

    fn apply(map: &mut SegmentMap<Counting>, model: &mut Model, step: &Step) {
        match step {
            Step::Insert(range, value) => {
                let removed = as_cells(&map.insert(range.clone(), value.clone()));
                assert_eq!(removed[cells(range)], model[cells(range)]);
                for at in range.clone() {
                    model[usize::try_from(at).unwrap()] = Some((value.kind, value.from + at - range.start));
                }
            }
            Step::Remove(range) => {
                let removed = as_cells(&map.remove(range.clone()));
                assert_eq!(removed[cells(range)], model[cells(range)]);
                model[cells(range)].fill(None);
            }
            Step::Update(range, kind) => {
                map.update(range.clone(), |value| value.kind = *kind);
                model[cells(range)].iter_mut().flatten().for_each(|cell| cell.0 = *kind);
            }
        }
    }

    proptest! {
        #[test]
        fn agrees_with_a_cell_for_each_number(steps in vec(step(), 1..40)) {
            let mut map = SegmentMap::default();
            let mut model: Model = vec![None; usize::try_from(SIZE).unwrap()];
            for step in &steps {
                apply(&mut map, &mut model, step);
                let all: Vec<_> = map.iter().map(|(range, value)| (range, value.clone())).collect();
                prop_assert_eq!(&as_cells(&all), &model);
                for pair in all.windows(2) {
                    let ((a, x), (b, y)) = (&pair[0], &pair[1]);
                    prop_assert!(a.start < a.end && a.end <= b.start);
                    prop_assert!(a.end < b.start || !x.can_merge(a.end - a.start, y), "not merged: {pair:?}");
                }
                for at in 0..SIZE {
                    let found = map.get(at).map(|(range, value)| (value.kind, value.from + at - range.start));
                    prop_assert_eq!(found, model[usize::try_from(at).unwrap()]);
                    let run = model[usize::try_from(at).unwrap()..].iter().take_while(|cell| cell.is_some()).count();
                    prop_assert_eq!(map.covered_until(at), at + run as u64);
                    prop_assert!(map.above(at).all(|(range, _)| range.end > at));
                    prop_assert!(map.below(at).all(|(range, _)| range.start < at));
                    prop_assert_eq!(map.above(at).count() + map.below(at).filter(|(r, _)| r.end <= at).count(), map.len());
                    prop_assert!(map.covers(&(at..at + run as u64)));
                    prop_assert!(!map.covers(&(at..at + run as u64 + 1)));
                }
            }
        }
    }
}
