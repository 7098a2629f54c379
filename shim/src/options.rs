//! How sandboxes are started: containerd's runtime options, the file that they name, and what a pod may change by annotations.

use std::collections::HashMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cloister_proto::container::Overlay;
use cloister_runtime::cgroup::Policy;
use cloister_runtime::container::DeputyCommand;
use cloister_runtime::launch::{Binaries, HostLimits};
use cloister_runtime::sandbox::{self, Logs};
use cloister_runtime::state::{ContainerId, Store};
use containerd_shim_protos::protobuf::rt::WireType;
use containerd_shim_protos::protobuf::well_known_types::any::Any;
use containerd_shim_protos::protobuf::{CodedInputStream, Message};
use containerd_shim_protos::shim::oci;
use serde::{Deserialize, Serialize};

use crate::error::ShimError;

/// containerd's type of options for runtimes that are not `runc`.
pub(crate) const OPTIONS_TYPE: &str = "runtimeoptions.v1.Options";
/// The options of `runc`'s shim, which some callers pass to every runtime.
const RUNC_OPTIONS_TYPE: &str = "containerd.runc.v1.Options";
/// The file that is read if the options name none and it exists.
const USUAL_FILE: &str = "/etc/cloister/shim.toml";
/// Where the state of containers is kept, a folder for each of containerd's namespaces.
const ROOT: &str = "/run/containerd/cloister";
/// What the annotations by which a pod changes options begin with.
const ANNOTATION: &str = "dev.cloister.";

/// The options, as the TOML file has them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "it is the form of the file")]
pub(crate) struct Options {
    /// Folder for the state of containers; a folder for each of containerd's namespaces is made in it.
    root: Option<PathBuf>,
    /// How the kernel runs guest code.
    platform: Option<String>,
    /// Where writes to the root file system go.
    overlay: OverlayOption,
    /// Log details.
    debug: bool,
    /// Log all system calls.
    strace: bool,
    /// How many names of files the kernel keeps in its cache.
    dcache: Option<u32>,
    /// Take `linux.cgroupsPath` as `SLICE:PREFIX:NAME`.
    systemd_cgroup: bool,
    /// Leave sandboxes in the shim's control group, without limits.
    ignore_cgroups: bool,
    /// `cloister`, `cloister-boot` and `cloister-gofer`, if they are not beside the shim.
    cloister_binary: Option<PathBuf>,
    boot_binary: Option<PathBuf>,
    gofer_binary: Option<PathBuf>,
    /// How many seconds a sandbox may take to start.
    start_timeout: Option<u64>,
    /// Annotations `dev.cloister.…` that pods may set.
    allowed_annotations: Vec<String>,
}

/// Where writes to the root file system go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
enum OverlayOption {
    /// To the host's files, which containerd has made for the container alone.
    #[default]
    #[serde(rename = "none")]
    None,
    /// To the sandbox's memory.
    #[serde(rename = "root:memory")]
    Memory,
}

impl Options {
    /// The options that a request holds, with the file that they name.
    pub(crate) fn of(options: Option<&Any>) -> Result<Self, ShimError> {
        let Some(options) = options.filter(|any| !any.type_url.is_empty()) else {
            return Self::usual();
        };
        let bad =
            |error: &dyn std::fmt::Display| ShimError::Request(format!("the runtime's options: {error}"));
        match options.type_url.rsplit('/').next().unwrap_or_default() {
            OPTIONS_TYPE => {
                let generic = Generic::parse(&options.value).map_err(|error| bad(&error))?;
                match (generic.config_path, generic.config_body) {
                    (Some(path), _) => Self::read(Path::new(&path)),
                    (None, Some(body)) => Self::parse(&body).map_err(|error| bad(&error)),
                    (None, None) => Self::usual(),
                }
            }
            RUNC_OPTIONS_TYPE => {
                let runc = oci::Options::parse_from_bytes(&options.value).map_err(|error| bad(&error))?;
                let usual = Self::usual()?;
                Ok(Self { systemd_cgroup: usual.systemd_cgroup || runc.systemd_cgroup, ..usual })
            }
            other => Err(bad(&format!(
                "their type is {other:?}; {OPTIONS_TYPE} and {RUNC_OPTIONS_TYPE} are known"
            ))),
        }
    }

    fn usual() -> Result<Self, ShimError> {
        match Self::read(Path::new(USUAL_FILE)) {
            Err(ShimError::Path { source, .. }) if source.kind() == ErrorKind::NotFound => {
                Ok(Self::default())
            }
            result => result,
        }
    }

    fn read(path: &Path) -> Result<Self, ShimError> {
        let text = fs::read_to_string(path).map_err(ShimError::path("read", path))?;
        Self::parse(&text).map_err(|error| ShimError::Request(format!("{}: {error}", path.display())))
    }

    fn parse(text: &str) -> Result<Self, String> {
        toml_edit::de::from_str(text).map_err(|error| error.message().to_owned())
    }

    /// Makes the changes that annotations ask for. One that is not allowed is an error: the container would not be what its
    /// author takes it for.
    pub(crate) fn annotated(mut self, annotations: &HashMap<String, String>) -> Result<Self, ShimError> {
        for (annotation, value) in annotations {
            let Some(name) = annotation.strip_prefix(ANNOTATION) else { continue };
            let bad =
                |problem: &str| ShimError::Request(format!("annotation {annotation}={value}: {problem}"));
            if !self.allowed_annotations.contains(annotation) {
                return Err(bad("is not among the shim's allowed_annotations"));
            }
            let flag = || value.parse::<bool>().map_err(|_| bad("use true or false"));
            match name {
                "platform" => self.platform = Some(value.clone()),
                "overlay" => {
                    self.overlay = match &**value {
                        "none" => OverlayOption::None,
                        "root:memory" => OverlayOption::Memory,
                        _ => return Err(bad("use root:memory or none")),
                    }
                }
                "strace" => self.strace = flag()?,
                "debug" => self.debug = flag()?,
                _ => return Err(bad("is not known; platform, overlay, strace and debug are")),
            }
        }
        Ok(self)
    }

    /// What is kept of them beside the bundle.
    pub(crate) fn kept(&self) -> Kept {
        Kept { root: self.root.clone().unwrap_or_else(|| ROOT.into()) }
    }

    /// Where writes to the root go.
    pub(crate) fn overlay(&self) -> Overlay {
        match self.overlay {
            OverlayOption::None => Overlay::None,
            OverlayOption::Memory => Overlay::Memory { size: None },
        }
    }

    /// How control groups are chosen.
    pub(crate) fn cgroups(&self) -> Policy {
        match (self.ignore_cgroups, self.systemd_cgroup) {
            (true, _) => Policy::Ignored,
            (false, true) => Policy::Systemd,
            (false, false) => Policy::Configured,
        }
    }

    /// How a sandbox is started.
    pub(crate) fn sandbox(&self, debug: bool) -> sandbox::Options {
        sandbox::Options {
            binaries: Binaries { boot: self.boot_binary.clone(), gofer: self.gofer_binary.clone() },
            platform: self.platform.clone(),
            dcache: self.dcache,
            strace: self.strace.then(|| "all".into()),
            logs: Logs { level: if self.debug || debug { "debug" } else { "warn" }, ..Logs::default() },
            limits: HostLimits::default(),
            owns_terminal: false,
            timeout: Duration::from_secs(self.start_timeout.unwrap_or(30).max(1)),
        }
    }

    /// How the process is started that stands for a container of a pod.
    pub(crate) fn deputy(&self, store: &Store, id: &ContainerId) -> Result<DeputyCommand, ShimError> {
        let program = match &self.cloister_binary {
            Some(program) => program.clone(),
            None => {
                let running = std::env::current_exe().map_err(ShimError::host("find the own program"))?;
                running.with_file_name("cloister")
            }
        };
        let root = store.root().as_os_str().to_owned();
        Ok(DeputyCommand {
            program,
            arguments: vec!["--root".into(), root, "attend".into(), id.as_str().into()],
        })
    }
}

/// `runtimeoptions.v1.Options`, of which there are no generated types.
#[derive(Debug, Default, PartialEq, Eq)]
struct Generic {
    /// Field 2: the file.
    config_path: Option<String>,
    /// Field 3: what the file would hold.
    config_body: Option<String>,
}

impl Generic {
    fn parse(bytes: &[u8]) -> Result<Self, String> {
        let mut generic = Self::default();
        let mut parse = || -> containerd_shim_protos::protobuf::Result<()> {
            let mut input = CodedInputStream::from_bytes(bytes);
            while let Some(tag) = input.read_raw_tag_or_eof()? {
                match tag {
                    0x12 => generic.config_path = Some(input.read_string()?),
                    0x1a => generic.config_body = Some(input.read_string()?),
                    // Field 1 names a type, and callers leave it empty.
                    _ => input.skip_field(WireType::new(tag & 7).unwrap_or(WireType::Varint))?,
                }
            }
            Ok(())
        };
        parse().map_err(|error| error.to_string())?;
        let set = |text: Option<String>| text.filter(|text| !text.is_empty());
        Ok(Self { config_path: set(generic.config_path), config_body: set(generic.config_body) })
    }
}

/// What is kept in the bundle for `delete`, which is not given the options.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kept {
    /// The folder of all namespaces' state.
    root: PathBuf,
}

impl Kept {
    const FILE: &str = "cloister.json";

    /// What was written to a bundle's folder; the usual if there is nothing.
    pub(crate) fn read(bundle: &Path) -> Self {
        let text = fs::read(bundle.join(Self::FILE)).ok();
        text.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_else(|| Options::default().kept())
    }

    /// Writes it to a bundle's folder.
    pub(crate) fn write(&self, bundle: &Path) -> Result<(), ShimError> {
        let path = bundle.join(Self::FILE);
        let text = serde_json::to_vec(self).map_err(|error| ShimError::path("write", &path)(error.into()))?;
        fs::write(&path, text).map_err(ShimError::path("write", path))
    }

    /// The state of a namespace's containers.
    pub(crate) fn store(&self, namespace: &str) -> Store {
        Store::new(self.root.join(namespace))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use containerd_shim_protos::protobuf::CodedOutputStream;

    fn any(type_url: &str, value: Vec<u8>) -> Any {
        Any { type_url: type_url.into(), value, ..Default::default() }
    }

    #[test]
    fn options_of_all_callers_are_understood() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shim.toml");
        fs::write(&path, "platform = \"ptrace\"\noverlay = \"root:memory\"\nsystemd_cgroup = true\n")
            .unwrap();
        let mut value = Vec::new();
        {
            let mut output = CodedOutputStream::vec(&mut value);
            output.write_string(1, "x").unwrap();
            output.write_string(2, path.to_str().unwrap()).unwrap();
            output.flush().unwrap();
        }
        let options = Options::of(Some(&any(OPTIONS_TYPE, value))).unwrap();
        assert_eq!((options.platform.as_deref(), options.overlay), (Some("ptrace"), OverlayOption::Memory));
        assert_eq!(options.cgroups(), Policy::Systemd);
        let body = b"\x1a\x0ddebug = true\n".to_vec();
        assert!(Options::of(Some(&any(OPTIONS_TYPE, body))).unwrap().debug);
        let runc = oci::Options { systemd_cgroup: true, ..Default::default() }.write_to_bytes().unwrap();
        assert!(Options::of(Some(&any(RUNC_OPTIONS_TYPE, runc))).unwrap().systemd_cgroup);
        assert!(Options::of(Some(&any("other", Vec::new()))).unwrap_err().to_string().contains("\"other\""));
        Options::of(Some(&any(OPTIONS_TYPE, b"\x12\xff".to_vec()))).unwrap_err();
        let unknown = Options::parse("colour = 1").unwrap_err();
        assert!(unknown.contains("colour"), "{unknown}");
    }

    #[test]
    fn pods_change_what_they_may() {
        let options =
            Options::parse(r#"allowed_annotations = ["dev.cloister.overlay", "dev.cloister.debug"]"#)
                .unwrap();
        let with = |name: &str, value: &str| {
            options.clone().annotated(&HashMap::from([(name.to_owned(), value.to_owned())]))
        };
        assert_eq!(with("dev.cloister.overlay", "root:memory").unwrap().overlay, OverlayOption::Memory);
        assert_eq!(with("other.overlay", "x").unwrap(), options);
        for (name, value) in
            [("dev.cloister.platform", "ptrace"), ("dev.cloister.overlay", "x"), ("dev.cloister.debug", "1")]
        {
            let error = with(name, value).unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
    }

    #[test]
    fn what_delete_needs_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Kept::read(folder.path()).store("n").root(), Path::new("/run/containerd/cloister/n"));
        let kept = Options::parse("root = \"/r\"").unwrap().kept();
        kept.write(folder.path()).unwrap();
        assert_eq!(Kept::read(folder.path()), kept);
    }
}
