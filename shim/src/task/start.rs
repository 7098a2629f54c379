//! A process is started.

use std::sync::Arc;

use cloister_proto::control::Resume;
use cloister_runtime::container::start;
use containerd_shim_protos::events::task::{TaskExecStarted, TaskStart};

use super::{Container, blocking, exec};
use crate::error::ShimError;
use crate::pod::Pod;

impl Container {
    /// Starts a process of the container. Returns its id.
    pub(crate) async fn start(self: &Arc<Self>, pod: &Arc<Pod>, exec_id: &str) -> Result<u32, ShimError> {
        if !exec_id.is_empty() {
            let exec = self.exec_named(exec_id)?;
            exec.process.begin_start()?;
            let started = exec::start(pod, self, &exec).await;
            if started.is_err() {
                exec.process.end_start(None);
            }
            let started = started?;
            let pid = started.pid();
            pod.publisher.publish(&TaskExecStarted {
                container_id: self.id.to_string(),
                exec_id: exec_id.to_owned(),
                pid,
                ..Default::default()
            });
            exec.process.end_start(Some(pid));
            started.attend(pod.clone(), self.clone(), exec.process.clone());
            return Ok(pid);
        }
        self.init.begin_start()?;
        let result = match self.is_restored {
            true => self.call("resume", |id| Resume { id }).await.map(drop),
            false => {
                let (store, id) = (self.store.clone(), self.id.clone());
                blocking(move || Ok(start(store.open(&id)?)?)).await
            }
        };
        let pid = self.init.state().pid;
        if result.is_ok() {
            pod.publisher.publish(&TaskStart {
                container_id: self.id.to_string(),
                pid,
                ..Default::default()
            });
        }
        self.init.end_start(result.is_ok().then_some(pid));
        result.map(|()| pid)
    }
}
