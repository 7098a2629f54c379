//! Where the processes of the ptrace platform run.

use std::time::{Duration, Instant};

use cloister_platform::Trap;

use crate::common::{Sandbox, start};

#[test]
fn threads_that_compute_side_by_side_are_let_go() {
    let processors = std::thread::available_parallelism().unwrap().get();
    if processors == 1 {
        return;
    }
    let sandbox = Sandbox::on_ptrace();
    let (space, first) = sandbox.program(&[0xeb, 0xfe]);
    let allowed = || {
        let children = std::fs::read_to_string("/proc/thread-self/children").unwrap();
        // The last are the threads.
        let pids: Vec<_> = children.split_whitespace().skip(2).map(str::to_owned).collect();
        let set = |pid: String| {
            let pid = rustix::process::Pid::from_raw(pid.parse().unwrap());
            usize::try_from(rustix::thread::sched_getaffinity(pid).unwrap().count()).unwrap()
        };
        pids.into_iter().map(set).collect::<Vec<_>>()
    };
    let run = || assert_eq!(sandbox.trap_within(Duration::from_millis(30)), None);
    // The tracer may get to it late.
    let await_allowed = |wanted: &[usize]| {
        let until = Instant::now() + Duration::from_secs(10);
        while allowed() != wanted && Instant::now() < until {
            run();
        }
        run();
        assert_eq!(allowed(), wanted);
    };
    first.resume(&start());
    run();
    first.interrupt();
    assert_eq!(sandbox.next_trap().0, Trap::Interrupted);
    std::thread::scope(|scope| {
        // From elsewhere, so that it happens within the loop.
        scope.spawn(|| first.resume(&start()));
        await_allowed(&[1]);
    });
    let second = sandbox.spawn(&space, 1);
    second.resume(&start());
    await_allowed(&[processors, processors]);
}
