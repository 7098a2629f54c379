//! `linux.seccomp`: the profile becomes a classic BPF program, which the sandbox's kernel runs on every call.
//!
//! As `runc` does with `libseccomp`: calls of unknown name are left out, an entry without conditions counts before those
//! with, entries with two conditions on one argument are alternatives, and calls that are newer than any in the profile do
//! not exist (`ENOSYS`), so that programs fall back to what it names. Of several entries that match, the first counts.

mod assemble;
mod condition;

use std::collections::BTreeMap;
use std::str::FromStr;

use cloister_proto::container::SeccompSpec;
use oci_spec::runtime::{
    Linux, LinuxSeccomp, LinuxSeccompAction as Action, LinuxSeccompArg, LinuxSeccompFilterFlag, LinuxSyscall,
};
use syscalls::x86_64::Sysno;
use tracing::warn;
use zerocopy::IntoBytes;

use super::BundleError;

/// Most of what an action can be given: an error number, or what a tracer is told.
const MAX_ERRNO: u32 = 4095;

/// What becomes of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Decision {
    /// Always this value (`SECCOMP_RET_*`).
    Always(u32),
    /// That of the first rule whose conditions hold, otherwise the default.
    Rules(Vec<Rule>),
}

/// A value for calls whose arguments meet all conditions.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    conditions: Vec<LinuxSeccompArg>,
    value: u32,
}

/// Checks the profile of a configuration and compiles it.
///
/// # Errors
///
/// Actions that there are not here, arguments that a call has not, a profile that is too large.
pub(super) fn convert(linux: Option<&Linux>) -> Result<Option<SeccompSpec>, BundleError> {
    let Some(profile) = linux.and_then(|linux| linux.seccomp().as_ref()) else { return Ok(None) };
    let default = value(profile.default_action(), profile.default_errno_ret(), "defaultAction")?;
    let calls = decisions(profile)?;
    let last_known = calls.keys().next_back().copied();
    let newer = if is_permissive(profile.default_action()) {
        default
    } else {
        value(Action::ScmpActErrno, Some(libc::ENOSYS.unsigned_abs()), "defaultAction")?
    };
    let mut segments = vec![(0, Decision::Always(default))];
    for (number, decision) in calls {
        segments.push((number, decision));
        segments.push((number.saturating_add(1), Decision::Always(default)));
    }
    if let Some(last_known) = last_known {
        segments.push((last_known.saturating_add(1), Decision::Always(newer)));
    }
    let program = assemble::program(segments, default);
    if program.len() > cloister_bpf::MAX_INSTRUCTIONS {
        let problem =
            format!("makes {} instructions; Linux takes {}", program.len(), cloister_bpf::MAX_INSTRUCTIONS);
        return Err(BundleError::field("linux.seccomp", problem));
    }
    let logs =
        profile.flags().iter().flatten().any(|flag| *flag == LinuxSeccompFilterFlag::SeccompFilterFlagLog);
    Ok(Some(SeccompSpec { program: program.as_bytes().to_vec().into(), logs }))
}

/// Whether calls that a profile does not know are made.
fn is_permissive(action: Action) -> bool {
    matches!(action, Action::ScmpActAllow | Action::ScmpActLog | Action::ScmpActTrace)
}

/// The decisions on all calls that the profile names, by their numbers.
fn decisions(profile: &LinuxSeccomp) -> Result<BTreeMap<u32, Decision>, BundleError> {
    let mut calls: BTreeMap<u32, Decision> = BTreeMap::new();
    for (index, entry) in profile.syscalls().iter().flatten().enumerate() {
        let field = format!("syscalls[{index}]");
        let rules = rules(entry, &field)?;
        let value = value(entry.action(), entry.errno_ret(), &field)?;
        for name in entry.names() {
            let Some(number) = Sysno::from_str(name).ok().and_then(|call| u32::try_from(call.id()).ok())
            else {
                continue;
            };
            match calls.entry(number).or_insert_with(|| Decision::Rules(Vec::new())) {
                Decision::Always(_) => {}
                unconditional if rules.is_empty() => *unconditional = Decision::Always(value),
                Decision::Rules(known) => known.extend(rules.iter().cloned()),
            }
        }
    }
    Ok(calls)
}

/// The alternatives of an entry; none if it has no conditions.
fn rules(entry: &LinuxSyscall, field: &str) -> Result<Vec<Rule>, BundleError> {
    let conditions = entry.args().clone().unwrap_or_default();
    if let Some(condition) = conditions.iter().find(|condition| condition.index() > 5) {
        let problem = format!("{}: a call has arguments 0 to 5", condition.index());
        return Err(BundleError::field(format!("linux.seccomp.{field}.args"), problem));
    }
    let value = value(entry.action(), entry.errno_ret(), field)?;
    let mut indices: Vec<_> = conditions.iter().map(LinuxSeccompArg::index).collect();
    indices.sort_unstable();
    Ok(if conditions.is_empty() {
        Vec::new()
    } else if indices.windows(2).any(|pair| pair[0] == pair[1]) {
        conditions.into_iter().map(|condition| Rule { conditions: vec![condition], value }).collect()
    } else {
        vec![Rule { conditions, value }]
    })
}

/// The value that a filter returns for an action.
fn value(action: Action, errno: Option<u32>, field: &str) -> Result<u32, BundleError> {
    let bad = |problem: String| BundleError::field(format!("linux.seccomp.{field}"), problem);
    match action {
        Action::ScmpActNotify => {
            return Err(bad(
                "SCMP_ACT_NOTIFY is not supported: nobody outside can answer for the sandbox's kernel".into(),
            ));
        }
        Action::ScmpActErrno | Action::ScmpActTrace => {}
        _ if errno.is_some() => warn!("linux.seccomp.{field}: {action} takes no errnoRet, which is left out"),
        _ => {}
    }
    match errno {
        Some(errno) if errno > MAX_ERRNO => Err(bad(format!("errnoRet {errno} is above {MAX_ERRNO}"))),
        errno => Ok(action.as_u32(errno)),
    }
}

#[cfg(test)]
mod tests;
