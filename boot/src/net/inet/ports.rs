//! Who has which port.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::{Arc, Weak};

use cloister_sync::{Lock, class};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::error::Errno;
use crate::net::SocketOptions;
use crate::net::options::Switches;
use crate::prelude::errno;

/// The default of the ports that are given to sockets that ask for none (`/proc/sys/net/ipv4/ip_local_port_range`).
const EPHEMERAL: RangeInclusive<u16> = 32768..=60999;

/// The ports of one protocol, and which sockets of type `S` have them.
#[derive(Debug)]
pub(crate) struct Ports<S> {
    table: Lock<Table<S>, { class::SOCKET_NAMES }>,
}

#[derive(Debug)]
struct Table<S> {
    by_port: BTreeMap<u16, Vec<Entry<S>>>,
    next_id: u64,
    next_ephemeral: u16,
    ephemeral: RangeInclusive<u16>,
}

#[derive(Debug)]
struct Entry<S> {
    id: u64,
    ip: IpAddr,
    /// Which of `SO_REUSEADDR` and `SO_REUSEPORT` it had when it was bound; `IPV6_V6ONLY` too.
    switches: Switches,
    is_listening: bool,
    socket: Weak<S>,
}

/// The saved form of a [`Binding`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct BindingImage {
    address: SocketAddr,
    switches: Switches,
    is_listening: bool,
}

/// A socket's hold of a port; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Binding<S> {
    ports: Arc<Ports<S>>,
    id: u64,
    /// The address that the socket was bound to.
    pub(super) address: SocketAddr,
}

impl<S> Default for Ports<S> {
    fn default() -> Self {
        let table = Table {
            by_port: BTreeMap::new(),
            next_id: 0,
            next_ephemeral: *EPHEMERAL.start(),
            ephemeral: EPHEMERAL,
        };
        Self { table: Lock::new(table) }
    }
}

impl<S> Ports<S> {
    /// Returns the ports that are given to sockets that ask for none.
    pub(crate) fn ephemeral(&self) -> RangeInclusive<u16> {
        self.table.lock().ephemeral.clone()
    }

    /// Sets the ports that are given to sockets that ask for none.
    pub(crate) fn set_ephemeral(&self, ports: RangeInclusive<u16>) {
        let mut table = self.table.lock();
        table.next_ephemeral = *ports.start();
        table.ephemeral = ports;
    }

    /// Gives `socket` the port of `address`, or one that nobody has if that is 0.
    ///
    /// # Errors
    ///
    /// `EADDRINUSE` if another socket has it, or all are used.
    pub(super) fn bind(
        self: &Arc<Self>,
        socket: Weak<S>,
        options: &SocketOptions,
        address: SocketAddr,
    ) -> Result<Binding<S>, Errno> {
        let wanted = Switches::REUSE_ADDRESS | Switches::REUSE_PORT | Switches::V6_ONLY;
        let switches = options.switches() & wanted;
        let mut table = self.table.lock();
        let port = match address.port() {
            0 => table.ephemeral().ok_or(errno::EADDRINUSE)?,
            port => port,
        };
        let entry = Entry { id: table.next_id, ip: address.ip(), switches, is_listening: false, socket };
        if table.entries(port).iter().any(|other| other.conflicts_with(&entry)) {
            return Err(errno::EADDRINUSE);
        }
        Ok(self.insert(&mut table, port, entry))
    }

    /// Gives `socket`, of a connection that was made to the address of `listening`, a share of its port.
    pub(super) fn share(self: &Arc<Self>, listening: &Binding<S>, socket: Weak<S>, ip: IpAddr) -> Binding<S> {
        let mut table = self.table.lock();
        let port = listening.address.port();
        let switches = table.entries(port).iter().find(|entry| entry.id == listening.id);
        let switches = switches.map_or(Switches::empty(), |entry| entry.switches);
        let entry = Entry { id: table.next_id, ip, switches, is_listening: false, socket };
        self.insert(&mut table, port, entry)
    }

    /// Gives `socket` back the port that it had. (Those that share a port need not be able to get it in any order.)
    pub(super) fn restore(self: &Arc<Self>, socket: Weak<S>, image: BindingImage) -> Binding<S> {
        let BindingImage { address, switches, is_listening } = image;
        let mut table = self.table.lock();
        let entry = Entry { id: table.next_id, ip: address.ip(), switches, is_listening, socket };
        self.insert(&mut table, address.port(), entry)
    }

    fn insert(self: &Arc<Self>, table: &mut Table<S>, port: u16, entry: Entry<S>) -> Binding<S> {
        let binding =
            Binding { ports: Arc::clone(self), id: entry.id, address: SocketAddr::new(entry.ip, port) };
        table.next_id += 1;
        table.by_port.entry(port).or_default().push(entry);
        binding
    }

    /// Returns the sockets that take what is sent to `address`: those that are bound to just this address, or if there
    /// are none to all addresses.
    pub(super) fn find(&self, address: SocketAddr) -> SmallVec<[Arc<S>; 2]> {
        let table = self.table.lock();
        let entries = table.entries(address.port());
        let of = |takes: &dyn Fn(&Entry<S>) -> bool| -> SmallVec<[Arc<S>; 2]> {
            entries.iter().filter(|entry| takes(entry)).filter_map(|entry| entry.socket.upgrade()).collect()
        };
        let exact = of(&|entry| entry.ip == address.ip());
        if exact.is_empty() { of(&|entry| entry.is_of_all() && entry.overlaps(address.ip())) } else { exact }
    }
}

impl<S> Binding<S> {
    /// Marks the socket as listening.
    ///
    /// # Errors
    ///
    /// `EADDRINUSE` if another one listens there.
    pub(super) fn listen(&self) -> Result<(), Errno> {
        let mut table = self.ports.table.lock();
        let entries = table.by_port.get_mut(&self.address.port()).map(Vec::as_mut_slice).unwrap_or_default();
        let Some(at) = entries.iter().position(|entry| entry.id == self.id) else { return Ok(()) };
        let has_other = |own: &Entry<S>| {
            let shares = |other: &Entry<S>| (own.switches & other.switches).contains(Switches::REUSE_PORT);
            entries.iter().any(|other| {
                other.id != own.id && other.is_listening && other.overlaps_with(own) && !shares(other)
            })
        };
        if entries.get(at).is_some_and(has_other) {
            return Err(errno::EADDRINUSE);
        }
        if let Some(own) = entries.get_mut(at) {
            own.is_listening = true;
        }
        Ok(())
    }
}

impl<S> Binding<S> {
    /// Returns its saved form.
    pub(super) fn to_image(&self) -> BindingImage {
        let table = self.ports.table.lock();
        let entry = table.entries(self.address.port()).iter().find(|entry| entry.id == self.id);
        BindingImage {
            address: self.address,
            switches: entry.map_or(Switches::empty(), |entry| entry.switches),
            is_listening: entry.is_some_and(|entry| entry.is_listening),
        }
    }
}

impl<S> Drop for Binding<S> {
    fn drop(&mut self) {
        let mut table = self.ports.table.lock();
        let port = self.address.port();
        if let Some(entries) = table.by_port.get_mut(&port) {
            entries.retain(|entry| entry.id != self.id);
            if entries.is_empty() {
                table.by_port.remove(&port);
            }
        }
    }
}

impl<S> Table<S> {
    fn entries(&self, port: u16) -> &[Entry<S>] {
        self.by_port.get(&port).map(Vec::as_slice).unwrap_or_default()
    }

    /// Returns a port that nobody has.
    fn ephemeral(&mut self) -> Option<u16> {
        let next = self.next_ephemeral;
        let (first, last) = (*self.ephemeral.start(), *self.ephemeral.end());
        let found = (next..=last).chain(first..next).find(|port| !self.by_port.contains_key(port))?;
        self.next_ephemeral = if found == last { first } else { found + 1 };
        Some(found)
    }
}

impl<S> Entry<S> {
    fn is_of_all(&self) -> bool {
        self.ip.is_unspecified()
    }

    /// Returns whether it takes something that is sent to `ip`.
    fn overlaps(&self, ip: IpAddr) -> bool {
        match (self.ip, ip) {
            (IpAddr::V6(all), IpAddr::V4(_)) if all.is_unspecified() => {
                !self.switches.contains(Switches::V6_ONLY)
            }
            (own, ip) if own.is_unspecified() => own.is_ipv4() == ip.is_ipv4(),
            (own, ip) => own == ip,
        }
    }

    fn overlaps_with(&self, other: &Self) -> bool {
        self.overlaps(other.ip) || other.overlaps(self.ip)
    }

    /// Returns whether the two can't have one port (`socket(7)`, `SO_REUSEADDR`, `SO_REUSEPORT`).
    fn conflicts_with(&self, other: &Self) -> bool {
        let both = self.switches & other.switches;
        let may_share = both.contains(Switches::REUSE_PORT)
            || (both.contains(Switches::REUSE_ADDRESS) && !self.is_listening && !other.is_listening);
        self.overlaps_with(other) && !may_share
    }
}
