//! The end of processes.

use std::io;
use std::os::fd::AsFd;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use cloister_proto::control::{Client, Event, ExitStatus, Method, Ticket, Wait};
use cloister_runtime::state::ProcessIdentity;
use containerd_shim_protos::events::task::{TaskExit, TaskOOM};
use containerd_shim_protos::protobuf::MessageField;
use rustix::process::{WaitId, WaitIdOptions, waitid};

use super::oom::Oom;
use super::{Container, Exit, Phase, Process};
use crate::pod::Pod;
use crate::watch::watch;

/// How long the ends of a container's other processes may come after that of its first one, which ends them.
const STRAGGLERS: Duration = Duration::from_secs(2);

/// Waits for the reply to a request that asked for an end. A kernel that has ended took all its processes with it.
pub(super) async fn end_of<M: Method<Reply = ExitStatus>>(mut client: Client, ticket: Ticket) -> ExitStatus {
    let killed = ExitStatus::Signaled(9);
    let watched = client.as_fd().try_clone_to_owned().and_then(watch);
    let Ok(watched) = watched else { return killed };
    loop {
        match client.poll::<M>(ticket) {
            Ok(Event::Reply(status)) => return status,
            Ok(Event::Nothing) => {}
            Err(_) => return killed,
        }
        match watched.readable().await {
            Ok(mut ready) => ready.clear_ready(),
            Err(_) => return killed,
        }
    }
}

/// Waits for the end of a container, and tells containerd.
pub(super) async fn attend(
    pod: Arc<Pod>,
    container: Arc<Container>,
    client: Client,
    ticket: Ticket,
    mut oom: Oom,
) {
    let publish_oom =
        || pod.publisher.publish(&TaskOOM { container_id: container.id.to_string(), ..Default::default() });
    let mut ended = pin!(end_of::<Wait>(client, ticket));
    let status = loop {
        tokio::select! {
            status = &mut ended => break status,
            () = oom.next() => publish_oom(),
        }
    };
    let exit = Exit::now(status);
    if oom.was_missed() {
        publish_oom();
    }
    // That it was started is told before.
    container.init.settled().await;
    let execs: Vec<_> = container.execs.lock().values().cloned().collect();
    let all = async {
        for exec in execs.iter().filter(|exec| exec.process.state().phase != Phase::Created) {
            exec.process.ended().await;
        }
    };
    let _ = tokio::time::timeout(STRAGGLERS, all).await;
    tell(&pod, &container.init, exit);
}

/// Notes the end of a process, and tells containerd.
pub(super) fn tell(pod: &Pod, process: &Process, exit: Exit) {
    let name = &process.name;
    pod.publisher.publish(&TaskExit {
        container_id: name.container.clone(),
        id: if name.exec_id.is_empty() { name.container.clone() } else { name.exec_id.clone() },
        pid: process.state().pid,
        exit_status: exit.status,
        exited_at: MessageField::some(exit.at.into()),
        ..Default::default()
    });
    process.end(exit);
}

/// Waits for the end of a child that nothing else waits for, so that it does not stay a zombie.
pub(super) async fn reap(process: ProcessIdentity) {
    let Some(pid) = rustix::process::Pid::from_raw(process.pid) else { return };
    let opened = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty());
    let watched = opened.map_err(io::Error::from).and_then(watch);
    let Ok(watched) = watched else { return };
    if watched.readable().await.is_ok() {
        // Fails if it is not our child, or was waited for.
        let _ =
            waitid(WaitId::PidFd(watched.get_ref().as_fd()), WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
    }
}
