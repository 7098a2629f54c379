//! A process of a container: its first one, or one that was put into it.

use std::time::SystemTime;

use cloister_proto::control::ExitStatus;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::container::ProcessName;
use crate::error::ShimError;
use crate::stdio::{Stdio, Streams};

/// A process.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) name: ProcessName,
    pub(crate) stdio: Stdio,
    pub(crate) streams: Mutex<Option<Streams>>,
    state: watch::Sender<State>,
}

/// Where in its life a process is, and its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) phase: Phase,
    /// Of a container's first process: of the process of the host that stands for it. Of others: as the container numbers it.
    pub(crate) pid: u32,
}

/// Where in its life a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It does not run yet.
    Created,
    /// It is being started.
    Starting,
    /// It runs.
    Running,
    /// It has ended.
    Ended(Exit),
}

/// How and when a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exit {
    /// Its exit code, or 128+N if signal N ended it.
    pub(crate) status: u32,
    pub(crate) at: SystemTime,
}

impl Exit {
    /// An end that is seen now.
    pub(crate) fn now(status: ExitStatus) -> Self {
        Self { status: status.code().into(), at: SystemTime::now() }
    }

    /// The end of a process that was not started.
    pub(crate) fn never() -> Self {
        Self { status: 0, at: SystemTime::UNIX_EPOCH }
    }
}

impl Process {
    /// A process that does not run yet. The id is 0 if it has none yet.
    pub(crate) fn new(name: ProcessName, stdio: Stdio, streams: Option<Streams>, pid: u32) -> Self {
        let state = watch::Sender::new(State { phase: Phase::Created, pid });
        Self { name, stdio, streams: Mutex::new(streams), state }
    }

    /// Where in its life it is now.
    pub(crate) fn state(&self) -> State {
        *self.state.borrow()
    }

    /// Marks it as being started.
    ///
    /// # Errors
    ///
    /// It was started before.
    pub(crate) fn begin_start(&self) -> Result<(), ShimError> {
        let is_first = self.state.send_if_modified(|state| {
            let is_first = state.phase == Phase::Created;
            if is_first {
                state.phase = Phase::Starting;
            }
            is_first
        });
        if is_first { Ok(()) } else { Err(self.wrong_state("start", "was started before")) }
    }

    /// Ends the start: whether it runs, and its id.
    pub(crate) fn end_start(&self, result: Option<u32>) {
        self.state.send_modify(|state| match result {
            Some(pid) => *state = State { phase: Phase::Running, pid },
            None => state.phase = Phase::Created,
        });
    }

    /// Notes its end.
    pub(crate) fn end(&self, exit: Exit) {
        self.state.send_modify(|state| state.phase = Phase::Ended(exit));
    }

    /// Waits for its end.
    pub(crate) async fn ended(&self) -> Exit {
        let mut state = self.state.subscribe();
        loop {
            if let Phase::Ended(exit) = state.borrow_and_update().phase {
                return exit;
            }
            // Fails only when the sender is gone, and we have it.
            let _ = state.changed().await;
        }
    }

    /// Waits until it is not being started.
    pub(crate) async fn settled(&self) {
        // Fails only when the sender is gone, and we have it.
        let _ = self.state.subscribe().wait_for(|state| state.phase != Phase::Starting).await;
    }

    /// The error of an action that the process is not in the state for.
    pub(crate) fn wrong_state(&self, action: &'static str, state: &'static str) -> ShimError {
        ShimError::WrongState { action, what: self.name.to_string(), state }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_process_is_started_once() {
        let name = ProcessName { container: "c".into(), exec_id: "e".into() };
        let process = Process::new(name, Stdio::default(), None, 0);
        process.begin_start().unwrap();
        let error = process.begin_start().unwrap_err().to_string();
        assert_eq!(error, "cannot start: process e of container c was started before");
        process.end_start(None);
        process.begin_start().unwrap();
        process.end_start(Some(7));
        process.settled().await;
        assert_eq!(process.state(), State { phase: Phase::Running, pid: 7 });
        let exit = Exit::now(ExitStatus::Signaled(9));
        process.end(exit);
        assert_eq!((process.ended().await, exit.status), (exit, 137));
    }
}
