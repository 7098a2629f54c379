//! Other limits for a container that runs.

use std::sync::Arc;

use cloister_runtime::container::update;
use containerd_shim_protos::api::UpdateTaskRequest;
use serde_json::Value;

use super::{Container, blocking};
use crate::error::ShimError;

impl Container {
    /// Changes the limits that the request names, which are in the form of `linux.resources`.
    pub(crate) async fn update(self: &Arc<Self>, request: &UpdateTaskRequest) -> Result<(), ShimError> {
        let text = request.resources.as_ref().map(|any| &*any.value).unwrap_or_default();
        let patch: Value = serde_json::from_slice(text)
            .map_err(|error| ShimError::Request(format!("the limits are no linux.resources: {error}")))?;
        let (store, id) = (self.store.clone(), self.id.clone());
        blocking(move || Ok(update(&store.open(&id)?, &patch)?)).await
    }
}
