//! Reading `config.json`.

use std::fs;
use std::path::{Path, PathBuf};

use oci_spec::runtime::{Capability, PosixRlimitType, Process, Spec};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tracing::warn;

use super::BundleError;

/// A bundle whose configuration was read.
#[derive(Clone, Debug)]
pub struct Bundle {
    /// Absolute path of its folder.
    pub path: PathBuf,
    /// The configuration.
    pub spec: Spec,
}

impl Bundle {
    /// Reads the bundle in `folder`.
    ///
    /// Capabilities and resource limits of unknown name are left out with a warning, as other runtimes do: they name
    /// features of newer kernels.
    ///
    /// # Errors
    ///
    /// A missing folder or configuration, invalid JSON, or a version that is not supported.
    pub fn load(folder: &Path) -> Result<Self, BundleError> {
        let path = fs::canonicalize(folder)
            .map_err(|source| BundleError::Folder { path: folder.to_owned(), source })?;
        let file = path.join("config.json");
        let text =
            fs::read(&file).map_err(|source| BundleError::Unreadable { path: file.clone(), source })?;
        let spec = parse(&text).map_err(|source| BundleError::Invalid { path: file, source })?;
        check_version(spec.version())?;
        Ok(Self { path, spec })
    }
}

/// Reads a process description, such as `exec --process` is given.
///
/// # Errors
///
/// Invalid JSON.
pub fn parse_process(text: &[u8]) -> Result<Process, serde_json::Error> {
    let mut process: Value = serde_json::from_slice(text)?;
    drop_unknown_names(&mut process);
    serde_json::from_value(process)
}

fn parse(text: &[u8]) -> Result<Spec, serde_json::Error> {
    let mut config: Value = serde_json::from_slice(text)?;
    if let Some(process) = config.get_mut("process") {
        drop_unknown_names(process);
    }
    serde_json::from_value(config)
}

/// Removes capabilities and resource limits that `oci-spec` would refuse the whole configuration for.
fn drop_unknown_names(process: &mut Value) {
    if let Some(sets) = process.get_mut("capabilities").and_then(Value::as_object_mut) {
        for (set, names) in sets {
            if let Some(names) = names.as_array_mut() {
                names.retain(|name| is_known::<Capability>(name, &format!("process.capabilities.{set}")));
            }
        }
    }
    if let Some(limits) = process.get_mut("rlimits").and_then(Value::as_array_mut) {
        limits.retain(|limit| {
            is_known::<PosixRlimitType>(limit.get("type").unwrap_or(&Value::Null), "process.rlimits")
        });
    }
}

fn is_known<T: DeserializeOwned>(name: &Value, field: &str) -> bool {
    let known = !name.is_string() || T::deserialize(name).is_ok();
    if !known {
        warn!("{field}: {name} is not known and is left out");
    }
    known
}

fn check_version(version: &str) -> Result<(), BundleError> {
    let mut numbers = version.split(['.', '-', '+']).map(str::parse::<u32>);
    match (numbers.next(), numbers.next(), numbers.next()) {
        (Some(Ok(1)), Some(Ok(0..=3)), Some(Ok(_))) => Ok(()),
        _ => Err(BundleError::Version { version: version.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(config: &str) -> Result<Bundle, BundleError> {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("config.json"), config).unwrap();
        Bundle::load(folder.path())
    }

    #[test]
    fn unknown_capabilities_and_limits_are_left_out() {
        let bundle = load(
            r#"{"ociVersion": "1.1.0", "process": {"cwd": "/", "user": {"uid": 0, "gid": 0},
                "capabilities": {"bounding": ["CAP_KILL", "CAP_FUTURE"]},
                "rlimits": [{"type": "RLIMIT_FUTURE", "soft": 1, "hard": 1},
                            {"type": "RLIMIT_CORE", "soft": 1, "hard": 2}]}}"#,
        )
        .unwrap();
        let process = bundle.spec.process().as_ref().unwrap();
        assert_eq!(process.capabilities().as_ref().unwrap().bounding().as_ref().unwrap().len(), 1);
        assert_eq!(process.rlimits().as_ref().unwrap().len(), 1);
    }

    #[test]
    fn bad_configurations_are_told_apart() {
        let missing = Bundle::load(Path::new("/nonexistent")).unwrap_err();
        assert!(missing.to_string().contains("--bundle"), "{missing}");
        let empty = Bundle::load(tempfile::tempdir().unwrap().path()).unwrap_err();
        assert!(empty.to_string().contains("cloister spec"), "{empty}");
        assert!(matches!(load("{"), Err(BundleError::Invalid { .. })));
        assert!(matches!(load(r#"{"ociVersion": 1}"#), Err(BundleError::Invalid { .. })));
        for version in ["2.0.0", "1.9.0", "", "1", "x"] {
            let error = load(&format!(r#"{{"ociVersion": "{version}"}}"#)).unwrap_err();
            assert!(matches!(error, BundleError::Version { .. }), "{version}: {error}");
        }
        for version in ["1.0.0", "1.0.2-dev", "1.2.1", "1.3.0+rc"] {
            let result = load(&format!(r#"{{"ociVersion": "{version}"}}"#));
            assert!(result.is_ok(), "{version}");
        }
    }
}
