//! Pods: sandboxes with several containers.
//!
//! Callers that know Kubernetes say by annotations which sandbox a container is of, and by paths of namespaces what it
//! shares with the others (the CRI's `LinuxPodSandboxConfig`, "NamespaceOption").

use std::path::{Path, PathBuf};

use cloister_proto::container::{Namespace, Namespaces};
use oci_spec::runtime::{Linux, LinuxNamespace, LinuxNamespaceType, Spec};

use super::BundleError;
use crate::state::ContainerId;

/// Annotations of containerd and CRI-O: type of the container, and the id of its sandbox.
const ANNOTATIONS: [(&str, &str); 2] = [
    ("io.kubernetes.cri.container-type", "io.kubernetes.cri.sandbox-id"),
    ("io.kubernetes.cri-o.ContainerType", "io.kubernetes.cri-o.SandboxID"),
];

/// What a container is to its sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// The only one, as far as its configuration tells.
    Alone,
    /// The root container of a pod: others come after it.
    Root,
    /// One of the others; the root container has this id.
    Member(ContainerId),
}

impl Role {
    /// The role that a configuration gives its container.
    ///
    /// # Errors
    ///
    /// An unknown type, or no sandbox's id where there must be one.
    pub fn of(spec: &Spec) -> Result<Self, BundleError> {
        let Some(annotations) = spec.annotations() else { return Ok(Self::Alone) };
        let Some((kind, kind_name, id_name)) =
            ANNOTATIONS.iter().find_map(|(kind, id)| annotations.get(*kind).map(|value| (value, *kind, *id)))
        else {
            return Ok(Self::Alone);
        };
        let field = |name: &str| format!("annotations[{name:?}]");
        match &**kind {
            "sandbox" => Ok(Self::Root),
            "container" => {
                let id = annotations.get(id_name).ok_or_else(|| {
                    BundleError::field(field(id_name), "must name the sandbox of a container")
                })?;
                let id =
                    id.parse().map_err(|error| BundleError::field(field(id_name), format!("{error}")))?;
                Ok(Self::Member(id))
            }
            other => {
                let problem = format!("is {other:?}, neither \"sandbox\" nor \"container\"");
                Err(BundleError::field(field(kind_name), problem))
            }
        }
    }
}

/// A sandbox that a container joins.
#[derive(Clone, Debug)]
pub struct Pod {
    /// The root container.
    pub root: ContainerId,
    /// All containers, with the process of the host that stands for each.
    pub members: Vec<(ContainerId, i32)>,
    /// The path of the network namespace in the root container's configuration.
    pub network: Option<PathBuf>,
}

/// The namespaces of a container that has a sandbox of its own.
///
/// # Errors
///
/// A path of another's namespace; that of a network namespace is not looked at.
pub(super) fn own_namespaces(linux: &Linux) -> Result<Namespaces, BundleError> {
    for namespace in linux.namespaces().iter().flatten() {
        match (namespace.typ(), path_of(namespace)) {
            (LinuxNamespaceType::Network, _) | (_, None) => {}
            (typ, Some(path)) => {
                let problem = format!(
                    "cannot join the {} namespace {}: only containers of one pod share namespaces, which \
                     annotations tell",
                    file_name(typ),
                    path.display()
                );
                return Err(BundleError::field("linux.namespaces", problem));
            }
        }
    }
    Ok(Namespaces::default())
}

impl Pod {
    /// The namespaces of a container that joins the sandbox: its own where the configuration has an entry without a path,
    /// that of another container where the path is one of its process' (`/proc/PID/ns/TYPE`), and the root container's
    /// where there is no entry, which elsewhere means the host's.
    ///
    /// # Errors
    ///
    /// A path of somebody else's namespace.
    pub(super) fn namespaces(&self, linux: Option<&Linux>) -> Result<Namespaces, BundleError> {
        let mut found = Namespaces::default();
        for slot in [&mut found.pid, &mut found.ipc, &mut found.net, &mut found.uts] {
            *slot = Namespace::Of(self.root.to_string());
        }
        let entries = linux.and_then(|linux| linux.namespaces().as_ref()).into_iter().flatten();
        for namespace in entries {
            let whose = match path_of(namespace) {
                None => Namespace::Own,
                Some(path) => Namespace::Of(self.owner(namespace.typ(), path)?.to_string()),
            };
            match namespace.typ() {
                LinuxNamespaceType::Pid => found.pid = whose,
                LinuxNamespaceType::Ipc => found.ipc = whose,
                LinuxNamespaceType::Network => found.net = whose,
                LinuxNamespaceType::Uts => found.uts = whose,
                LinuxNamespaceType::Mount if whose != Namespace::Own => {
                    let problem = "cannot join a mount namespace: each container has its own";
                    return Err(BundleError::field("linux.namespaces", problem));
                }
                // The sandbox has one of each of the others.
                _ => {}
            }
        }
        Ok(found)
    }

    /// The container whose namespace is at `path`.
    fn owner(&self, typ: LinuxNamespaceType, path: &Path) -> Result<&ContainerId, BundleError> {
        if typ == LinuxNamespaceType::Network && self.network.as_deref() == Some(path) {
            return Ok(&self.root);
        }
        let pid = path.to_str().and_then(|path| {
            let (pid, name) = path.strip_prefix("/proc/")?.split_once("/ns/")?;
            (name == file_name(typ)).then(|| pid.parse::<i32>().ok())?
        });
        let member = self.members.iter().find(|(_, process)| Some(*process) == pid);
        member.map(|(id, _)| id).ok_or_else(|| {
            let problem = format!(
                "cannot join the {} namespace {}: it is of no container of sandbox {}",
                file_name(typ),
                path.display(),
                self.root
            );
            BundleError::field("linux.namespaces", problem)
        })
    }
}

/// The path of a network namespace in a configuration.
#[must_use]
pub fn network_path(spec: &Spec) -> Option<PathBuf> {
    let namespaces = spec.linux().as_ref().and_then(|linux| linux.namespaces().as_ref());
    let network = namespaces.into_iter().flatten().find(|one| one.typ() == LinuxNamespaceType::Network);
    network.and_then(path_of).map(Path::to_owned)
}

fn path_of(namespace: &LinuxNamespace) -> Option<&Path> {
    namespace.path().as_deref().filter(|path| !path.as_os_str().is_empty())
}

/// The name of a namespace in `/proc/PID/ns` (`namespaces(7)`).
fn file_name(typ: LinuxNamespaceType) -> &'static str {
    match typ {
        LinuxNamespaceType::Mount => "mnt",
        LinuxNamespaceType::Cgroup => "cgroup",
        LinuxNamespaceType::Uts => "uts",
        LinuxNamespaceType::Ipc => "ipc",
        LinuxNamespaceType::User => "user",
        LinuxNamespaceType::Pid => "pid",
        LinuxNamespaceType::Network => "net",
        LinuxNamespaceType::Time => "time",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(annotations: &str) -> Spec {
        serde_json::from_str(&format!(r#"{{"ociVersion": "1.0.2", "annotations": {annotations}}}"#)).unwrap()
    }

    #[test]
    fn annotations_of_both_callers_are_known() {
        let role = |annotations: &str| Role::of(&spec(annotations)).map_err(|error| error.to_string());
        assert_eq!(role(r#"{"other": "x"}"#), Ok(Role::Alone));
        assert_eq!(role(r#"{"io.kubernetes.cri.container-type": "sandbox"}"#), Ok(Role::Root));
        let member = Ok(Role::Member("p".parse().unwrap()));
        assert_eq!(
            role(r#"{"io.kubernetes.cri.container-type": "container", "io.kubernetes.cri.sandbox-id": "p"}"#),
            member
        );
        assert_eq!(
            role(
                r#"{"io.kubernetes.cri-o.ContainerType": "container", "io.kubernetes.cri-o.SandboxID": "p"}"#
            ),
            member
        );
        for bad in [
            r#"{"io.kubernetes.cri.container-type": "pod"}"#,
            r#"{"io.kubernetes.cri.container-type": "container"}"#,
            r#"{"io.kubernetes.cri.container-type": "container", "io.kubernetes.cri.sandbox-id": "../p"}"#,
        ] {
            assert!(role(bad).unwrap_err().contains("annotations[\"io.kubernetes.cri."), "{bad}");
        }
    }

    fn linux(namespaces: &str) -> Linux {
        serde_json::from_str(&format!(r#"{{"namespaces": [{namespaces}]}}"#)).unwrap()
    }

    fn pod() -> Pod {
        let members = vec![("p".parse().unwrap(), 10), ("c".parse().unwrap(), 11)];
        Pod { root: "p".parse().unwrap(), members, network: Some("/run/netns/n".into()) }
    }

    #[test]
    fn paths_of_the_pods_processes_are_known() {
        let of = |id: &str| Namespace::Of(id.to_owned());
        let found = pod()
            .namespaces(Some(&linux(
                r#"{"type": "pid"}, {"type": "mount"}, {"type": "ipc", "path": "/proc/10/ns/ipc"},
                   {"type": "network", "path": "/run/netns/n"}, {"type": "uts", "path": "/proc/11/ns/uts"}"#,
            )))
            .unwrap();
        assert_eq!(found, Namespaces { pid: Namespace::Own, ipc: of("p"), net: of("p"), uts: of("c") });
        let all = Namespaces { pid: of("p"), ipc: of("p"), net: of("p"), uts: of("p") };
        assert_eq!(pod().namespaces(None).unwrap(), all);
        for bad in [
            r#"{"type": "ipc", "path": "/proc/12/ns/ipc"}"#,
            r#"{"type": "ipc", "path": "/proc/10/ns/net"}"#,
            r#"{"type": "ipc", "path": "/run/netns/n"}"#,
            r#"{"type": "user", "path": "/proc/1/ns/user"}"#,
            r#"{"type": "mount", "path": "/proc/10/ns/mnt"}"#,
        ] {
            let error = pod().namespaces(Some(&linux(bad))).unwrap_err().to_string();
            assert!(error.starts_with("linux.namespaces cannot join "), "{error}");
        }
    }

    #[test]
    fn without_a_pod_nothing_is_shared() {
        let error = own_namespaces(&linux(r#"{"type": "ipc", "path": "/proc/1/ns/ipc"}"#)).unwrap_err();
        assert!(error.to_string().contains("only containers of one pod"), "{error}");
        let own = own_namespaces(&linux(r#"{"type": "ipc", "path": ""}, {"type": "network", "path": "/n"}"#));
        assert_eq!(own.unwrap(), Namespaces::default());
    }
}
