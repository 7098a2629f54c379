//! The containers of a shim: those of a pod, or a single one.

use std::collections::BTreeMap;
use std::sync::Arc;

use containerd_shim_protos::api::CreateTaskRequest;
use containerd_shim_protos::events::task::{TaskCreate, TaskDelete, TaskIO};
use containerd_shim_protos::protobuf::MessageField;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::error::ShimError;
use crate::events::Publisher;
use crate::task::{Container, Exit, create};

/// The containers of a shim.
#[derive(Debug)]
pub(crate) struct Pod {
    /// containerd's namespace.
    pub(crate) namespace: String,
    /// Whether details are logged.
    pub(crate) debug: bool,
    pub(crate) publisher: Publisher,
    /// `None` is one that is being created.
    containers: Mutex<BTreeMap<String, Option<Arc<Container>>>>,
    leave: Notify,
}

impl Pod {
    pub(crate) fn new(namespace: &str, debug: bool, publisher: Publisher) -> Self {
        Self {
            namespace: namespace.to_owned(),
            debug,
            publisher,
            containers: Mutex::default(),
            leave: Notify::new(),
        }
    }

    /// Finds a container.
    pub(crate) fn container(&self, id: &str) -> Result<Arc<Container>, ShimError> {
        self.containers.lock().get(id).cloned().flatten().ok_or_else(|| ShimError::NoContainer(id.to_owned()))
    }

    /// Creates a container. Returns the id of the process that stands for it.
    pub(crate) async fn create(self: &Arc<Self>, request: CreateTaskRequest) -> Result<u32, ShimError> {
        // The name is taken before anything is waited for.
        if self.containers.lock().contains_key(&request.id) {
            return Err(ShimError::Exists(format!("container {}", request.id)));
        }
        self.containers.lock().insert(request.id.clone(), None);
        let container = match create(self, &request).await {
            Ok(container) => container,
            Err(error) => {
                self.containers.lock().remove(&request.id);
                return Err(error);
            }
        };
        let pid = container.init.state().pid;
        self.publisher.publish(&TaskCreate {
            container_id: request.id.clone(),
            bundle: request.bundle,
            rootfs: request.rootfs,
            io: MessageField::some(TaskIO {
                stdin: request.stdin,
                stdout: request.stdout,
                stderr: request.stderr,
                terminal: request.terminal,
                ..Default::default()
            }),
            checkpoint: request.checkpoint,
            pid,
            ..Default::default()
        });
        self.containers.lock().insert(request.id, Some(container));
        Ok(pid)
    }

    /// Removes a container that has ended. Returns the id of its process, and its end.
    pub(crate) async fn delete(&self, id: &str) -> Result<(u32, Exit), ShimError> {
        let container = self.container(id)?;
        let (pid, exit) = container.delete().await?;
        self.containers.lock().remove(id);
        self.publisher.publish(&TaskDelete {
            container_id: id.to_owned(),
            pid,
            exit_status: exit.status,
            exited_at: MessageField::some(exit.at.into()),
            ..Default::default()
        });
        Ok((pid, exit))
    }

    /// Has the shim leave, unless it has containers.
    pub(crate) fn shut_down(&self) {
        if self.containers.lock().is_empty() {
            self.leave.notify_one();
        }
    }

    /// Waits until the shim is to leave.
    pub(crate) async fn over(&self) {
        self.leave.notified().await;
    }
}
