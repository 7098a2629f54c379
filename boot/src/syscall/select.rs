//! `select(2)`, `pselect6(2)`.

use super::{Address, Fd, Int, Size};
use crate::error::{Fail, Restart, SyscallResult, fail};
use crate::event::{self, Events, Look, TimeUnit};
use crate::prelude::{SyscallCx, errno};
use crate::time::Instant;

/// Descriptors from here on can't be open.
const MAX_FD: usize = 1 << 20;

/// The bits of a word of a set.
const WORD_BITS: usize = 64;

/// What being in each of the three sets asks for (`select(2)`, "Correspondence between select() and poll()
/// notifications"). Urgent data is no error, and a hang-up not writable.
const CONDITIONS: [Events; 3] = [
    Events::READABLE.union(Events::RDBAND).union(Events::HUP).union(Events::ERR),
    Events::WRITABLE.union(Events::WRBAND).union(Events::ERR),
    Events::PRI,
];

/// Handles `select(nfds, readfds, writefds, exceptfds, timeout)`. As in Linux `timeout` is left with the rest.
pub(super) fn sys_select(
    cx: &mut SyscallCx<'_>,
    count: Int,
    read: Address,
    write: Address,
    except: Address,
    timeout: Address,
) -> SyscallResult {
    select(cx, count, [read, write, except], timeout, TimeUnit::Microseconds)
}

/// Handles `pselect6(nfds, readfds, writefds, exceptfds, timeout, sigmask)`: the last points to the address and the size
/// of a signal set.
pub(super) fn sys_pselect6(
    cx: &mut SyscallCx<'_>,
    count: Int,
    read: Address,
    write: Address,
    except: Address,
    timeout: Address,
    mask: Address,
) -> SyscallResult {
    if !mask.is_null() {
        let [address, size]: [u64; 2] = cx.memory().read(mask)?;
        let size = Size::try_from(size).unwrap_or(Size::MAX);
        event::set_signal_mask(cx, Address(address), size)?;
    }
    select(cx, count, [read, write, except], timeout, TimeUnit::Nanoseconds)
}

fn select(
    cx: &mut SyscallCx<'_>,
    count: i32,
    sets: [Address; 3],
    timeout: Address,
    unit: TimeUnit,
) -> SyscallResult {
    let limit = unit.read(cx, timeout)?;
    let count = usize::try_from(count).map_err(|_| fail(errno::EINVAL, "`nfds` is negative"))?;
    let deadline = cx.deadline(limit);
    let result = wait(cx, count.min(MAX_FD), sets, deadline);
    if !matches!(result, Err(Fail::Park(_))) {
        unit.write_rest(cx, timeout, deadline);
    }
    Ok(result?.into())
}

fn wait(
    cx: &mut SyscallCx<'_>,
    count: usize,
    addresses: [Address; 3],
    deadline: Option<Instant>,
) -> Result<usize, Fail> {
    let words = count.div_ceil(WORD_BITS);
    let mut asked = <[Vec<u64>; 3]>::default();
    for (set, address) in asked.iter_mut().zip(addresses) {
        *set = if address.is_null() { vec![0; words] } else { cx.memory().read_array(address, words)? };
    }
    let mut found = <[Vec<u64>; 3]>::default();
    let ready = event::wait_for_any(cx, deadline, Restart::NoHand, |cx, look| {
        found = [(); 3].map(|()| vec![0; words]);
        scan(cx, look, count, &asked, &mut found)
    })?;
    for (set, address) in found.iter().zip(addresses).filter(|(_, address)| !address.is_null()) {
        cx.memory().write_bytes(address, zerocopy::IntoBytes::as_bytes(set.as_slice()))?;
    }
    Ok(ready)
}

/// Looks at all descriptors in `asked` and puts those that are ready into `found`. Returns how many bits that are.
fn scan(
    cx: &mut SyscallCx<'_>,
    look: Look,
    count: usize,
    asked: &[Vec<u64>; 3],
    found: &mut [Vec<u64>; 3],
) -> Result<usize, Fail> {
    let mut ready = 0;
    for word in 0..count.div_ceil(WORD_BITS) {
        let in_sets = asked.each_ref().map(|set| set.get(word).copied().unwrap_or(0));
        let mut any = in_sets.iter().fold(0, |any, set| any | set);
        while any != 0 {
            let bit = any.trailing_zeros();
            any &= any - 1;
            let fd = word * WORD_BITS + bit as usize;
            if fd >= count {
                break;
            }
            let events = conditions(cx, look, fd, in_sets.map(|set| set >> bit & 1 == 1))?;
            for (at, is_ready) in events.into_iter().enumerate().filter(|(_, is_ready)| *is_ready) {
                if let Some(word) = found.get_mut(at).and_then(|set| set.get_mut(word)) {
                    *word |= u64::from(is_ready) << bit;
                    ready += 1;
                }
            }
        }
    }
    Ok(ready)
}

/// Returns for which of the sets that it is in a descriptor is ready.
fn conditions(cx: &mut SyscallCx<'_>, look: Look, fd: usize, in_sets: [bool; 3]) -> Result<[bool; 3], Fail> {
    let file = cx.file(Fd(i32::try_from(fd).unwrap_or(-1)))?;
    let asked = in_sets.into_iter().zip(CONDITIONS).filter(|(is_in, _)| *is_in);
    let mask = asked.fold(Events::empty(), |mask, (_, conditions)| mask | conditions);
    let events = look.at(cx, &file, mask);
    let mut ready = in_sets;
    for (ready, conditions) in ready.iter_mut().zip(CONDITIONS) {
        *ready &= events.intersects(conditions);
    }
    Ok(ready)
}
