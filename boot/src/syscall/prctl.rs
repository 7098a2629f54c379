//! `prctl(2)`.

use cloister_abi::prctl;

use super::{Address, Int, ULong};
use crate::mm::VmaName;
use crate::prelude::*;
use crate::signal::Signal;
use crate::task::{Capabilities, Credentials, DEFAULT_TIMER_SLACK_NS, TaskAttributes, securebits};

/// The length of a task's name with its NUL (`TASK_COMM_LEN`).
const NAME_BYTES: usize = 16;
/// The longest name of memory, with its NUL (`ANON_VMA_NAME_MAX_LEN`).
const VMA_NAME_BYTES: usize = 80;

/// The arguments behind the operation.
type Arguments = [ULong; 4];

/// Handles `prctl(operation, arg2, arg3, arg4, arg5)`.
///
/// An operation that is missing is refused with `EINVAL`, as a kernel that does not know it does.
pub(super) fn sys_prctl(
    cx: &mut SyscallCx<'_>,
    operation: Int,
    arg2: ULong,
    arg3: ULong,
    arg4: ULong,
    arg5: ULong,
) -> SyscallResult {
    let arguments = [arg2, arg3, arg4, arg5];
    let operation = operation.cast_unsigned();
    match operation {
        prctl::PR_SET_NAME | prctl::PR_GET_NAME => name(cx, operation, Address(arg2)),
        prctl::PR_CAPBSET_READ
        | prctl::PR_CAPBSET_DROP
        | prctl::PR_CAP_AMBIENT
        | prctl::PR_GET_KEEPCAPS
        | prctl::PR_SET_KEEPCAPS
        | prctl::PR_GET_SECUREBITS
        | prctl::PR_SET_SECUREBITS
        | prctl::PR_GET_NO_NEW_PRIVS
        | prctl::PR_SET_NO_NEW_PRIVS => privileges(cx, operation, arguments),
        prctl::PR_SET_CHILD_SUBREAPER => {
            if let Some(process) = cx.kernel().processes.lock().process_mut(cx.group().tgid()) {
                process.is_subreaper = arg2 != 0;
            }
            Ok(Outcome::OK)
        }
        prctl::PR_GET_CHILD_SUBREAPER => {
            let tree = cx.kernel().processes.lock();
            let is = tree.process(cx.group().tgid()).is_some_and(|process| process.is_subreaper);
            drop(tree);
            put_int(cx, arg2, i32::from(is))
        }
        prctl::PR_GET_PDEATHSIG => {
            let signal = cx.task.attributes.lock().parent_death_signal;
            put_int(cx, arg2, signal.map_or(0, |signal| i32::from(signal.number())))
        }
        prctl::PR_SET_VMA => {
            if arg2 != u64::from(prctl::PR_SET_VMA_ANON_NAME) {
                return Err(fail(errno::EINVAL, "unknown operation"));
            }
            set_vma_name(cx, Address(arg3), arg4, Address(arg5))
        }
        prctl::PR_GET_TSC => put_int(cx, arg2, prctl::PR_TSC_ENABLE.cast_signed()),
        prctl::PR_GET_TID_ADDRESS => {
            cx.memory().write(Address(arg2), &cx.run.clear_child_tid)?;
            Ok(Outcome::OK)
        }
        prctl::PR_GET_SECCOMP => Ok(cx.task.seccomp.mode().number().into()),
        prctl::PR_SET_SECCOMP => super::seccomp::set_mode(cx, arg2, Address(arg3)),
        // Reading the time stamp counter, statistical process timing: as they are and can't be otherwise.
        prctl::PR_SET_TSC if arg2 == u64::from(prctl::PR_TSC_ENABLE) => Ok(Outcome::OK),
        prctl::PR_SET_TIMING if arg2 == u64::from(prctl::PR_TIMING_STATISTICAL) => Ok(Outcome::OK),
        prctl::PR_GET_TIMING => Ok(prctl::PR_TIMING_STATISTICAL.into()),
        prctl::PR_SET_MM if !cx.credentials().has(Capabilities::SYS_RESOURCE) => {
            Err(fail(errno::EPERM, "the caller lacks `CAP_SYS_RESOURCE`"))
        }
        _ => attribute(&mut cx.task.attributes.lock(), operation, arguments),
    }
}

fn put_int(cx: &SyscallCx<'_>, address: ULong, value: i32) -> SyscallResult {
    cx.memory().write(Address(address), &value)?;
    Ok(Outcome::OK)
}

fn name(cx: &SyscallCx<'_>, operation: u32, at: Address) -> SyscallResult {
    if operation == prctl::PR_SET_NAME {
        let name = match cx.memory().read_string(at.0, NAME_BYTES - 1) {
            // A longer name is cut.
            Err(failure) if failure.is(errno::ENAMETOOLONG) => cx.memory().read_array(at, NAME_BYTES - 1)?,
            read => read?,
        };
        cx.task.set_name(&name);
    } else {
        let mut bytes = cx.task.name();
        bytes.resize(NAME_BYTES, 0);
        cx.memory().write_bytes(at, &bytes)?;
    }
    Ok(Outcome::OK)
}

/// The operations that change a task's attributes and nothing else.
fn attribute(
    attributes: &mut TaskAttributes,
    operation: u32,
    [arg2, arg3, arg4, arg5]: Arguments,
) -> SyscallResult {
    let has_rest = [arg3, arg4, arg5].iter().any(|argument| *argument != 0);
    match operation {
        prctl::PR_SET_PDEATHSIG => {
            let raw = i32::try_from(arg2).map_err(|_| fail(errno::EINVAL, "no such signal"))?;
            attributes.parent_death_signal = if raw == 0 { None } else { Some(Signal::new(raw)?) };
        }
        prctl::PR_GET_DUMPABLE => return Ok(attributes.is_dumpable.into()),
        prctl::PR_SET_DUMPABLE => {
            attributes.is_dumpable = flag(arg2)?;
        }
        prctl::PR_GET_TIMERSLACK => return Ok(attributes.timer_slack_ns.into()),
        prctl::PR_SET_TIMERSLACK => {
            attributes.timer_slack_ns = if arg2 == 0 { DEFAULT_TIMER_SLACK_NS } else { arg2 };
        }
        prctl::PR_GET_THP_DISABLE if arg2 == 0 && !has_rest => {
            return Ok(attributes.is_without_huge_pages.into());
        }
        prctl::PR_SET_THP_DISABLE if !has_rest => attributes.is_without_huge_pages = arg2 != 0,
        _ => return Err(fail(errno::EINVAL, "unknown operation")),
    }
    Ok(Outcome::OK)
}

/// Names anonymous memory, as `/proc/PID/maps` shows it; a null pointer takes the name away.
fn set_vma_name(cx: &SyscallCx<'_>, start: Address, len: ULong, name: Address) -> SyscallResult {
    let name = if name.is_null() {
        VmaName::None
    } else {
        let bytes = cx.memory().read_string(name.0, VMA_NAME_BYTES).map_err(|failure| {
            if failure.is(errno::ENAMETOOLONG) {
                fail(errno::EINVAL, "the name is too long")
            } else {
                failure
            }
        })?;
        let is_allowed = |byte: &u8| (b' '..=b'~').contains(byte) && !b"\\`$[]".contains(byte);
        let name = str::from_utf8(&bytes).ok().filter(|name| name.as_bytes().iter().all(is_allowed));
        VmaName::Anonymous(name.ok_or(fail(errno::EINVAL, "a character of the name is not allowed"))?.into())
    };
    let range = super::mmap::pages(start, len)?;
    if !range.is_empty() {
        cx.mm().set_name(range, &name)?;
    }
    Ok(Outcome::OK)
}

/// Takes an argument that is 0 or 1.
fn flag(argument: ULong) -> Result<bool, Fail> {
    match argument {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(fail(errno::EINVAL, "neither 0 nor 1")),
    }
}

/// The operations on credentials.
fn privileges(cx: &SyscallCx<'_>, operation: u32, arguments: Arguments) -> SyscallResult {
    let [arg2, arg3, arg4, arg5] = arguments;
    let old = cx.credentials();
    let mut new = Credentials::clone(&old);
    match operation {
        prctl::PR_CAPBSET_READ => return Ok(old.bounding.contains(capability(arg2)?).into()),
        prctl::PR_CAPBSET_DROP => {
            need_setpcap(&old)?;
            new.bounding.remove(capability(arg2)?);
        }
        prctl::PR_CAP_AMBIENT
            if arg2 == u64::from(prctl::PR_CAP_AMBIENT_IS_SET) && [arg4, arg5] == [0; 2] =>
        {
            return Ok(old.ambient.contains(capability(arg3)?).into());
        }
        prctl::PR_CAP_AMBIENT => ambient(&mut new, arguments)?,
        prctl::PR_GET_KEEPCAPS => return Ok((old.securebits & securebits::KEEP_CAPS != 0).into()),
        prctl::PR_SET_KEEPCAPS => {
            let keep = flag(arg2)?;
            if old.securebits & securebits::KEEP_CAPS_LOCKED != 0 {
                return Err(fail(errno::EPERM, "`SECBIT_KEEP_CAPS_LOCKED` is set"));
            }
            new.securebits &= !securebits::KEEP_CAPS;
            new.securebits |= if keep { securebits::KEEP_CAPS } else { 0 };
        }
        prctl::PR_GET_SECUREBITS => return Ok(old.securebits.into()),
        prctl::PR_SET_SECUREBITS => new.securebits = checked_securebits(&old, arg2)?,
        prctl::PR_GET_NO_NEW_PRIVS if arguments == [0; 4] => return Ok(old.no_new_privileges.into()),
        prctl::PR_SET_NO_NEW_PRIVS if arg2 == 1 && [arg3, arg4, arg5] == [0; 3] => {
            new.no_new_privileges = true;
        }
        _ => return Err(fail(errno::EINVAL, "arguments that must be 0")),
    }
    cx.set_credentials(new);
    Ok(Outcome::OK)
}

fn capability(number: ULong) -> Result<Capabilities, Fail> {
    let bit = u32::try_from(number).ok().and_then(|number| 1_u64.checked_shl(number)).unwrap_or(0);
    Capabilities::from_bits(bit)
        .filter(|one| !one.is_empty())
        .ok_or(fail(errno::EINVAL, "no such capability"))
}

fn need_setpcap(credentials: &Credentials) -> Result<(), Fail> {
    if credentials.has(Capabilities::SETPCAP) {
        Ok(())
    } else {
        Err(fail(errno::EPERM, "the caller lacks `CAP_SETPCAP`"))
    }
}

/// `PR_CAP_AMBIENT`: changes the ambient set.
fn ambient(new: &mut Credentials, [operation, number, arg4, arg5]: Arguments) -> Result<(), Fail> {
    if arg4 != 0 || arg5 != 0 {
        return Err(fail(errno::EINVAL, "arguments that must be 0"));
    }
    match u32::try_from(operation).unwrap_or(0) {
        prctl::PR_CAP_AMBIENT_CLEAR_ALL if number == 0 => new.ambient = Capabilities::empty(),
        prctl::PR_CAP_AMBIENT_RAISE => {
            let one = capability(number)?;
            let may = new.permitted.contains(one)
                && new.inheritable.contains(one)
                && new.securebits & securebits::NO_AMBIENT_RAISE == 0;
            if !may {
                return Err(fail(errno::EPERM, "the capability must be permitted and inheritable"));
            }
            new.ambient.insert(one);
        }
        prctl::PR_CAP_AMBIENT_LOWER => new.ambient.remove(capability(number)?),
        _ => return Err(fail(errno::EINVAL, "unknown operation on the ambient set")),
    }
    Ok(())
}

/// Checks new securebits (`capabilities(7)`: locked bits can't be changed, locks can't be opened).
fn checked_securebits(old: &Credentials, raw: ULong) -> Result<u32, Fail> {
    let refused = fail(errno::EPERM, "a securebit that can't be changed");
    let Ok(new) = u32::try_from(raw) else { return Err(refused) };
    let locks = old.securebits & securebits::LOCKS;
    let changed = old.securebits ^ new;
    if (locks >> 1) & changed != 0 || locks & !new != 0 || new & !securebits::ALL != 0 {
        return Err(refused);
    }
    need_setpcap(old)?;
    Ok(new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locked_securebits_stay() {
        let effective = Capabilities::SETPCAP;
        let old = Credentials { securebits: 0b11, effective, ..Credentials::default() };
        assert_eq!(checked_securebits(&old, 0b1111).ok(), Some(0b1111));
        for bad in [0b10, 0b01, 0b1_0000_0011, u64::MAX] {
            assert!(checked_securebits(&old, bad).is_err_and(|failure| failure.is(errno::EPERM)));
        }
        let unprivileged = checked_securebits(&Credentials::default(), 1);
        assert!(unprivileged.is_err_and(|failure| failure.is(errno::EPERM)));
    }

    #[test]
    fn ambient_needs_permitted_and_inheritable() {
        let raise = [u64::from(prctl::PR_CAP_AMBIENT_RAISE), 5, 0, 0];
        let mut own = Credentials { permitted: Capabilities::KILL, ..Credentials::default() };
        assert!(ambient(&mut own, raise).is_err_and(|failure| failure.is(errno::EPERM)));
        own.inheritable = Capabilities::KILL;
        ambient(&mut own, raise).expect("it is both now");
        assert_eq!(own.ambient, Capabilities::KILL);
    }

    #[test]
    fn capability_numbers() {
        assert_eq!(capability(5).ok(), Some(Capabilities::KILL));
        for number in [41, 64, u64::MAX] {
            assert!(capability(number).is_err_and(|failure| failure.is(errno::EINVAL)));
        }
    }

    #[test]
    fn attributes() {
        let mut own = TaskAttributes::default();
        let mut set = |operation, arg2| attribute(&mut own, operation, [arg2, 0, 0, 0]).ok();
        assert_eq!(set(prctl::PR_SET_PDEATHSIG, 65), None);
        assert_eq!(set(prctl::PR_SET_PDEATHSIG, 9), Some(Outcome::OK));
        assert_eq!(set(prctl::PR_SET_DUMPABLE, 2), None);
        assert_eq!(set(prctl::PR_SET_TIMERSLACK, 0), Some(Outcome::OK));
        assert_eq!(set(prctl::PR_GET_TIMERSLACK, 0), Some(Outcome::Value(50_000)));
        assert_eq!(set(9999, 0), None);
        assert_eq!(own.parent_death_signal, Some(Signal::KILL));
    }
}
