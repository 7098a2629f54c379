//! containerd's task service: each method finds the container and calls the one of the same name.

use std::collections::HashMap;
use std::process;
use std::sync::Arc;

use async_trait::async_trait;
use containerd_shim_protos::api::{
    CheckpointTaskRequest, CloseIORequest, ConnectRequest, ConnectResponse, CreateTaskRequest,
    CreateTaskResponse, DeleteRequest, DeleteResponse, Empty, ExecProcessRequest, KillRequest, PauseRequest,
    PidsRequest, PidsResponse, ProcessInfo, ResizePtyRequest, ResumeRequest, ShutdownRequest, StartRequest,
    StartResponse, StateRequest, StateResponse, StatsRequest, StatsResponse, Status, UpdateTaskRequest,
    WaitRequest, WaitResponse,
};
use containerd_shim_protos::events::task::{TaskCheckpointed, TaskPaused, TaskResumed};
use containerd_shim_protos::protobuf::well_known_types::any::Any;
use containerd_shim_protos::protobuf::{Message, MessageField, MessageFull};
use containerd_shim_protos::shim::oci::ProcessDetails;
use containerd_shim_protos::shim_async::{Task, create_task};
use ttrpc::asynchronous::{Service, TtrpcContext};

use crate::pod::Pod;
use crate::task::Phase;

/// The names of the service in its versions, whose messages are the same: containerd 1.x knows the first only.
const NAMES: [&str; 2] = ["containerd.task.v2.Task", "containerd.task.v3.Task"];

/// The task service under all of its names.
pub(crate) fn all(pod: &Arc<Pod>) -> HashMap<String, Service> {
    let mut services = HashMap::new();
    for name in NAMES {
        let made = create_task(Arc::new(TaskService { pod: pod.clone() }));
        services.extend(made.into_values().map(|service| (name.to_owned(), service)));
    }
    services
}

struct TaskService {
    pod: Arc<Pod>,
}

type Reply<T> = ttrpc::Result<T>;

#[async_trait]
impl Task for TaskService {
    async fn create(&self, _: &TtrpcContext, request: CreateTaskRequest) -> Reply<CreateTaskResponse> {
        let pid = self.pod.create(request).await?;
        Ok(CreateTaskResponse { pid, ..Default::default() })
    }

    async fn start(&self, _: &TtrpcContext, request: StartRequest) -> Reply<StartResponse> {
        let pid = self.pod.container(&request.id)?.start(&self.pod, &request.exec_id).await?;
        Ok(StartResponse { pid, ..Default::default() })
    }

    async fn delete(&self, _: &TtrpcContext, request: DeleteRequest) -> Reply<DeleteResponse> {
        let (pid, exit) = match &*request.exec_id {
            "" => self.pod.delete(&request.id).await?,
            exec_id => self.pod.container(&request.id)?.delete_exec(exec_id).await?,
        };
        Ok(DeleteResponse {
            pid,
            exit_status: exit.status,
            exited_at: MessageField::some(exit.at.into()),
            ..Default::default()
        })
    }

    async fn exec(&self, _: &TtrpcContext, request: ExecProcessRequest) -> Reply<Empty> {
        self.pod.container(&request.id)?.add(&self.pod, &request)?;
        Ok(Empty::new())
    }

    async fn state(&self, _: &TtrpcContext, request: StateRequest) -> Reply<StateResponse> {
        let container = self.pod.container(&request.id)?;
        let process = container.process(&request.exec_id)?;
        let state = process.state();
        let mut response = StateResponse {
            id: request.id,
            exec_id: request.exec_id,
            bundle: container.bundle.to_string_lossy().into_owned(),
            pid: state.pid,
            stdin: process.stdio.stdin.clone(),
            stdout: process.stdio.stdout.clone(),
            stderr: process.stdio.stderr.clone(),
            terminal: process.stdio.terminal,
            ..Default::default()
        };
        let status = match state.phase {
            Phase::Created | Phase::Starting => Status::CREATED,
            Phase::Running if container.is_paused() => Status::PAUSED,
            Phase::Running => Status::RUNNING,
            Phase::Ended(exit) => {
                response.exit_status = exit.status;
                response.exited_at = MessageField::some(exit.at.into());
                Status::STOPPED
            }
        };
        response.status = status.into();
        Ok(response)
    }

    async fn wait(&self, _: &TtrpcContext, request: WaitRequest) -> Reply<WaitResponse> {
        let exit = self.pod.container(&request.id)?.process(&request.exec_id)?.ended().await;
        Ok(WaitResponse {
            exit_status: exit.status,
            exited_at: MessageField::some(exit.at.into()),
            ..Default::default()
        })
    }

    async fn kill(&self, _: &TtrpcContext, request: KillRequest) -> Reply<Empty> {
        self.pod.container(&request.id)?.kill(&request.exec_id, request.signal, request.all).await?;
        Ok(Empty::new())
    }

    async fn pids(&self, _: &TtrpcContext, request: PidsRequest) -> Reply<PidsResponse> {
        let processes = self.pod.container(&request.id)?.processes().await?;
        let info = |(pid, exec_id): (u32, Option<String>)| {
            let details = exec_id.and_then(|exec_id| {
                let details = ProcessDetails { exec_id, ..Default::default() };
                let type_url = ProcessDetails::descriptor().full_name().to_owned();
                Some(Any { type_url, value: details.write_to_bytes().ok()?, ..Default::default() })
            });
            ProcessInfo { pid, info: details.into(), ..Default::default() }
        };
        Ok(PidsResponse { processes: processes.into_iter().map(info).collect(), ..Default::default() })
    }

    async fn pause(&self, _: &TtrpcContext, request: PauseRequest) -> Reply<Empty> {
        self.pod.container(&request.id)?.pause().await?;
        self.pod.publisher.publish(&TaskPaused { container_id: request.id, ..Default::default() });
        Ok(Empty::new())
    }

    async fn resume(&self, _: &TtrpcContext, request: ResumeRequest) -> Reply<Empty> {
        self.pod.container(&request.id)?.resume().await?;
        self.pod.publisher.publish(&TaskResumed { container_id: request.id, ..Default::default() });
        Ok(Empty::new())
    }

    async fn checkpoint(&self, _: &TtrpcContext, request: CheckpointTaskRequest) -> Reply<Empty> {
        self.pod.container(&request.id)?.checkpoint(&request).await?;
        self.pod.publisher.publish(&TaskCheckpointed {
            container_id: request.id,
            checkpoint: request.path,
            ..Default::default()
        });
        Ok(Empty::new())
    }

    async fn resize_pty(&self, _: &TtrpcContext, request: ResizePtyRequest) -> Reply<Empty> {
        let process = self.pod.container(&request.id)?.process(&request.exec_id)?;
        match &*process.streams.lock() {
            Some(streams) => streams.resize(request.width, request.height)?,
            None => return Err(process.wrong_state("resize the terminal", "has none").into()),
        }
        Ok(Empty::new())
    }

    async fn close_io(&self, _: &TtrpcContext, request: CloseIORequest) -> Reply<Empty> {
        let process = self.pod.container(&request.id)?.process(&request.exec_id)?;
        if let (true, Some(streams)) = (request.stdin, &*process.streams.lock()) {
            streams.close_input();
        }
        Ok(Empty::new())
    }

    async fn update(&self, _: &TtrpcContext, request: UpdateTaskRequest) -> Reply<Empty> {
        self.pod.container(&request.id)?.update(&request).await?;
        Ok(Empty::new())
    }

    async fn stats(&self, _: &TtrpcContext, request: StatsRequest) -> Reply<StatsResponse> {
        let metrics = self.pod.container(&request.id)?.metrics().await?;
        Ok(StatsResponse { stats: MessageField::some(metrics), ..Default::default() })
    }

    async fn connect(&self, _: &TtrpcContext, request: ConnectRequest) -> Reply<ConnectResponse> {
        // Of an empty id, which is asked after a restart, only the shim's own is known.
        let task_pid = self.pod.container(&request.id).map_or(0, |container| container.init.state().pid);
        let version = env!("CARGO_PKG_VERSION").to_owned();
        Ok(ConnectResponse { shim_pid: process::id(), task_pid, version, ..Default::default() })
    }

    async fn shutdown(&self, _: &TtrpcContext, _: ShutdownRequest) -> Reply<Empty> {
        self.pod.shut_down();
        Ok(Empty::new())
    }
}
