//! A ring of bytes: what pipes and stream sockets hold.

use super::{Sink, Source};
use crate::error::Errno;

/// The smallest ring that is allocated, in bytes.
const SMALLEST: usize = 4096;

/// A ring of bytes that grows on demand; its owner bounds how much is put in.
#[derive(Debug, Default)]
pub(crate) struct ByteRing {
    bytes: Box<[u8]>,
    head: usize,
    len: usize,
}

impl ByteRing {
    /// Returns how many bytes it holds.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Returns whether it holds nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Appends up to `max` bytes of `from`, and returns how many.
    ///
    /// # Errors
    ///
    /// Those of `from`, if it fails at its first byte.
    pub(crate) fn fill(&mut self, from: &mut dyn Source, max: usize) -> Result<usize, Errno> {
        let want = max.min(from.remaining());
        self.reserve(want);
        let mut done = 0;
        while done < want {
            let room = self.free_slice(want - done);
            let len = room.len();
            let read = match from.read(room) {
                Ok(read) => read,
                Err(errno) if done == 0 => return Err(errno),
                Err(_) => break,
            };
            self.len += read;
            done += read;
            if read < len {
                break;
            }
        }
        Ok(done)
    }

    /// Moves up to `max` of the oldest bytes to `into`, and returns how many.
    ///
    /// # Errors
    ///
    /// Those of `into`, if it fails at its first byte.
    pub(crate) fn drain(&mut self, into: &mut dyn Sink, max: usize) -> Result<usize, Errno> {
        let done = self.copy(into, 0, max)?;
        self.discard(done);
        Ok(done)
    }

    /// Copies up to `max` bytes behind the `skip` oldest ones to `into`, and returns how many.
    ///
    /// # Errors
    ///
    /// Those of `into`, if it fails at its first byte.
    pub(crate) fn copy(&self, into: &mut dyn Sink, skip: usize, max: usize) -> Result<usize, Errno> {
        let want = max.min(self.len.saturating_sub(skip)).min(into.remaining());
        let mut done = 0;
        while done < want {
            let part = self.used_slice(skip + done, want - done);
            let written = match into.write(part) {
                Ok(written) => written,
                Err(errno) if done == 0 => return Err(errno),
                Err(_) => break,
            };
            done += written;
            if written < part.len() {
                break;
            }
        }
        Ok(done)
    }

    /// Removes the `count` oldest bytes, or all.
    pub(crate) fn discard(&mut self, count: usize) {
        let count = count.min(self.len);
        self.len -= count;
        // An empty ring starts over, so that the next bytes lie in one piece.
        self.head = if self.len == 0 { 0 } else { (self.head + count) % self.bytes.len() };
    }

    /// Removes the `count` newest bytes, or all.
    pub(crate) fn truncate(&mut self, count: usize) {
        self.len = self.len.saturating_sub(count);
    }

    /// Puts `bytes` before the oldest one.
    pub(crate) fn prepend(&mut self, bytes: &[u8]) {
        let mut whole = Vec::with_capacity(bytes.len() + self.len);
        whole.extend_from_slice(bytes);
        whole.extend_from_slice(self.used_slice(0, self.len));
        whole.extend_from_slice(self.used_slice(whole.len() - bytes.len(), self.len));
        self.len = whole.len();
        self.head = 0;
        self.bytes = whole.into_boxed_slice();
    }

    /// Returns a copy of all bytes, for an image.
    pub(crate) fn to_vec(&self) -> Vec<u8> {
        let mut bytes = self.used_slice(0, self.len).to_vec();
        bytes.extend_from_slice(self.used_slice(bytes.len(), self.len));
        bytes
    }

    fn reserve(&mut self, more: usize) {
        let needed = self.len + more;
        if needed <= self.bytes.len() {
            return;
        }
        let mut bytes = self.to_vec();
        bytes.resize(needed.next_power_of_two().max(SMALLEST), 0);
        self.bytes = bytes.into_boxed_slice();
        self.head = 0;
    }

    /// Returns up to `max` bytes in one piece, from the `skip`-th on; none behind the last.
    fn used_slice(&self, skip: usize, max: usize) -> &[u8] {
        let left = self.len.saturating_sub(skip).min(max);
        if left == 0 {
            return &[];
        }
        let start = (self.head + skip) % self.bytes.len();
        let end = (start + left).min(self.bytes.len());
        self.bytes.get(start..end).unwrap_or_default()
    }

    /// Returns up to `max` free bytes in one piece, behind the newest one.
    fn free_slice(&mut self, max: usize) -> &mut [u8] {
        let size = self.bytes.len();
        let free = (size - self.len).min(max);
        if free == 0 {
            return &mut [];
        }
        let start = (self.head + self.len) % size;
        let end = (start + free).min(size);
        self.bytes.get_mut(start..end).unwrap_or_default()
    }
}

impl From<Vec<u8>> for ByteRing {
    fn from(bytes: Vec<u8>) -> Self {
        Self { head: 0, len: bytes.len(), bytes: bytes.into_boxed_slice() }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Fill(usize),
        Drain(usize),
        Discard(usize),
        Prepend(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..6000_usize).prop_map(Step::Fill),
            (0..6000_usize).prop_map(Step::Drain),
            (0..6000_usize).prop_map(Step::Discard),
            (0..100_usize).prop_map(Step::Prepend),
        ]
    }

    proptest! {
        #[test]
        fn it_does_as_a_queue_does(steps in prop::collection::vec(step(), 1..40)) {
            let (mut ring, mut model, mut next) = (ByteRing::default(), VecDeque::new(), 0_u8);
            let mut bytes = |count: usize| -> Vec<u8> {
                (0..count).map(|_| { next = next.wrapping_add(1); next }).collect()
            };
            for step in steps {
                match step {
                    Step::Fill(count) => {
                        let new = bytes(count);
                        prop_assert_eq!(ring.fill(&mut new.as_slice(), count), Ok(count));
                        model.extend(new);
                    }
                    Step::Drain(count) => {
                        let mut out = vec![0; count];
                        let drained = ring.drain(&mut out.as_mut_slice(), count).expect("a slice takes all");
                        let expected: Vec<u8> = model.drain(..count.min(model.len())).collect();
                        prop_assert_eq!(out.get(..drained), Some(expected.as_slice()));
                    }
                    Step::Discard(count) => {
                        ring.discard(count);
                        model.drain(..count.min(model.len()));
                    }
                    Step::Prepend(count) => {
                        let new = bytes(count);
                        ring.prepend(&new);
                        for byte in new.into_iter().rev() {
                            model.push_front(byte);
                        }
                    }
                }
                prop_assert_eq!(ring.to_vec(), model.iter().copied().collect::<Vec<_>>());
            }
        }
    }
}
