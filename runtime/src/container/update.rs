//! `update`: other limits for a container that runs.

use cloister_proto::control::SetLimits;
use oci_spec::runtime::Spec;
use serde_json::Value;

use super::{ContainerError, connect, status};
use crate::cgroup;
use crate::state::{Entry, StateError, Status};

/// Changes the limits that `patch` names, in the form of `linux.resources`; others stay as they are.
///
/// # Errors
///
/// The container is stopped, has no control group, or the host refuses a value.
pub fn update(entry: &Entry, patch: &Value) -> Result<(), ContainerError> {
    let record = entry.record()?;
    let status = status(entry, &record)?;
    if status == Status::Stopped {
        return Err(StateError::WrongStatus { id: entry.id().clone(), action: "update", status }.into());
    }
    if status == Status::Suspended {
        return Err(StateError::Suspended { id: entry.id().clone(), action: "update" }.into());
    }
    let group = entry.group()?.ok_or_else(|| ContainerError::NoGroup(entry.id().clone()))?;
    let mut config = entry.config()?;
    let old = config.linux().as_ref().and_then(|linux| linux.resources().as_ref());
    let resources = cgroup::merge(old, patch).map_err(ContainerError::Limits)?;
    group.apply(&resources)?;
    if patch.get("pids").is_some_and(|pids| !pids.is_null()) {
        let limit = resources.pids().map(|pids| pids.limit());
        let pids = limit.and_then(|limit| u64::try_from(limit).ok()).filter(|limit| *limit > 0);
        let request = SetLimits { id: entry.id().to_string(), pids };
        connect(entry, "update")?.call(request, &[]).map_err(|source| ContainerError::Client {
            action: "update",
            id: entry.id().clone(),
            source,
        })?;
    }
    set_resources(&mut config, resources);
    Ok(entry.write_config(&config)?)
}

fn set_resources(config: &mut Spec, resources: oci_spec::runtime::LinuxResources) {
    let mut linux = config.linux().clone().unwrap_or_default();
    linux.set_resources(Some(resources));
    config.set_linux(Some(linux));
}
