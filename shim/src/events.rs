//! What containerd is told of tasks, in order, over its socket for events.

use std::path::Path;
use std::time::{Duration, SystemTime};

use containerd_shim_protos::events::task::{
    TaskCheckpointed, TaskCreate, TaskDelete, TaskExecAdded, TaskExecStarted, TaskExit, TaskOOM, TaskPaused,
    TaskResumed, TaskStart,
};
use containerd_shim_protos::protobuf::well_known_types::any::Any;
use containerd_shim_protos::protobuf::{MessageField, MessageFull};
use containerd_shim_protos::shim::event::Envelope;
use containerd_shim_protos::shim::events::ForwardRequest;
use containerd_shim_protos::shim_async::{Client, EventsClient};
use containerd_shim_protos::topics;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinHandle;
use tracing::{debug, warn};

/// How many events are kept while containerd is away.
const KEPT: usize = 4096;
/// How long containerd may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long to wait between two attempts to reach it.
const PAUSE: Duration = Duration::from_millis(200);
/// How long a shim that leaves waits for containerd to take the last events.
const FAREWELL: Duration = Duration::from_secs(5);

/// An event: a message with the topic under which it is published.
pub(crate) trait Event: MessageFull {
    /// The topic.
    const TOPIC: &str;
}

macro_rules! topics {
    ($($event:ident: $topic:ident),+ $(,)?) => {
        $(impl Event for $event { const TOPIC: &str = topics::$topic; })+
    };
}

topics! {
    TaskCreate: TASK_CREATE_EVENT_TOPIC,
    TaskStart: TASK_START_EVENT_TOPIC,
    TaskExit: TASK_EXIT_EVENT_TOPIC,
    TaskDelete: TASK_DELETE_EVENT_TOPIC,
    TaskExecAdded: TASK_EXEC_ADDED_EVENT_TOPIC,
    TaskExecStarted: TASK_EXEC_STARTED_EVENT_TOPIC,
    TaskOOM: TASK_OOM_EVENT_TOPIC,
    TaskPaused: TASK_PAUSED_EVENT_TOPIC,
    TaskResumed: TASK_RESUMED_EVENT_TOPIC,
    TaskCheckpointed: TASK_CHECKPOINTED_EVENT_TOPIC,
}

/// Publishes events in the order in which it is given them.
#[derive(Clone, Debug)]
pub(crate) struct Publisher {
    namespace: String,
    queue: Sender<Message>,
}

/// What the queue holds.
#[derive(Debug)]
enum Message {
    Event(Box<Envelope>),
    /// No more come.
    End,
}

/// What sends the events that a [`Publisher`] is given.
#[derive(Debug)]
pub(crate) struct Sending {
    queue: Sender<Message>,
    task: JoinHandle<()>,
}

impl Publisher {
    /// Begins; containerd listens for events at `socket`.
    pub(crate) fn begin(namespace: &str, socket: &Path) -> (Self, Sending) {
        let (queue, events) = channel(KEPT);
        let address = format!("unix://{}", socket.display());
        let task = tokio::spawn(send(events, address, namespace.to_owned()));
        let sending = Sending { queue: queue.clone(), task };
        (Self { namespace: namespace.to_owned(), queue }, sending)
    }

    /// Publishes an event. It is lost if containerd has been away for very long.
    pub(crate) fn publish<E: Event>(&self, event: &E) {
        let value = match event.write_to_bytes() {
            Ok(value) => value,
            Err(error) => return warn!("cannot encode an event for {}: {error}", E::TOPIC),
        };
        let type_url = E::descriptor().full_name().to_owned();
        let envelope = Envelope {
            timestamp: MessageField::some(SystemTime::now().into()),
            namespace: self.namespace.clone(),
            topic: E::TOPIC.to_owned(),
            event: MessageField::some(Any { type_url, value, ..Default::default() }),
            ..Default::default()
        };
        if self.queue.try_send(Message::Event(Box::new(envelope))).is_err() {
            warn!("an event for {} is lost: {KEPT} others wait for containerd", E::TOPIC);
        }
    }
}

impl Sending {
    /// Waits until all events are sent that were published by now.
    pub(crate) async fn finish(self) {
        let finish = async {
            // Fails only if the other end is gone, and then so is the task.
            let _ = self.queue.send(Message::End).await;
            let _ = self.task.await;
        };
        if tokio::time::timeout(FAREWELL, finish).await.is_err() {
            warn!("containerd did not take the last events");
        }
    }
}

async fn send(mut events: Receiver<Message>, address: String, namespace: String) {
    let mut client: Option<EventsClient> = None;
    while let Some(Message::Event(envelope)) = events.recv().await {
        let request = ForwardRequest { envelope: MessageField(Some(envelope)), ..Default::default() };
        loop {
            let mut context = ttrpc::context::with_duration(PATIENCE);
            context.add("containerd-namespace-ttrpc".into(), namespace.clone());
            let connected = match client.take() {
                Some(client) => Ok(client),
                None => Client::connect(&address).await.map(EventsClient::new),
            };
            let result = match &connected {
                Ok(client) => client.forward(context, &request).await.map(drop),
                Err(error) => Err(ttrpc::Error::Others(error.to_string())),
            };
            match result {
                Ok(()) => {
                    client = connected.ok();
                    break;
                }
                // It was heard, and is not wanted.
                Err(ttrpc::Error::RpcStatus(status)) if status.code() != ttrpc::Code::DEADLINE_EXCEEDED => {
                    warn!("containerd refuses an event: {}", status.message());
                    client = connected.ok();
                    break;
                }
                Err(error) => {
                    debug!("cannot reach containerd at {address}: {error}");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}
