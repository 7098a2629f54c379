//! The process of a configuration.

use std::path::Component;
use std::str::FromStr;

use cloister_proto::ByteString;
use cloister_proto::container::{Capabilities, ProcessSpec, Rlimit, User};
use oci_spec::runtime::{Capabilities as Names, PosixRlimit, Process};

use super::{BundleError, attributes, unsupported};

/// Checks a process and reduces it to what the kernel is given. `field` is what errors call it.
///
/// # Errors
///
/// Empty arguments, a working directory that is not absolute, a limit whose soft value is above the hard one.
pub fn convert(process: &Process, field: &str) -> Result<ProcessSpec, BundleError> {
    let args = process.args().clone().unwrap_or_default();
    if args.first().is_none_or(String::is_empty) {
        return Err(BundleError::field(format!("{field}.args"), "must name the program to run"));
    }
    let cwd = process.cwd();
    if !cwd.is_absolute() {
        return Err(BundleError::field(format!("{field}.cwd"), format!("{cwd:?} must be an absolute path")));
    }
    if cwd.components().any(|part| part == Component::ParentDir) {
        return Err(BundleError::field(format!("{field}.cwd"), format!("{cwd:?} must not contain \"..\"")));
    }
    unsupported::warn_of_labels(process, field);
    let user = process.user();
    let rlimits =
        process.rlimits().iter().flatten().map(|limit| rlimit(limit, field)).collect::<Result<_, _>>()?;
    Ok(ProcessSpec {
        args: strings(&args),
        env: strings(process.env().as_deref().unwrap_or_default()),
        cwd: cwd.as_path().into(),
        create_cwd: true,
        user: User {
            uid: user.uid(),
            gid: user.gid(),
            additional_gids: user.additional_gids().clone().unwrap_or_default(),
            umask: user.umask(),
        },
        capabilities: process.capabilities().as_ref().map_or_else(Capabilities::default, |sets| {
            Capabilities {
                bounding: mask(sets.bounding().as_ref()),
                effective: mask(sets.effective().as_ref()),
                inheritable: mask(sets.inheritable().as_ref()),
                permitted: mask(sets.permitted().as_ref()),
                ambient: mask(sets.ambient().as_ref()),
            }
        }),
        no_new_privileges: process.no_new_privileges().unwrap_or(false),
        rlimits,
        terminal: process.terminal().unwrap_or(false),
        oom_score_adj: process.oom_score_adj(),
        personality: 0,
        scheduling: attributes::scheduling(process.scheduler().as_ref(), field)?,
        io_priority: attributes::io_priority(process.io_priority().as_ref(), field)?,
        preserved: 0,
    })
}

fn strings(strings: &[String]) -> Vec<ByteString> {
    strings.iter().map(|string| ByteString::from(string.as_str())).collect()
}

/// The names' mask. All names are known: others were dropped when the configuration was read.
fn mask(names: Option<&Names>) -> u64 {
    names
        .into_iter()
        .flatten()
        .filter_map(|name| {
            let name = serde_json::to_value(name).ok()?;
            Some(caps::Capability::from_str(name.as_str()?).ok()?.bitmask())
        })
        .fold(0, |mask, bit| mask | bit)
}

/// `RLIMIT_*` by number.
const RESOURCES: [&str; 16] = [
    "RLIMIT_CPU",
    "RLIMIT_FSIZE",
    "RLIMIT_DATA",
    "RLIMIT_STACK",
    "RLIMIT_CORE",
    "RLIMIT_RSS",
    "RLIMIT_NPROC",
    "RLIMIT_NOFILE",
    "RLIMIT_MEMLOCK",
    "RLIMIT_AS",
    "RLIMIT_LOCKS",
    "RLIMIT_SIGPENDING",
    "RLIMIT_MSGQUEUE",
    "RLIMIT_NICE",
    "RLIMIT_RTPRIO",
    "RLIMIT_RTTIME",
];

fn rlimit(limit: &PosixRlimit, field: &str) -> Result<Rlimit, BundleError> {
    let name = serde_json::to_value(limit.typ()).ok();
    let name = name.as_ref().and_then(|name| name.as_str()).unwrap_or_default();
    let resource = RESOURCES
        .iter()
        .zip(0u32..)
        .find_map(|(known, number)| (*known == name).then_some(number))
        .ok_or_else(|| BundleError::field(format!("{field}.rlimits"), format!("{name} is not known")))?;
    let (soft, hard) = (limit.soft(), limit.hard());
    if soft > hard {
        let problem = format!("{name}: the soft limit {soft} is above the hard limit {hard}");
        return Err(BundleError::field(format!("{field}.rlimits"), problem));
    }
    Ok(Rlimit { resource, soft, hard })
}

/// Sets variables of an environment, each `NAME=value`.
pub(crate) fn override_variables(environment: &mut Vec<String>, variables: &[String]) {
    let name_of = |variable: &str| variable.split_once('=').map_or(variable, |(name, _)| name).to_owned();
    for variable in variables {
        let name = name_of(variable);
        environment.retain(|known| name_of(known) != name);
        environment.push(variable.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::load::parse_process;

    fn converted(json: &str) -> Result<ProcessSpec, String> {
        convert(&parse_process(json.as_bytes()).unwrap(), "process").map_err(|error| error.to_string())
    }

    #[test]
    fn names_become_numbers() {
        let process = converted(
            r#"{"cwd": "/x", "args": ["a"], "user": {"uid": 1, "gid": 2, "additionalGids": [3], "umask": 63},
                "capabilities": {"bounding": ["CAP_CHOWN", "CAP_CHECKPOINT_RESTORE"]},
                "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 1, "hard": 18446744073709551615}]}"#,
        )
        .unwrap();
        assert_eq!(process.capabilities.bounding, 1 | 1 << 40);
        assert_eq!(process.rlimits, [Rlimit { resource: 7, soft: 1, hard: u64::MAX }]);
        assert_eq!(process.user.umask, Some(0o77));
    }

    #[test]
    fn nonsense_is_refused() {
        let user = r#""user": {"uid": 0, "gid": 0}"#;
        let cases = [
            (r#""cwd": "/""#, "process.args must name the program to run"),
            (r#""cwd": "/", "args": []"#, "process.args must name the program to run"),
            (r#""cwd": "x", "args": ["a"]"#, r#"process.cwd "x" must be an absolute path"#),
            (r#""cwd": "/../x", "args": ["a"]"#, r#"process.cwd "/../x" must not contain "..""#),
            (
                r#""cwd": "/", "args": ["a"], "rlimits": [{"type": "RLIMIT_CPU", "soft": 2, "hard": 1}]"#,
                "process.rlimits RLIMIT_CPU: the soft limit 2 is above the hard limit 1",
            ),
        ];
        for (fields, expected) in cases {
            assert_eq!(converted(&format!("{{{user}, {fields}}}")).unwrap_err(), expected);
        }
    }
}
