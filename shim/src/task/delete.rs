//! What a process or a container leaves is removed.

use std::sync::Arc;

use cloister_runtime::container::delete;
use cloister_runtime::state::StateError;

use super::{Container, Exit, Phase, Process, blocking};
use crate::error::ShimError;
use crate::rootfs;

impl Container {
    /// Removes a process that has ended, or was not started. Returns its id and its end.
    pub(crate) async fn delete_exec(&self, exec_id: &str) -> Result<(u32, Exit), ShimError> {
        let process = self.exec_named(exec_id)?.process.clone();
        let state = process.state();
        let exit = match state.phase {
            Phase::Ended(exit) => exit,
            Phase::Created => Exit::never(),
            Phase::Starting | Phase::Running => return Err(process.wrong_state("delete", "has not ended")),
        };
        self.execs.lock().remove(exec_id);
        close(&process).await;
        Ok((state.pid, exit))
    }

    /// Removes the container, which has ended or was not started. Returns the id of its process and its end.
    pub(crate) async fn delete(self: &Arc<Self>) -> Result<(u32, Exit), ShimError> {
        let state = self.init.state();
        if matches!(state.phase, Phase::Starting | Phase::Running) {
            return Err(self.init.wrong_state("delete", "has not ended"));
        }
        let container = self.clone();
        blocking(move || {
            match container.store.open(&container.id) {
                // It is by force, since one that was not started is ended with it.
                Ok(entry) => delete(entry, true)?,
                // It was deleted when it was saved.
                Err(StateError::NotFound(_)) => {}
                Err(error) => return Err(error.into()),
            }
            rootfs::unmount(&container.bundle.join("rootfs"))
        })
        .await?;
        let exit = self.init.ended().await;
        let execs = std::mem::take(&mut *self.execs.lock());
        for exec in execs.values() {
            close(&exec.process).await;
        }
        close(&self.init).await;
        Ok((state.pid, exit))
    }
}

/// Waits until what the process has written is read, and closes its files.
async fn close(process: &Process) {
    let streams = process.streams.lock().take();
    if let Some(streams) = streams {
        streams.finish().await;
    }
}
