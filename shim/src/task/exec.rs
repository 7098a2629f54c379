//! Another process is put into a container.

use std::sync::Arc;

use cloister_proto::control::{Client, Execute, OnHangUp, Signal, SignalTarget, Ticket, WaitPid};
use cloister_runtime::bundle::{convert_process, parse_process};
use cloister_runtime::container::connect;
use containerd_shim_protos::api::ExecProcessRequest;
use containerd_shim_protos::events::task::TaskExecAdded;

use super::container::{Exec, ProcessName};
use super::{Container, Exit, Phase, Process, blocking, end};
use crate::error::ShimError;
use crate::pod::Pod;
use crate::stdio::keys::Keys;
use crate::stdio::{Owner, Stdio};

const ACTION: &str = "execute in";

impl Container {
    /// Takes note of a process that is to be put into the container; it is [started](Self::start) later.
    pub(crate) fn add(&self, pod: &Pod, request: &ExecProcessRequest) -> Result<(), ShimError> {
        if matches!(self.init.state().phase, Phase::Ended(_)) {
            return Err(self.init.wrong_state(ACTION, "has ended"));
        }
        let text = request.spec.as_ref().map(|spec| &*spec.value).unwrap_or_default();
        let bad = |error: &dyn std::fmt::Display| ShimError::Request(format!("the process: {error}"));
        let process = parse_process(text).map_err(|error| bad(&error))?;
        let mut spec = convert_process(&process, "process")?;
        spec.terminal = request.terminal;
        let stdio = Stdio {
            stdin: request.stdin.clone(),
            stdout: request.stdout.clone(),
            stderr: request.stderr.clone(),
            terminal: request.terminal,
        };
        let name = ProcessName { container: self.id.to_string(), exec_id: request.exec_id.clone() };
        let mut execs = self.execs.lock();
        if request.exec_id.is_empty() || execs.contains_key(&request.exec_id) {
            return Err(ShimError::Exists(name.to_string()));
        }
        let process = Arc::new(Process::new(name, stdio, None, 0));
        execs.insert(request.exec_id.clone(), Arc::new(Exec { process, spec }));
        pod.publisher.publish(&TaskExecAdded {
            container_id: self.id.to_string(),
            exec_id: request.exec_id.clone(),
            ..Default::default()
        });
        Ok(())
    }
}

/// A process that runs.
#[derive(Debug)]
pub(super) struct Started {
    client: Client,
    ticket: Ticket,
    pid: i32,
    keys: Option<Keys>,
}

/// Starts the process.
pub(super) async fn start(pod: &Pod, container: &Arc<Container>, exec: &Exec) -> Result<Started, ShimError> {
    let owner = Owner { namespace: &pod.namespace, id: container.id.as_str() };
    let (files, streams) = exec.process.stdio.open(owner, None).await?;
    let keys = match files.terminal() {
        Some(terminal) => Some(Keys::start(terminal).await?),
        None => None,
    };
    *exec.process.streams.lock() = Some(streams);
    let (container, process) = (container.clone(), Box::new(exec.spec.clone()));
    let started = blocking(move || {
        let entry = container.entry()?;
        let id = entry.id().to_string();
        let fail = |source| ShimError::Client { action: ACTION, id: id.clone(), source };
        let mut client = connect(&entry, ACTION)?;
        // Like the container, it goes with its shim.
        let request = Execute { id: id.clone(), process, ignore_paused: false, on_hang_up: OnHangUp::Kill };
        let pid = client.call(request, &files.all()).map_err(fail)?.pid;
        client.set_timeout(None).map_err(fail)?;
        let ticket = client.start(WaitPid { id: id.clone(), pid }, &[]).map_err(fail)?;
        Ok((client, ticket, pid))
    });
    match started.await {
        Ok((client, ticket, pid)) => Ok(Started { client, ticket, pid, keys }),
        Err(error) => {
            *exec.process.streams.lock() = None;
            Err(error)
        }
    }
}

impl Started {
    pub(super) fn pid(&self) -> u32 {
        u32::try_from(self.pid).unwrap_or_default()
    }

    /// Waits for its end and tells containerd; passes the signals of its terminal's keys on until then.
    pub(super) fn attend(self, pod: Arc<Pod>, container: Arc<Container>, process: Arc<Process>) {
        let Self { client, ticket, pid, keys } = self;
        tokio::spawn(async move {
            let ended = end::end_of::<WaitPid>(client, ticket);
            let status = match keys {
                None => ended.await,
                Some(keys) => tokio::select! {
                    status = ended => status,
                    // It ends only when it is killed, or the terminal is hung up.
                    never = pass_on(&container, pid, keys) => match never {},
                },
            };
            end::tell(&pod, &process, Exit::now(status));
        });
    }
}

/// Passes the signals of keys on to the foreground group of a process' terminal.
async fn pass_on(container: &Arc<Container>, pid: i32, mut keys: Keys) -> std::convert::Infallible {
    while let Some(signal) = keys.next().await {
        let target = SignalTarget::ForegroundGroup(pid);
        // The process may have ended; its end is told by the wait.
        let _ = container.call("signal", move |id| Signal { id, signal, target }).await;
    }
    std::future::pending().await
}
