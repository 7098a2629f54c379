//! Buffers for bytes on their way between the guest and a file of the host.

use std::cell::RefCell;

/// The largest buffer: enough that the cost of a host call does not count, and small enough to stay in the cache.
const SCRATCH_BYTES: usize = 128 << 10;

thread_local! {
    /// The worker's buffers that nobody uses: a fresh one for each call would cost its page faults each time. There are
    /// as many as uses were ever nested.
    static BUFFERS: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// Runs `work` with a buffer of `len` bytes, but at most [`SCRATCH_BYTES`], whose contents are arbitrary.
pub(crate) fn with_scratch<T>(len: usize, work: impl FnOnce(&mut [u8]) -> T) -> T {
    let len = len.min(SCRATCH_BYTES);
    let mut buffer = BUFFERS.with_borrow_mut(Vec::pop).unwrap_or_default();
    if buffer.len() < len {
        buffer.resize(len.next_power_of_two(), 0);
    }
    let result = work(buffer.get_mut(..len).unwrap_or_default());
    BUFFERS.with_borrow_mut(|buffers| buffers.push(buffer));
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_uses_do_not_meet() {
        with_scratch(10, |outer| {
            outer.fill(1);
            with_scratch(1 << 30, |inner| inner.fill(2));
            assert_eq!(outer, [1; 10]);
        });
    }
}
