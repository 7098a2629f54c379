//! A bundle whose commands run in sandboxes.

use std::fs;
use std::path::{Path, PathBuf};

use oci_spec::runtime::Spec;

use super::{ClientError, Command};
use crate::bundle::Bundle;

/// A bundle that was found to be usable.
#[derive(Clone, Debug)]
pub struct Sandbox {
    pub(super) bundle: Bundle,
    pub(super) runtime: PathBuf,
    pub(super) state: Option<PathBuf>,
}

impl Sandbox {
    /// Looks at the bundle in `folder`: its version must be supported, and its root and the sources of its bind mounts exist.
    ///
    /// # Errors
    ///
    /// What is wrong with the bundle.
    pub fn new(folder: impl AsRef<Path>) -> Result<Self, ClientError> {
        let mut bundle = Bundle::load(folder.as_ref())?;
        validate(&mut bundle)?;
        Ok(Self { bundle, runtime: "cloister".into(), state: None })
    }

    /// Uses this `cloister` program, and not the one in `PATH`.
    #[must_use]
    pub fn runtime(mut self, program: impl Into<PathBuf>) -> Self {
        self.runtime = program.into();
        self
    }

    /// Keeps the state of containers in this folder, and not in the runtime's default one.
    #[must_use]
    pub fn state_folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.state = Some(folder.into());
        self
    }

    /// A command that runs the program `path` of the bundle with arguments. Like a shell's it is looked up in `PATH` unless it
    /// has a slash.
    pub fn command<A: Into<String>>(
        &self,
        path: impl Into<String>,
        args: impl IntoIterator<Item = A>,
    ) -> Command<'_> {
        let args = [path.into()].into_iter().chain(args.into_iter().map(Into::into)).collect();
        Command::new(self, args)
    }

    /// The configuration; paths of the host in it are absolute.
    #[must_use]
    pub fn config(&self) -> &Spec {
        &self.bundle.spec
    }
}

/// Finds out whether what the configuration names exists, and makes its paths absolute: commands run from bundles of their own.
fn validate(bundle: &mut Bundle) -> Result<(), ClientError> {
    let folder = bundle.path.clone();
    let resolve = |field: String, path: &Path| {
        let path = folder.join(path);
        match fs::metadata(&path) {
            Ok(_) => Ok(path),
            Err(source) => Err(ClientError::Missing { bundle: folder.clone(), field, path, source }),
        }
    };
    let incomplete = |field| ClientError::Incomplete { bundle: folder.clone(), field };
    let mut root = bundle.spec.root().clone().ok_or_else(|| incomplete("root"))?;
    if bundle.spec.process().is_none() {
        return Err(incomplete("process"));
    }
    let path = resolve("root.path".to_owned(), root.path())?;
    root.set_path(path);
    bundle.spec.set_root(Some(root));
    let mut mounts = bundle.spec.mounts().clone().unwrap_or_default();
    for (number, mount) in mounts.iter_mut().enumerate() {
        let options = mount.options().as_ref();
        let is_bind = mount.typ().as_deref() == Some("bind")
            || options.is_some_and(|all| all.iter().any(|option| option == "bind" || option == "rbind"));
        if let (true, Some(source)) = (is_bind, mount.source().clone()) {
            mount.set_source(Some(resolve(format!("mounts[{number}].source"), &source)?));
        }
    }
    bundle.spec.set_mounts(Some(mounts));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sandbox(config: &str) -> Result<Sandbox, String> {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("rootfs")).unwrap();
        fs::write(folder.path().join("config.json"), config).unwrap();
        Sandbox::new(folder.path()).map_err(|error| error.to_string())
    }

    #[test]
    fn bundles_are_looked_at() {
        let process = r#""process": {"cwd": "/", "user": {"uid": 0, "gid": 0}}"#;
        let root = r#""root": {"path": "rootfs"}"#;
        let good = sandbox(&format!(r#"{{"ociVersion": "1.0.2", {root}, {process}}}"#)).unwrap();
        assert!(good.config().root().as_ref().unwrap().path().is_absolute());
        let mount = r#""mounts": [{"destination": "/x", "source": "missing", "options": ["rbind"]}]"#;
        for (config, words) in [
            (format!(r#"{{"ociVersion": "9.0.2", {root}, {process}}}"#), "9.0.2"),
            (format!(r#"{{"ociVersion": "1.0.2", {process}}}"#), "`root`"),
            (format!(r#"{{"ociVersion": "1.0.2", {root}}}"#), "`process`"),
            (format!(r#"{{"ociVersion": "1.0.2", "root": {{"path": "other"}}, {process}}}"#), "root.path"),
            (format!(r#"{{"ociVersion": "1.0.2", {root}, {process}, {mount}}}"#), "mounts[0].source"),
        ] {
            let error = sandbox(&config).unwrap_err();
            assert!(error.contains(words), "{config}: {error}");
        }
    }
}
