//! Options of the levels of IP, IPv6 and TCP.

use std::collections::BTreeMap;

use cloister_abi::net;
use cloister_sync::{Lock, class};

use super::protocol;
use crate::error::{Fail, fail};
use crate::net::SocketOptions;
use crate::net::options::{Switches, int_value};
use crate::prelude::errno;

/// Options that have no effect where there are no packets, and are remembered: level, name, first value.
const REMEMBERED: &[(u32, u32, i32)] = &[
    (protocol::IP, net::IP_TOS, 0),
    (protocol::IP, net::IP_TTL, 64),
    (protocol::IP, net::IP_MTU_DISCOVER, 1),
    (protocol::IP, net::IP_RECVERR, 0),
    (protocol::IP, net::IP_FREEBIND, 0),
    (protocol::IP, net::IP_BIND_ADDRESS_NO_PORT, 0),
    (protocol::IP, net::IP_MULTICAST_TTL, 1),
    (protocol::IP, net::IP_MULTICAST_LOOP, 1),
    (protocol::IPV6, net::IPV6_UNICAST_HOPS, 64),
    (protocol::IPV6, net::IPV6_MULTICAST_HOPS, 1),
    (protocol::IPV6, net::IPV6_MULTICAST_LOOP, 1),
    (protocol::IPV6, net::IPV6_MTU_DISCOVER, 1),
    (protocol::IPV6, net::IPV6_RECVERR, 0),
    (protocol::IPV6, net::IPV6_TCLASS, 0),
    (protocol::TCP, net::TCP_MAXSEG, 65483),
    (protocol::TCP, net::TCP_CORK, 0),
    (protocol::TCP, net::TCP_KEEPIDLE, 7200),
    (protocol::TCP, net::TCP_KEEPINTVL, 75),
    (protocol::TCP, net::TCP_KEEPCNT, 9),
    (protocol::TCP, net::TCP_SYNCNT, 6),
    (protocol::TCP, net::TCP_LINGER2, 60),
    (protocol::TCP, net::TCP_DEFER_ACCEPT, 0),
    (protocol::TCP, net::TCP_QUICKACK, 1),
    (protocol::TCP, net::TCP_USER_TIMEOUT, 0),
];

/// The options that a socket was given and that have no effect.
#[derive(Debug, Default)]
pub(super) struct InetOptions {
    values: Lock<BTreeMap<(u32, u32), i32>, { class::STREAM }>,
}

/// The saved form of [`InetOptions`]: level, name and value.
pub(super) type InetOptionsImage = Vec<(u32, u32, i32)>;

/// Returns the option that is a switch.
fn switch_of(level: u32, name: u32) -> Option<Switches> {
    match (level, name) {
        (protocol::TCP, net::TCP_NODELAY) => Some(Switches::NO_DELAY),
        (protocol::IPV6, net::IPV6_V6ONLY) => Some(Switches::V6_ONLY),
        _ => None,
    }
}

fn default_of(level: u32, name: u32) -> Result<i32, Fail> {
    let found = REMEMBERED.iter().find(|(l, n, _)| (*l, *n) == (level, name));
    Ok(found.ok_or(fail(errno::ENOPROTOOPT, "unknown `optname`"))?.2)
}

impl InetOptions {
    /// Returns their saved form.
    pub(super) fn to_image(&self) -> InetOptionsImage {
        self.values.lock().iter().map(|((level, name), value)| (*level, *name, *value)).collect()
    }

    /// Makes options as they were saved; those that there are not any more are left out.
    pub(super) fn from_image(image: InetOptionsImage) -> Self {
        let known = image.into_iter().filter(|(level, name, _)| default_of(*level, *name).is_ok());
        Self { values: Lock::new(known.map(|(level, name, value)| ((level, name), value)).collect()) }
    }

    /// Returns the value of an option; those of `level` [`protocol::TCP`] are for TCP sockets only: the caller checks.
    pub(super) fn get(&self, options: &SocketOptions, level: u32, name: u32) -> Result<Vec<u8>, Fail> {
        let value = match switch_of(level, name) {
            Some(switch) => i32::from(options.has(switch)),
            None => {
                let default = default_of(level, name)?;
                self.values.lock().get(&(level, name)).copied().unwrap_or(default)
            }
        };
        Ok(value.to_ne_bytes().to_vec())
    }

    /// Sets an option.
    pub(super) fn set(
        &self,
        options: &SocketOptions,
        level: u32,
        name: u32,
        value: &[u8],
    ) -> Result<(), Fail> {
        // Options of IP may be a single byte.
        let value = match value {
            [byte] if level != protocol::TCP => i32::from(*byte),
            _ => int_value(value)?,
        };
        if let Some(switch) = switch_of(level, name) {
            options.set_switches(switch, value != 0);
            return Ok(());
        }
        default_of(level, name)?;
        self.values.lock().insert((level, name), value);
        Ok(())
    }
}
