//! A container goes to disk.

use std::path::PathBuf;
use std::sync::Arc;

use cloister_runtime::container::{AfterCheckpoint, checkpoint};
use containerd_shim_protos::api::CheckpointTaskRequest;
use containerd_shim_protos::protobuf::Message;
use containerd_shim_protos::shim::oci::CheckpointOptions;

use super::{Container, blocking};
use crate::error::ShimError;

/// The options of `runc`'s shim, the only ones that callers have.
const OPTIONS_TYPE: &str = "containerd.runc.v1.CheckpointOptions";

impl Container {
    /// Saves the container to the folder that the request names. It goes on, unless the options say that it is to end.
    pub(crate) async fn checkpoint(
        self: &Arc<Self>,
        request: &CheckpointTaskRequest,
    ) -> Result<(), ShimError> {
        let bad = |error: &dyn std::fmt::Display| ShimError::Request(format!("the options: {error}"));
        let options = match request.options.as_ref() {
            Some(any) if any.type_url.ends_with(OPTIONS_TYPE) => {
                CheckpointOptions::parse_from_bytes(&any.value).map_err(|error| bad(&error))?
            }
            Some(any) if !any.type_url.is_empty() => {
                return Err(bad(&format!("their type is {:?}; {OPTIONS_TYPE} is known", any.type_url)));
            }
            _ => CheckpointOptions::default(),
        };
        let place = if options.image_path.is_empty() { &request.path } else { &options.image_path };
        if place.is_empty() {
            return Err(ShimError::Request("there is no path to save the container to".into()));
        }
        let after = if options.exit { AfterCheckpoint::Delete } else { AfterCheckpoint::LeaveRunning };
        let (store, id, place) = (self.store.clone(), self.id.clone(), PathBuf::from(place));
        blocking(move || Ok(checkpoint(store.open(&id)?, &place, after)?)).await
    }
}
