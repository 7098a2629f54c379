//! The saved forms of what sockets of all families consist of: channels, queues of datagrams, backlogs.
//!
//! Descriptors on their way are saved by the ids of their descriptions, sockets by ids that the snapshot gives. A
//! description that is on its way may be a socket that holds messages itself, so a snapshot brings sockets back in two
//! steps: all of them without their connections and messages, then these.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::backlog::{Backlog, MAX_CONNECTIONS};
use super::channel::{Channel, Closed, Framing, MAX_PACKETS, Segment};
use super::datagrams::{Datagram, Datagrams};
use super::{Ancillary, InFlight, SocketAddress, Ucred};
use crate::error::Errno;
use crate::event::WaitQueue;
use crate::fs::OpenFile;
use crate::prelude::errno;

/// Where the descriptions of messages are found again.
#[derive(Clone, Copy)]
pub(crate) struct Files<'a> {
    /// Finds descriptions by their ids.
    pub(crate) file_of: &'a dyn Fn(u64) -> Option<Arc<OpenFile>>,
    /// Counts those that are on their way.
    pub(crate) in_flight: &'a Arc<InFlight>,
}

impl Files<'_> {
    /// Brings back what came with a message.
    ///
    /// # Errors
    ///
    /// `EINVAL` if a description is not there, `ETOOMANYREFS` if too many are on their way.
    fn ancillary(&self, ids: Option<Vec<u64>>) -> Result<Option<Ancillary>, Errno> {
        let Some(ids) = ids else { return Ok(None) };
        let files: Option<Vec<_>> = ids.into_iter().map(self.file_of).collect();
        Ancillary::new(files.ok_or(errno::EINVAL)?, self.in_flight).map(Some)
    }
}

fn file_ids(ancillary: Option<&Ancillary>) -> Option<Vec<u64>> {
    ancillary.map(|ancillary| ancillary.files().iter().map(|file| file.id()).collect())
}

/// The saved form of a [`Channel`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ChannelImage {
    framing: Framing,
    bytes: Vec<u8>,
    segments: Vec<SegmentImage>,
    closed: Closed,
}

/// The saved form of the bytes of one sender, or of a packet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct SegmentImage {
    len: usize,
    from: Ucred,
    files: Option<Vec<u64>>,
}

impl Channel {
    /// Returns the saved form.
    pub(crate) fn to_image(&self) -> ChannelImage {
        let state = self.state.lock();
        let segments = state.segments.iter().map(|segment| SegmentImage {
            len: segment.len,
            from: segment.from,
            files: file_ids(segment.ancillary.as_ref()),
        });
        ChannelImage {
            framing: self.framing,
            bytes: state.ring.to_vec(),
            segments: segments.collect(),
            closed: state.closed,
        }
    }

    /// Puts back what was saved.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the image contradicts itself or is one of another kind of channel, and as for a message.
    pub(crate) fn restore(&self, image: ChannelImage, files: Files<'_>) -> Result<(), Errno> {
        let lens = image.segments.iter().map(|segment| segment.len);
        let len = lens.clone().try_fold(0_usize, usize::checked_add);
        let is_sound = match image.framing {
            Framing::Bytes => lens.into_iter().all(|len| len > 0),
            Framing::Packets => image.segments.len() <= MAX_PACKETS,
        };
        if !is_sound || image.framing != self.framing || len != Some(image.bytes.len()) {
            return Err(errno::EINVAL);
        }
        let segment = |image: SegmentImage| {
            let ancillary = files.ancillary(image.files)?;
            Ok(Segment { len: image.len, from: image.from, ancillary })
        };
        let segments: Result<_, Errno> = image.segments.into_iter().map(segment).collect();
        let segments = segments?;
        let mut state = self.state.lock();
        state.ring = image.bytes.into();
        state.closed = image.closed;
        let before = std::mem::replace(&mut state.segments, segments);
        drop(state);
        drop(before);
        Ok(())
    }
}

/// The saved form of [`Datagrams`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DatagramsImage {
    list: Vec<DatagramImage>,
    is_refused: bool,
}

/// The saved form of a [`Datagram`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct DatagramImage {
    bytes: Box<[u8]>,
    from: SocketAddress,
    credentials: Ucred,
    files: Option<Vec<u64>>,
}

impl Datagrams {
    /// Returns the saved form.
    pub(crate) fn to_image(&self) -> DatagramsImage {
        let state = self.state.lock();
        let list = state.list.iter().map(|datagram| DatagramImage {
            bytes: datagram.bytes.clone(),
            from: datagram.from.clone(),
            credentials: datagram.credentials,
            files: file_ids(datagram.ancillary.as_ref()),
        });
        DatagramsImage { list: list.collect(), is_refused: state.is_refused }
    }

    /// Puts back what was saved, into an empty queue.
    ///
    /// # Errors
    ///
    /// As for a message's descriptors.
    pub(crate) fn restore(&self, image: DatagramsImage, files: Files<'_>) -> Result<(), Errno> {
        let datagram = |image: DatagramImage| {
            let ancillary = files.ancillary(image.files)?;
            let DatagramImage { bytes, from, credentials, .. } = image;
            Ok(Datagram { bytes, from, credentials, ancillary })
        };
        let list: Result<Vec<_>, Errno> = image.list.into_iter().map(datagram).collect();
        let list = list?;
        let mut state = self.state.lock();
        // A sum of lengths of what is in memory does not overflow.
        state.bytes += list.iter().map(Datagram::charge).sum::<usize>();
        state.list.extend(list);
        state.is_refused = image.is_refused;
        Ok(())
    }
}

/// The saved form of a [`Backlog`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BacklogImage {
    /// The ids of the sockets that wait.
    waiting: Vec<u64>,
    max: usize,
    is_closed: bool,
}

impl<S> Backlog<S> {
    /// Returns the saved form; `id_of` tells the ids of sockets.
    pub(crate) fn to_image(&self, id_of: &dyn Fn(&Arc<S>) -> u64) -> BacklogImage {
        let state = self.state.lock();
        let waiting = state.list.iter().map(id_of).collect();
        BacklogImage { waiting, max: state.max, is_closed: state.is_closed }
    }

    /// Makes the backlog of a socket with the queue `acceptors`; `socket_of` finds sockets by their ids.
    ///
    /// # Errors
    ///
    /// `EINVAL` if a socket is not there, or there are too many.
    pub(crate) fn from_image(
        image: BacklogImage,
        acceptors: WaitQueue,
        socket_of: &dyn Fn(u64) -> Option<Arc<S>>,
    ) -> Result<Self, Errno> {
        if image.max > MAX_CONNECTIONS || image.waiting.len() > MAX_CONNECTIONS + 1 {
            return Err(errno::EINVAL);
        }
        let list: Option<_> = image.waiting.into_iter().map(socket_of).collect();
        let backlog = Self::new(acceptors, 0);
        {
            let mut state = backlog.state.lock();
            state.list = list.ok_or(errno::EINVAL)?;
            state.max = image.max;
            state.is_closed = image.is_closed;
        }
        Ok(backlog)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::OpenFlags;
    use crate::fs::anon::AnonFiles;
    use crate::net::channel::Take;
    use crate::net::datagrams::Limits;
    use crate::net::socket::Outgoing;
    use crate::net::{SocketFile, SocketType, netlink};
    use crate::testing::saved;

    fn file() -> Arc<OpenFile> {
        let socket = netlink::NetlinkSocket::new(SocketType::Datagram, 1);
        AnonFiles::default().open_object("test", Box::new(SocketFile::new(socket)), OpenFlags::READ_WRITE)
    }

    #[test]
    fn packets_come_back_with_their_descriptors() {
        let (sender, receiver, options) = (WaitQueue::new(), WaitQueue::new(), Arc::default());
        let (file, in_flight) = (file(), Arc::<InFlight>::default());
        let channel = Channel::new(Framing::Packets, &sender, &receiver, Arc::clone(&options));
        for mut packet in [b"first".as_slice(), b"second"] {
            let credentials = Ucred { pid: 4, uid: 5, gid: 6 };
            let ancillary = Some(Ancillary::new(vec![Arc::clone(&file)], &in_flight).unwrap());
            let mut message = Outgoing { from: &mut packet, to: None, credentials, ancillary };
            channel.send(&mut message).expect("there is room");
        }
        channel.end();
        let image = saved(&channel.to_image());
        let new = |framing| Channel::new(framing, &sender, &receiver, Arc::clone(&options));
        let file_of = |id| (id == file.id()).then(|| Arc::clone(&file));
        let files = Files { file_of: &file_of, in_flight: &in_flight };
        let restored = new(Framing::Packets);
        restored.restore(image.clone(), files).unwrap();
        assert_eq!(restored.to_image(), image);
        let mut bytes = [0; 9];
        let received = restored.receive(&mut bytes.as_mut_slice(), Take::Remove, false).expect("it is there");
        assert_eq!((received.len, received.credentials.map(|from| from.pid)), (5, Some(4)));
        assert!(received.ancillary.is_some_and(|ancillary| Arc::ptr_eq(&ancillary.files()[0], &file)));

        let refused = |image| new(Framing::Packets).restore(image, files) == Err(errno::EINVAL);
        assert_eq!(new(Framing::Bytes).restore(image.clone(), files), Err(errno::EINVAL));
        assert!(
            refused(ChannelImage { bytes: vec![0; 12], ..image.clone() }),
            "more bytes than segments have"
        );
        let mut overflowing = image.clone();
        overflowing.segments[0].len = usize::MAX;
        assert!(refused(overflowing));
        let nowhere = Files { file_of: &|_| None, in_flight: &in_flight };
        assert_eq!(new(Framing::Packets).restore(image, nowhere), Err(errno::EINVAL));
    }

    #[test]
    fn datagrams_come_back_and_count_again() {
        let (file, in_flight) = (file(), Arc::<InFlight>::default());
        let (queue, limits) = (Datagrams::default(), Limits { datagrams: 1, bytes: 1000 });
        let ancillary = Some(Ancillary::new(vec![Arc::clone(&file)], &in_flight).unwrap());
        let from = SocketAddress::Netlink(1, 2);
        let datagram = Datagram { bytes: (*b"text").into(), from, credentials: Ucred::NOBODY, ancillary };
        queue.push(datagram, limits).map_err(|(errno, _)| errno).expect("there is room");
        let image = saved(&queue.to_image());
        let file_of = |id| (id == file.id()).then(|| Arc::clone(&file));
        let restored = Datagrams::default();
        restored.restore(image.clone(), Files { file_of: &file_of, in_flight: &in_flight }).unwrap();
        assert_eq!(restored.to_image(), image);
        assert!(!restored.has_room(limits));
        let mut bytes = [0; 9];
        let received = restored.receive(&mut bytes.as_mut_slice(), Take::Remove).expect("it is there");
        assert_eq!((received.len, received.address), (4, Some(SocketAddress::Netlink(1, 2))));
        assert!(received.ancillary.is_some_and(|ancillary| ancillary.files().len() == 1));
        assert!(restored.has_room(limits));
    }
}
