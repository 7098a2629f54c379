//! Options of the level `SOL_SOCKET` (`socket(7)`).

use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use bitflags::bitflags;
use cloister_abi::net;
use cloister_sync::{Lock, class};
use serde::{Deserialize, Serialize};
use zerocopy::{FromBytes, IntoBytes};

use crate::error::{Errno, Fail, fail};
use crate::prelude::errno;

bitflags! {
    /// Options that are on or off.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
    pub(crate) struct Switches: u32 {
        /// `SO_REUSEADDR`.
        const REUSE_ADDRESS = 1;
        /// `SO_REUSEPORT`.
        const REUSE_PORT = 1 << 1;
        /// `SO_KEEPALIVE`: connections inside the sandbox can't break unnoticed, so it has no effect.
        const KEEP_ALIVE = 1 << 2;
        /// `SO_BROADCAST`.
        const BROADCAST = 1 << 3;
        /// `SO_OOBINLINE`.
        const OUT_OF_BAND_INLINE = 1 << 4;
        /// `SO_DONTROUTE`.
        const DO_NOT_ROUTE = 1 << 5;
        /// `SO_PASSCRED`.
        const PASS_CREDENTIALS = 1 << 6;
        /// `TCP_NODELAY`: nothing is ever delayed.
        const NO_DELAY = 1 << 7;
        /// `IPV6_V6ONLY`.
        const V6_ONLY = 1 << 8;
        /// `IP_RECVERR` and `IPV6_RECVERR`: no error ever comes from a network.
        const RECEIVE_ERRORS = 1 << 9;
    }
}

/// The size of new buffers in bytes (`/proc/sys/net/core/wmem_default`).
const DEFAULT_BUFFER: usize = 212_992;
/// The most that can be asked for (`/proc/sys/net/core/wmem_max`); what is set is twice that.
const MAX_BUFFER: usize = 212_992;
/// The least that is set.
const MIN_SEND_BUFFER: usize = 4608;
/// The least that is set.
const MIN_RECEIVE_BUFFER: usize = 2304;

/// What the options of a socket are; read without a lock.
#[derive(Debug)]
pub(crate) struct SocketOptions {
    switches: AtomicU64,
    send_buffer: AtomicUsize,
    receive_buffer: AtomicUsize,
    /// In nanoseconds; 0 for none.
    receive_timeout: AtomicU64,
    send_timeout: AtomicU64,
    /// The error that is to be reported, once (`SO_ERROR`); 0 for none.
    error: AtomicI32,
    has_linger: AtomicBool,
    others: Lock<Others, { class::STREAM }>,
}

/// Options that only their `getsockopt` looks at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Others {
    linger_seconds: i32,
    priority: i32,
    receive_low_water: i32,
}

/// The saved form of [`SocketOptions`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SocketOptionsImage {
    switches: Switches,
    send_buffer: usize,
    receive_buffer: usize,
    receive_timeout: Option<Duration>,
    send_timeout: Option<Duration>,
    error: i32,
    has_linger: bool,
    others: Others,
}

impl Default for SocketOptions {
    fn default() -> Self {
        Self {
            switches: AtomicU64::new(0),
            send_buffer: AtomicUsize::new(DEFAULT_BUFFER),
            receive_buffer: AtomicUsize::new(DEFAULT_BUFFER),
            receive_timeout: AtomicU64::new(0),
            send_timeout: AtomicU64::new(0),
            error: AtomicI32::new(0),
            has_linger: AtomicBool::new(false),
            others: Lock::new(Others { receive_low_water: 1, ..Others::default() }),
        }
    }
}

impl SocketOptions {
    /// Makes options as they were saved.
    pub(crate) fn from_image(image: SocketOptionsImage) -> Self {
        let ns = |timeout: Option<Duration>| timeout.map_or(0, timeout_ns);
        Self {
            switches: AtomicU64::new(image.switches.bits().into()),
            send_buffer: AtomicUsize::new(image.send_buffer),
            receive_buffer: AtomicUsize::new(image.receive_buffer),
            receive_timeout: AtomicU64::new(ns(image.receive_timeout)),
            send_timeout: AtomicU64::new(ns(image.send_timeout)),
            error: AtomicI32::new(image.error),
            has_linger: AtomicBool::new(image.has_linger),
            others: Lock::new(image.others),
        }
    }

    /// Returns their saved form.
    pub(crate) fn to_image(&self) -> SocketOptionsImage {
        SocketOptionsImage {
            switches: self.switches(),
            send_buffer: self.send_buffer(),
            receive_buffer: self.receive_buffer(),
            receive_timeout: self.receive_timeout(),
            send_timeout: self.send_timeout(),
            error: self.error.load(Ordering::Relaxed),
            has_linger: self.has_linger.load(Ordering::Relaxed),
            others: *self.others.lock(),
        }
    }

    /// Returns a copy, for a connection that is accepted.
    pub(crate) fn inherit(&self) -> Self {
        Self::from_image(SocketOptionsImage { error: 0, ..self.to_image() })
    }

    /// Returns the options that are on.
    pub(crate) fn switches(&self) -> Switches {
        Switches::from_bits_truncate(u32::try_from(self.switches.load(Ordering::Relaxed)).unwrap_or(0))
    }

    /// Returns whether all of `switches` are on.
    pub(crate) fn has(&self, switches: Switches) -> bool {
        self.switches().contains(switches)
    }

    /// Sets `switches` on or off.
    pub(crate) fn set_switches(&self, switches: Switches, on: bool) {
        let bits = u64::from(switches.bits());
        if on {
            self.switches.fetch_or(bits, Ordering::Relaxed);
        } else {
            self.switches.fetch_and(!bits, Ordering::Relaxed);
        }
    }

    /// Returns how much may be on its way from the socket.
    pub(crate) fn send_buffer(&self) -> usize {
        self.send_buffer.load(Ordering::Relaxed)
    }

    /// Returns how much may wait to be received by the socket.
    pub(crate) fn receive_buffer(&self) -> usize {
        self.receive_buffer.load(Ordering::Relaxed)
    }

    /// Returns how long a receive waits at most.
    pub(crate) fn receive_timeout(&self) -> Option<Duration> {
        duration(self.receive_timeout.load(Ordering::Relaxed))
    }

    /// Returns how long a send, a connect or an accept waits at most.
    pub(crate) fn send_timeout(&self) -> Option<Duration> {
        duration(self.send_timeout.load(Ordering::Relaxed))
    }

    /// Returns whether closing the socket resets its connection: a linger time of zero.
    pub(crate) fn aborts(&self) -> bool {
        self.has_linger.load(Ordering::Relaxed) && self.others.lock().linger_seconds == 0
    }

    /// Has `error` reported by the next call.
    pub(crate) fn set_error(&self, error: Errno) {
        self.error.store(error.raw(), Ordering::Release);
    }

    /// Returns whether an error is to be reported.
    pub(crate) fn has_error(&self) -> bool {
        self.error.load(Ordering::Acquire) != 0
    }

    /// Reports the error that is to be reported, if there is one.
    ///
    /// # Errors
    ///
    /// That error.
    pub(crate) fn check_error(&self) -> Result<(), Errno> {
        if !self.has_error() {
            return Ok(());
        }
        match self.error.swap(0, Ordering::AcqRel) {
            0 => Ok(()),
            error => Err(Errno::from_raw(error)),
        }
    }

    /// Returns the value of the option `name`.
    ///
    /// # Errors
    ///
    /// `ENOPROTOOPT` if there is no such option.
    pub(crate) fn get(&self, name: u32) -> Result<Vec<u8>, Fail> {
        let int = |value: i32| value.to_ne_bytes().to_vec();
        let size = |value: usize| int(i32::try_from(value).unwrap_or(i32::MAX));
        Ok(match name {
            net::SO_SNDBUF => size(self.send_buffer()),
            net::SO_RCVBUF => size(self.receive_buffer()),
            net::SO_RCVTIMEO_OLD | net::SO_RCVTIMEO_NEW => timeval(self.receive_timeout()),
            net::SO_SNDTIMEO_OLD | net::SO_SNDTIMEO_NEW => timeval(self.send_timeout()),
            net::SO_LINGER => {
                let on = i32::from(self.has_linger.load(Ordering::Relaxed));
                [on, self.others.lock().linger_seconds].as_bytes().to_vec()
            }
            net::SO_PRIORITY => int(self.others.lock().priority),
            net::SO_RCVLOWAT => int(self.others.lock().receive_low_water),
            net::SO_SNDLOWAT => int(1),
            net::SO_ERROR => int(self.check_error().err().map_or(0, Errno::raw)),
            _ => {
                let switch = switch_of(name).ok_or(fail(errno::ENOPROTOOPT, "unknown `optname`"))?;
                int(i32::from(self.has(switch)))
            }
        })
    }

    /// Sets the option `name`.
    ///
    /// # Errors
    ///
    /// `ENOPROTOOPT` if there is no such option or it can't be set, `EINVAL` if `value` is too short, `EDOM` if a time is
    /// out of range.
    pub(crate) fn set(&self, name: u32, value: &[u8]) -> Result<(), Fail> {
        match name {
            net::SO_SNDBUF | net::SO_SNDBUFFORCE => {
                self.send_buffer.store(buffer_size(value, MIN_SEND_BUFFER)?, Ordering::Relaxed);
            }
            net::SO_RCVBUF | net::SO_RCVBUFFORCE => {
                self.receive_buffer.store(buffer_size(value, MIN_RECEIVE_BUFFER)?, Ordering::Relaxed);
            }
            net::SO_RCVTIMEO_OLD | net::SO_RCVTIMEO_NEW => {
                self.receive_timeout.store(parse_timeval(value)?, Ordering::Relaxed);
            }
            net::SO_SNDTIMEO_OLD | net::SO_SNDTIMEO_NEW => {
                self.send_timeout.store(parse_timeval(value)?, Ordering::Relaxed);
            }
            net::SO_LINGER => {
                let [on, seconds] = <[i32; 2]>::read_from_prefix(value).map_err(|_| TOO_SHORT)?.0;
                self.has_linger.store(on != 0, Ordering::Relaxed);
                self.others.lock().linger_seconds = seconds;
            }
            net::SO_PRIORITY => self.others.lock().priority = int_value(value)?,
            net::SO_RCVLOWAT => self.others.lock().receive_low_water = int_value(value)?.max(1),
            _ => {
                let switch = switch_of(name).ok_or(fail(errno::ENOPROTOOPT, "unknown `optname`"))?;
                self.set_switches(switch, int_value(value)? != 0);
            }
        }
        Ok(())
    }
}

const TOO_SHORT: Fail = fail(errno::EINVAL, "`optlen` is too small");

/// Returns the `int` that an option is set to.
///
/// # Errors
///
/// `EINVAL` if it is too short.
pub(crate) fn int_value(value: &[u8]) -> Result<i32, Fail> {
    Ok(i32::read_from_prefix(value).map_err(|_| TOO_SHORT)?.0)
}

fn switch_of(name: u32) -> Option<Switches> {
    Some(match name {
        net::SO_REUSEADDR => Switches::REUSE_ADDRESS,
        net::SO_REUSEPORT => Switches::REUSE_PORT,
        net::SO_KEEPALIVE => Switches::KEEP_ALIVE,
        net::SO_BROADCAST => Switches::BROADCAST,
        net::SO_OOBINLINE => Switches::OUT_OF_BAND_INLINE,
        net::SO_DONTROUTE => Switches::DO_NOT_ROUTE,
        net::SO_PASSCRED => Switches::PASS_CREDENTIALS,
        _ => return None,
    })
}

fn buffer_size(value: &[u8], min: usize) -> Result<usize, Fail> {
    // As in Linux a negative number is a large one.
    let asked = usize::try_from(int_value(value)?).unwrap_or(MAX_BUFFER);
    Ok((asked.min(MAX_BUFFER) * 2).max(min))
}

fn timeout_ns(timeout: Duration) -> u64 {
    u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX)
}

fn duration(ns: u64) -> Option<Duration> {
    (ns != 0).then(|| Duration::from_nanos(ns))
}

fn timeval(timeout: Option<Duration>) -> Vec<u8> {
    let timeout = timeout.unwrap_or_default();
    let seconds = i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX);
    [seconds, timeout.subsec_micros().into()].as_bytes().to_vec()
}

fn parse_timeval(value: &[u8]) -> Result<u64, Fail> {
    let [seconds, microseconds] = <[i64; 2]>::read_from_prefix(value).map_err(|_| TOO_SHORT)?.0;
    let fraction = u32::try_from(microseconds).ok().filter(|us| *us < 1_000_000);
    let fraction = fraction.ok_or(fail(errno::EDOM, "the microseconds are out of range"))?;
    match u64::try_from(seconds) {
        Ok(seconds) => Ok(timeout_ns(Duration::new(seconds, fraction * 1000))),
        // As in Linux a negative time-out has passed at once, or nearly so.
        Err(_) => Ok(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::saved;

    #[test]
    fn an_image_brings_all_options_back() {
        let options = SocketOptions::default();
        options.set_switches(Switches::REUSE_ADDRESS | Switches::V6_ONLY, true);
        options.set_error(errno::ECONNRESET);
        let settings: [(u32, &[u8]); 6] = [
            (net::SO_SNDBUF, 10_000_i32.as_bytes()),
            (net::SO_RCVBUF, 20_000_i32.as_bytes()),
            (net::SO_RCVTIMEO_NEW, [1_i64, 500_000].as_bytes()),
            (net::SO_LINGER, [1_i32, 0].as_bytes()),
            (net::SO_PRIORITY, 3_i32.as_bytes()),
            (net::SO_RCVLOWAT, 7_i32.as_bytes()),
        ];
        for (name, value) in settings {
            options.set(name, value).unwrap();
        }
        let image = options.to_image();
        let restored = SocketOptions::from_image(saved(&image));
        assert_eq!(restored.to_image(), image);
        assert!(restored.aborts());
        assert_eq!((restored.send_buffer(), restored.receive_buffer()), (20_000, 40_000));
        assert_eq!(
            (restored.receive_timeout(), restored.send_timeout()),
            (Some(Duration::from_millis(1500)), None)
        );
        assert_eq!((restored.check_error(), restored.check_error()), (Err(errno::ECONNRESET), Ok(())));
    }
}
