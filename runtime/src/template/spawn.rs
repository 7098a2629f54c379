//! `spawn`: a container from a template.

use cloister_proto::ByteString;
use cloister_proto::control::{RestoreAs, RestoreMemory};
use oci_spec::runtime::Spec;

use super::{Template, TemplateError};
use crate::bundle::override_variables;
use crate::container::{CreateOptions, Created, create};
use crate::sandbox::Saved;
use crate::snapshot::{Snapshot, Verify};
use crate::state::{ContainerId, Store};

/// What a copy has of its own besides its id.
#[derive(Clone, Debug, Default)]
pub struct Personal {
    /// Its host name; the template's if there is none.
    pub hostname: Option<String>,
    /// Variables, each `NAME=value`. Processes that are put into it have them in their environment; those that the template
    /// has already can read them in `/proc/cloister/environment`.
    pub environment: Vec<String>,
}

/// Makes a container that is a copy of what the template was made of. It is paused: [`Created`] lets it go on.
///
/// # Errors
///
/// There is a container of this id, or the template cannot be used; nothing is left behind.
pub fn spawn(
    store: &Store,
    template: &Template,
    id: &ContainerId,
    personal: &Personal,
    options: CreateOptions<'_>,
) -> Result<Created, TemplateError> {
    let mut bundle = template.bundle()?;
    personalize(&mut bundle.spec, personal);
    let snapshot = Snapshot::open(&template.snapshot(), Verify::Size)?;
    let identity = RestoreAs::Copy {
        hostname: personal.hostname.as_deref().map(ByteString::from),
        environment: personal.environment.iter().map(|variable| variable.as_str().into()).collect(),
    };
    let saved = Saved { snapshot: &snapshot, memory: RestoreMemory::Map, identity };
    let overlay = template.description.root_writes.overlay();
    let options = CreateOptions { overlay, saved: Some(saved), ..options };
    Ok(create(store, id, bundle, &options)?)
}

/// Changes the configuration to what the copy is.
fn personalize(spec: &mut Spec, personal: &Personal) {
    if let Some(hostname) = &personal.hostname {
        spec.set_hostname(Some(hostname.clone()));
    }
    if let Some(mut process) = spec.process().clone() {
        let mut environment = process.env().clone().unwrap_or_default();
        override_variables(&mut environment, &personal.environment);
        process.set_env(Some(environment));
        spec.set_process(Some(process));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_has_its_own_name_and_variables() {
        let text = r#"{"ociVersion": "1.0.2", "hostname": "template",
            "process": {"cwd": "/", "user": {"uid": 0, "gid": 0}, "env": ["A=1", "B=2"]}}"#;
        let mut spec: Spec = serde_json::from_str(text).unwrap();
        personalize(&mut spec, &Personal::default());
        assert_eq!(spec.hostname().as_deref(), Some("template"));
        let environment = vec!["B=3".to_owned(), "C=".to_owned()];
        personalize(&mut spec, &Personal { hostname: Some("copy".to_owned()), environment });
        assert_eq!(spec.hostname().as_deref(), Some("copy"));
        let process = spec.process().as_ref().unwrap();
        assert_eq!(process.env().as_deref().unwrap_or_default(), ["A=1", "B=3", "C="]);
    }
}
