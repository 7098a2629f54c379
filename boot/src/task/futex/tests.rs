use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::context::SyscallCx;
use crate::error::{Fail, Restart};
use crate::prelude::errno;
use crate::syscall::Address;
use crate::testing::{MEMORY_START, TestKernel, TestTask};
use std::sync::Arc;

const WORD: u64 = MEMORY_START;
const OTHER: u64 = MEMORY_START + 8;

fn word(address: u64, value: u32) -> FutexWord {
    FutexWord { address, value, bitset: u32::MAX, sharing: Sharing::Private }
}

fn key(cx: &SyscallCx<'_>, address: u64) -> FutexKey {
    FutexKey::new(cx.mm(), address, Sharing::Private).unwrap()
}

fn begin(task: &mut TestTask, word: FutexWord) {
    assert!(matches!(wait(&mut task.cx(), word, None, Restart::Sys), Err(Fail::Park(_))));
}

/// Runs the handler again, as for a task that was woken. Returns whether the wait is over.
fn is_over(task: &mut TestTask, word: FutexWord) -> bool {
    match wait(&mut task.cx(), word, None, Restart::Sys) {
        Ok(()) => true,
        Err(Fail::Park(_)) => false,
        Err(failure) => panic!("{failure:?}"),
    }
}

#[test]
fn a_wait_ends_by_a_wake_up_and_only_once() {
    let kernel = TestKernel::new();
    let mut task = kernel.root_task();
    begin(&mut task, word(WORD, 0));
    assert!(!is_over(&mut task, word(WORD, 0)));
    let cx = task.cx();
    let key = key(&cx, WORD);
    assert_eq!(wake(cx.kernel(), &key, 10, u32::MAX).unwrap(), 1);
    assert_eq!(wake(cx.kernel(), &key, 10, u32::MAX).unwrap(), 0);
    // The word is not looked at again.
    cx.memory().write(Address(WORD), &5_u32).unwrap();
    assert!(is_over(&mut task, word(WORD, 0)));
    assert!(wait(&mut task.cx(), word(WORD, 0), None, Restart::Sys).is_err_and(|f| f.is(errno::EAGAIN)));
}

#[test]
fn bits_choose_who_is_woken() {
    let kernel = TestKernel::new();
    let mut task = kernel.root_task();
    begin(&mut task, FutexWord { bitset: 6, ..word(WORD, 0) });
    let cx = task.cx();
    let key = key(&cx, WORD);
    assert_eq!(wake(cx.kernel(), &key, 1, 9).unwrap(), 0);
    assert_eq!(wake(cx.kernel(), &key, 1, 4).unwrap(), 1);
}

#[test]
fn a_time_out_takes_the_waiter_away() {
    let kernel = TestKernel::new();
    let mut task = kernel.root_task();
    let mut cx = task.cx();
    let past = cx.kernel().clock.monotonic();
    let result = wait(&mut cx, word(WORD, 0), Some(past), Restart::Block);
    assert!(result.is_err_and(|failure| failure.is(errno::ETIMEDOUT)));
    assert_eq!(wake(cx.kernel(), &key(&cx, WORD), 1, u32::MAX).unwrap(), 0);
}

#[test]
fn a_wake_up_wins_over_a_time_out_that_comes_later() {
    let kernel = TestKernel::new();
    let mut task = kernel.root_task();
    let mut cx = task.cx();
    let end = cx.kernel().clock.monotonic().saturating_add(Duration::from_millis(2));
    assert!(matches!(wait(&mut cx, word(WORD, 0), Some(end), Restart::Block), Err(Fail::Park(_))));
    assert_eq!(wake(cx.kernel(), &key(&cx, WORD), 1, u32::MAX).unwrap(), 1);
    while cx.kernel().clock.monotonic() <= end {
        std::thread::yield_now();
    }
    wait(&mut cx, word(WORD, 0), Some(end), Restart::Block).unwrap();
}

#[test]
fn a_call_that_is_given_up_leaves_no_waiter() {
    let kernel = TestKernel::new();
    let mut task = kernel.root_task();
    begin(&mut task, word(WORD, 0));
    let cx = task.cx();
    cx.run.held = None;
    assert_eq!(wake(cx.kernel(), &key(&cx, WORD), 1, u32::MAX).unwrap(), 0);
}

#[test]
fn requeued_waiters_are_woken_at_the_other_futex() {
    let kernel = TestKernel::new();
    let mut task = kernel.root_task();
    begin(&mut task, word(WORD, 0));
    let cx = task.cx();
    let (from, to) = (key(&cx, WORD), key(&cx, OTHER));
    let what = Requeue { wake: 0, requeue: 5, expected: Some((WORD, 1)) };
    assert!(requeue(&cx, &from, &to, what).is_err_and(|failure| failure.is(errno::EAGAIN)));
    assert_eq!(requeue(&cx, &from, &to, Requeue { expected: None, ..what }).unwrap(), 1);
    assert_eq!(wake(cx.kernel(), &from, 5, u32::MAX).unwrap(), 0);
    assert!(!is_over(&mut task, word(WORD, 0)));
    let cx = task.cx();
    assert_eq!(wake(cx.kernel(), &to, 5, u32::MAX).unwrap(), 1);
    assert!(is_over(&mut task, word(WORD, 0)));
}

#[test]
fn a_wait_for_any_tells_which_and_leaves_the_others() {
    let kernel = TestKernel::new();
    let mut task = kernel.root_task();
    let mut cx = task.cx();
    let words = [word(WORD, 0), word(OTHER, 0)];
    let wrong = [word(WORD, 0), word(OTHER, 1)];
    let result = wait_any(&mut cx, &wrong, None, Restart::Sys);
    assert!(result.is_err_and(|failure| failure.is(errno::EAGAIN)));
    assert!(matches!(wait_any(&mut cx, &words, None, Restart::Sys), Err(Fail::Park(_))));
    assert_eq!(wake(cx.kernel(), &key(&cx, OTHER), 1, u32::MAX).unwrap(), 1);
    assert_eq!(wait_any(&mut cx, &words, None, Restart::Sys).unwrap(), 1);
    assert_eq!(wake(cx.kernel(), &key(&cx, WORD), 1, u32::MAX).unwrap(), 0);
}

#[test]
fn bad_addresses() {
    let kernel = TestKernel::new();
    let mut task = kernel.root_task();
    let mut cx = task.cx();
    for (address, errno) in [(WORD + 1, errno::EINVAL), (8, errno::EFAULT), (u64::MAX - 3, errno::EFAULT)] {
        assert!(
            wait(&mut cx, word(address, 0), None, Restart::Sys).is_err_and(|f| f.is(errno)),
            "{address:#x}"
        );
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Wait { task: usize, futex: u64 },
    Wake { futex: u64, count: usize },
    Requeue { from: u64, to: u64, wake: usize, requeue: usize },
    GiveUp { task: usize },
}

const TASKS: usize = 5;

fn step() -> impl Strategy<Value = Step> {
    let futex = || (0..3_u64).prop_map(|n| WORD + n * 4);
    prop_oneof![
        (0..TASKS, futex()).prop_map(|(task, futex)| Step::Wait { task, futex }),
        (futex(), 1..4_usize).prop_map(|(futex, count)| Step::Wake { futex, count }),
        (futex(), futex(), 0..3_usize, 0..3_usize).prop_map(|(from, to, wake, requeue)| Step::Requeue {
            from,
            to,
            wake,
            requeue
        }),
        (0..TASKS).prop_map(|task| Step::GiveUp { task }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Compares with lists of who waits where.
    #[test]
    fn no_wake_up_is_lost_or_doubled(steps in vec(step(), 1..60)) {
        let kernel = TestKernel::new();
        let mut tasks: Vec<TestTask> = (0..TASKS).map(|_| kernel.root_task()).collect();
        // All wait in the first task's address space, as its threads would.
        let mm = Arc::clone(tasks[0].cx().mm());
        for task in &mut tasks {
            task.cx().run.mm = Arc::clone(&mm);
        }
        let mut queues: std::collections::HashMap<u64, Vec<usize>> = std::collections::HashMap::new();
        let mut states = [State::Idle; TASKS];
        for step in steps {
            match step {
                Step::Wait { task, futex } if states[task] == State::Idle => {
                    begin(&mut tasks[task], word(futex, 0));
                    queues.entry(futex).or_default().push(task);
                    states[task] = State::Waits;
                }
                Step::Wait { task, futex } => {
                    let is_woken = states[task] == State::Woken;
                    prop_assert_eq!(is_over(&mut tasks[task], word(futex, 0)), is_woken);
                    if is_woken {
                        states[task] = State::Idle;
                    }
                }
                Step::Wake { futex, count } => {
                    let queue = queues.entry(futex).or_default();
                    let expected: Vec<usize> = queue.drain(..count.min(queue.len())).collect();
                    let cx = tasks[0].cx();
                    prop_assert_eq!(wake(cx.kernel(), &key(&cx, futex), count, u32::MAX).unwrap(), expected.len());
                    expected.iter().for_each(|task| states[*task] = State::Woken);
                }
                Step::Requeue { from, to, wake, requeue: moves } => {
                    let mut queue = queues.remove(&from).unwrap_or_default();
                    let woken: Vec<usize> = queue.drain(..wake.min(queue.len())).collect();
                    let moved: Vec<usize> = queue.drain(..moves.min(queue.len())).collect();
                    queues.insert(from, queue);
                    queues.entry(to).or_default().extend(&moved);
                    let cx = tasks[0].cx();
                    let what = Requeue { wake, requeue: moves, expected: None };
                    let count = requeue(&cx, &key(&cx, from), &key(&cx, to), what).unwrap();
                    prop_assert_eq!(count, woken.len() + moved.len());
                    woken.iter().for_each(|task| states[*task] = State::Woken);
                }
                Step::GiveUp { task } => {
                    tasks[task].cx().run.held = None;
                    queues.values_mut().for_each(|queue| queue.retain(|other| *other != task));
                    states[task] = State::Idle;
                }
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Idle,
    Waits,
    Woken,
}
