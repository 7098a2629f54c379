//! Message queues.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::{IpcObject, IpcPermission};
use crate::event::{Events, WaitQueue};
use crate::task::Pid;

/// A message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Message {
    /// Its type, which is positive.
    pub(crate) kind: i64,
    /// Its text.
    pub(crate) text: Vec<u8>,
}

/// What is known of a queue (`struct msqid_ds`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct QueueData {
    /// Owners and mode.
    pub(crate) permission: IpcPermission,
    /// The messages, in the order in which they were sent.
    pub(crate) messages: VecDeque<Message>,
    /// How many bytes all texts may have together.
    pub(crate) limit_bytes: u64,
    /// When a message was last sent, in seconds since 1970.
    pub(crate) sent: u64,
    /// When one was last received.
    pub(crate) received: u64,
    /// When it was made or changed.
    pub(crate) changed: u64,
    /// Who last sent.
    pub(crate) last_sender: Pid,
    /// Who last received.
    pub(crate) last_receiver: Pid,
}

/// A message queue.
#[derive(Debug)]
pub(crate) struct MessageQueue {
    /// What is known of it.
    pub(crate) data: QueueData,
    /// Woken when a message was sent or received, or the queue is gone.
    pub(crate) queue: WaitQueue,
}

/// Which message is received (`msgrcv(2)`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Select {
    /// The first.
    First,
    /// The first of this type.
    Kind(i64),
    /// The first that is not of this type (`MSG_EXCEPT`).
    Except(i64),
    /// The first of the lowest type that is at most this.
    UpTo(i64),
}

impl IpcObject for MessageQueue {
    fn permission(&self) -> &IpcPermission {
        &self.data.permission
    }
}

impl MessageQueue {
    /// Makes an empty queue.
    pub(crate) fn new(permission: IpcPermission, limit_bytes: u64, now: u64) -> Self {
        let data = QueueData {
            permission,
            messages: VecDeque::new(),
            limit_bytes,
            sent: 0,
            received: 0,
            changed: now,
            last_sender: 0,
            last_receiver: 0,
        };
        Self { data, queue: WaitQueue::new() }
    }

    /// Returns how many bytes all texts have together.
    pub(crate) fn bytes(&self) -> u64 {
        self.data.messages.iter().map(|message| message.text.len() as u64).sum()
    }

    /// Returns whether there is room for a message of `len` bytes. Empty messages count too, so that they are bounded.
    pub(crate) fn has_room(&self, len: usize) -> bool {
        let count = self.data.messages.len() as u64;
        self.bytes().saturating_add(len as u64) <= self.data.limit_bytes && count < self.data.limit_bytes
    }

    /// Returns where the message is that is to be received.
    pub(crate) fn select(&self, select: Select) -> Option<usize> {
        let messages = self.data.messages.iter();
        let mut kinds = messages.map(|message| message.kind).enumerate();
        match select {
            Select::First => kinds.next(),
            Select::Kind(wanted) => kinds.find(|(_, kind)| *kind == wanted),
            Select::Except(unwanted) => kinds.find(|(_, kind)| *kind != unwanted),
            Select::UpTo(most) => {
                kinds.filter(|(_, kind)| *kind <= most).min_by_key(|(at, kind)| (*kind, *at))
            }
        }
        .map(|(at, _)| at)
    }

    /// Wakes all who wait.
    pub(crate) fn wake(&self) {
        self.queue.wake(Events::IN);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::Credentials;

    #[test]
    fn messages_are_chosen_by_type() {
        let permission = IpcPermission::new(0, 0o600, &Credentials::default());
        let mut queue = MessageQueue::new(permission, 5, 0);
        assert_eq!(queue.select(Select::First), None);
        queue.data.messages = [4, 3, 2, 2].map(|kind| Message { kind, text: vec![0] }).into();
        assert_eq!(queue.select(Select::First), Some(0));
        assert_eq!(queue.select(Select::Kind(2)), Some(2));
        assert_eq!(queue.select(Select::Except(4)), Some(1));
        assert_eq!(queue.select(Select::UpTo(3)), Some(2));
        assert_eq!(queue.select(Select::UpTo(1)), None);
        assert!(queue.has_room(1) && !queue.has_room(2));
    }
}
