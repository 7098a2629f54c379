//! Waking: `FUTEX_WAKE`, `FUTEX_REQUEUE`, `FUTEX_WAKE_OP` and what is built on them.

use super::FutexKey;
use super::table::{Woken, wake_tasks};
use super::wait::load;
use crate::context::SyscallCx;
use crate::error::{Fail, fail};
use crate::kernel::Kernel;
use crate::mm::Mm;
use crate::prelude::errno;

/// Wakes up to `count` who wait for `key` with one of the bits of `bitset`. Returns how many.
///
/// # Errors
///
/// `EINVAL` if one waits for a lock that is only handed over.
pub(crate) fn wake(kernel: &Kernel, key: &FutexKey, count: usize, bitset: u32) -> Result<usize, Fail> {
    let mut woken = Woken::new();
    let mut is_pi = false;
    {
        let mut bucket = kernel.futexes.lock(key);
        bucket.wake(
            key,
            count,
            |waiter| {
                is_pi |= waiter.pi.is_some();
                !is_pi && waiter.bitset & bitset != 0
            },
            &mut woken,
        );
    }
    let woken_count = woken.len();
    wake_tasks(woken);
    if is_pi && woken_count == 0 {
        return Err(fail(errno::EINVAL, "the lock is handed over by FUTEX_UNLOCK_PI"));
    }
    Ok(woken_count)
}

/// Who is woken and who is moved to another futex.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Requeue {
    /// How many are woken.
    pub(crate) wake: usize,
    /// How many of the others wait for the other futex.
    pub(crate) requeue: usize,
    /// The value that the first word must have, and its address; `None` for any.
    pub(crate) expected: Option<(u64, u32)>,
}

/// Wakes some of those who wait for `from`, and lets others wait for `to`. Returns how many it were together.
///
/// # Errors
///
/// `EAGAIN` if the word has another value, `EFAULT` if it can't be read, `EINVAL` if one waits for a lock that is only
/// handed over.
pub(crate) fn requeue(
    cx: &SyscallCx<'_>,
    from: &FutexKey,
    to: &FutexKey,
    what: Requeue,
) -> Result<usize, Fail> {
    let mut woken = Woken::new();
    let mut buckets = cx.kernel().futexes.lock_two(from, to);
    if let Some((address, value)) = what.expected
        && load(cx.mm(), address)? != value
    {
        return Err(fail(errno::EAGAIN, "the word has another value"));
    }
    if buckets.first().waiters(from).any(|waiter| waiter.pi.is_some()) {
        return Err(fail(errno::EINVAL, "the lock is handed over by FUTEX_UNLOCK_PI"));
    }
    let mut count = buckets.first().wake(from, what.wake, |_| true, &mut woken);
    let moved = buckets.first().take(from, what.requeue);
    count += moved.len();
    for waiter in &moved {
        buckets.second().push(*to, waiter);
    }
    drop(buckets);
    wake_tasks(woken);
    Ok(count)
}

/// What is done with the second word of `FUTEX_WAKE_OP`, and when its waiters are woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WakeOp {
    operation: Operation,
    operand: u32,
    comparison: Comparison,
    compared: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Set,
    Add,
    Or,
    AndNot,
    Xor,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl WakeOp {
    /// Parses the argument `val3`: four bits of operation, four of comparison, 12 of operand, 12 to compare with.
    ///
    /// # Errors
    ///
    /// `ENOSYS` if there is no such operation or comparison, as in Linux.
    pub(crate) fn parse(raw: u32) -> Result<Self, Fail> {
        /// The operand is the number of a bit.
        const OPERAND_SHIFTED: u32 = 8;
        // Both fields are 12-bit signed numbers.
        let operand = (raw.cast_signed() << 8) >> 20;
        let compared = (raw.cast_signed() << 20) >> 20;
        let operation = match (raw >> 28) & !OPERAND_SHIFTED {
            0 => Operation::Set,
            1 => Operation::Add,
            2 => Operation::Or,
            3 => Operation::AndNot,
            4 => Operation::Xor,
            _ => return Err(fail(errno::ENOSYS, "no such operation")),
        };
        let comparison = match (raw >> 24) & 15 {
            0 => Comparison::Equal,
            1 => Comparison::NotEqual,
            2 => Comparison::Less,
            3 => Comparison::LessOrEqual,
            4 => Comparison::Greater,
            5 => Comparison::GreaterOrEqual,
            _ => return Err(fail(errno::ENOSYS, "no such comparison")),
        };
        let operand = operand.cast_unsigned();
        let is_shifted = (raw >> 28) & OPERAND_SHIFTED != 0;
        let operand = if is_shifted { 1 << (operand & 31) } else { operand };
        Ok(Self { operation, operand, comparison, compared })
    }

    fn apply(self, old: u32) -> u32 {
        match self.operation {
            Operation::Set => self.operand,
            Operation::Add => old.wrapping_add(self.operand),
            Operation::Or => old | self.operand,
            Operation::AndNot => old & !self.operand,
            Operation::Xor => old ^ self.operand,
        }
    }

    fn holds(self, old: u32) -> bool {
        let old = old.cast_signed();
        match self.comparison {
            Comparison::Equal => old == self.compared,
            Comparison::NotEqual => old != self.compared,
            Comparison::Less => old < self.compared,
            Comparison::LessOrEqual => old <= self.compared,
            Comparison::Greater => old > self.compared,
            Comparison::GreaterOrEqual => old >= self.compared,
        }
    }
}

/// Changes the word at `second_address`; wakes up to `count` who wait for `first`, and, if the word's old value is as
/// `op` says, up to `second_count` who wait for `second`. Returns how many it were together.
///
/// # Errors
///
/// `EFAULT` if the word can't be changed.
pub(crate) fn wake_op(
    cx: &SyscallCx<'_>,
    (first, count): (&FutexKey, usize),
    (second, second_count): (&FutexKey, usize),
    second_address: u64,
    op: WakeOp,
) -> Result<usize, Fail> {
    let mut woken = Woken::new();
    let mut buckets = cx.kernel().futexes.lock_two(first, second);
    let old = change(cx.mm(), second_address, |old| op.apply(old))?;
    let is_plain = |waiter: &super::table::Waiter| waiter.pi.is_none();
    let mut total = buckets.first().wake(first, count, is_plain, &mut woken);
    if op.holds(old) {
        total += buckets.second().wake(second, second_count, is_plain, &mut woken);
    }
    drop(buckets);
    wake_tasks(woken);
    Ok(total)
}

/// Changes a word in one step. Returns what it was.
///
/// # Errors
///
/// `EFAULT` if it can't be read and written.
pub(super) fn change(mm: &Mm, address: u64, new: impl Fn(u32) -> u32) -> Result<u32, Fail> {
    let mut old = load(mm, address)?;
    loop {
        let now = mm.space().compare_exchange(address, old, new(old))?;
        if now == old {
            return Ok(old);
        }
        old = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(operation: u32, comparison: u32, operand: u32, compared: u32) -> u32 {
        (operation << 28) | (comparison << 24) | ((operand & 0xfff) << 12) | (compared & 0xfff)
    }

    fn run(raw: u32, old: u32) -> (u32, bool) {
        let op = WakeOp::parse(raw).unwrap();
        (op.apply(old), op.holds(old))
    }

    #[test]
    fn operations_and_comparisons() {
        assert_eq!(run(encode(0, 0, 7, 5), 5), (7, true));
        assert_eq!(run(encode(1, 1, 3, 5), 5), (8, false));
        assert_eq!(run(encode(1, 2, u32::MAX, 0), 0), (u32::MAX, false));
        assert_eq!(run(encode(2, 3, 4, 3), 3), (7, true));
        assert_eq!(run(encode(3, 4, 1, 2), 3), (2, true));
        assert_eq!(run(encode(4, 5, 0xf, 4), 3), (12, false));
        // Both numbers are signed, and so is the comparison.
        assert_eq!(run(encode(0, 2, u32::MAX, u32::MAX), (-2_i32).cast_unsigned()), (u32::MAX, true));
        // The operand as a bit's number.
        assert_eq!(run(encode(8, 0, 31, 0), 0), (1 << 31, true));
    }

    #[test]
    fn what_is_unknown_is_refused() {
        for raw in [encode(5, 0, 0, 0), encode(0, 6, 0, 0), encode(15, 0, 0, 0)] {
            assert!(WakeOp::parse(raw).is_err_and(|failure| failure.is(errno::ENOSYS)));
        }
    }
}
