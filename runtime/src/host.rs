//! The container of `cloister do`: the host's root, or another folder, under an overlay in memory.

use std::path::{Path, PathBuf};

use cloister_proto::ByteString;
use cloister_proto::container::{
    Capabilities, ContainerSpec, FirstProcess, MountKind, MountSpec, Overlay, ProcessSpec, RootSpec, User,
};

use crate::bundle::{BundleError, Prepared, host_bind};

/// What `cloister do` is asked for.
#[derive(Clone, Debug)]
pub struct HostRequest {
    /// The root's folder; `/` is the host's root.
    pub root: PathBuf,
    /// Where writes go.
    pub overlay: Overlay,
    /// The command.
    pub args: Vec<ByteString>,
    /// Its environment.
    pub env: Vec<ByteString>,
    /// Its working directory.
    pub cwd: PathBuf,
    /// Its user and group.
    pub user: (u32, u32),
    /// Host name.
    pub hostname: String,
    /// Folders and files of the host that are visible elsewhere.
    pub volumes: Vec<Volume>,
    /// Whether standard input is a terminal.
    pub terminal: bool,
}

/// A folder or file of the host that is visible in the container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// Where it is on the host.
    pub source: PathBuf,
    /// Where it is in the container.
    pub destination: PathBuf,
    /// Whether it cannot be written; if it can, writes reach the host.
    pub readonly: bool,
}

impl std::str::FromStr for Volume {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (paths, readonly) = match text.rsplit_once(':') {
            Some((paths, "ro")) => (paths, true),
            Some((paths, "rw")) => (paths, false),
            _ => (text, false),
        };
        let (source, destination) =
            paths.split_once(':').ok_or("use SOURCE:DESTINATION or SOURCE:DESTINATION:ro")?;
        if source.is_empty() || !destination.starts_with('/') {
            return Err("the source must be a path, and the destination an absolute one".into());
        }
        Ok(Self { source: source.into(), destination: destination.into(), readonly })
    }
}

/// Capabilities 0 to 40 (`CAP_CHECKPOINT_RESTORE`). They are of the sandbox's kernel and reach nothing outside of it.
const ALL_CAPABILITIES: u64 = (1 << 41) - 1;

/// Folders of the host's root that the container has its own of. The file server does not even see the host's.
const OWN_FOLDERS: [&std::ffi::CStr; 3] = [c"proc", c"sys", c"dev"];

impl HostRequest {
    /// Checks the request and reduces it to what a sandbox is started with.
    ///
    /// # Errors
    ///
    /// A root or volume that does not exist.
    pub fn prepare(self) -> Result<Prepared, BundleError> {
        let mut root = host_bind(&self.root, "--root", self.overlay != Overlay::None)?;
        root.covered = OWN_FOLDERS.map(Into::into).into();
        let mut binds = vec![root];
        let mut mounts = own_mounts();
        for volume in self.volumes {
            binds.push(host_bind(&volume.source, "--volume", volume.readonly)?);
            let kind = MountKind::Gofer { overlay: Overlay::None, shared: true };
            let readonly = if volume.readonly { libc::MS_RDONLY } else { 0 };
            mounts.push(mount(&volume.destination, kind, libc::MS_NOSUID | libc::MS_NODEV | readonly));
        }
        let (uid, gid) = self.user;
        let granted = if uid == 0 { ALL_CAPABILITIES } else { 0 };
        let spec = ContainerSpec {
            process: ProcessSpec {
                args: self.args,
                env: self.env,
                cwd: self.cwd.into(),
                create_cwd: false,
                user: User { uid, gid, ..User::default() },
                capabilities: Capabilities {
                    bounding: ALL_CAPABILITIES,
                    effective: granted,
                    permitted: granted,
                    ..Capabilities::default()
                },
                terminal: self.terminal,
                ..ProcessSpec::default()
            },
            hostname: self.hostname.into(),
            root: RootSpec { readonly: false, overlay: self.overlay },
            mounts,
            // The command is to end by an interrupt or a `kill` as it does without a sandbox.
            first_process: FirstProcess::Ordinary,
            ..ContainerSpec::default()
        };
        Ok(Prepared { spec, binds })
    }
}

/// The file systems that are the sandbox's own.
fn own_mounts() -> Vec<MountSpec> {
    let safe = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
    let shm = MountKind::Tmpfs { size: None, mode: 0o1777, uid: 0, gid: 0 };
    vec![
        mount("/proc", MountKind::Proc, safe),
        mount("/sys", MountKind::Sysfs, safe | libc::MS_RDONLY),
        mount("/dev", MountKind::Devtmpfs, libc::MS_NOSUID),
        mount(
            "/dev/pts",
            MountKind::Devpts { ptmxmode: 0o666, mode: 0o620, gid: Some(5) },
            libc::MS_NOSUID | libc::MS_NOEXEC,
        ),
        mount("/dev/shm", shm, libc::MS_NOSUID | libc::MS_NODEV),
        mount("/dev/mqueue", MountKind::Mqueue, safe),
    ]
}

fn mount(destination: impl AsRef<Path>, kind: MountKind, flags: u64) -> MountSpec {
    MountSpec { destination: destination.as_ref().into(), kind, flags, options: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloister_proto::container::gofer_connections;

    #[test]
    fn volumes_are_read() {
        let volume = |text: &str| text.parse::<Volume>();
        let expected = Volume { source: "/a".into(), destination: "/b".into(), readonly: true };
        assert_eq!(volume("/a:/b:ro"), Ok(expected.clone()));
        assert_eq!(volume("/a:/b"), Ok(Volume { readonly: false, ..expected }));
        for bad in ["/a", "/a:b", ":/b", "/a:ro", ""] {
            assert!(volume(bad).is_err(), "{bad}");
        }
    }

    fn request() -> HostRequest {
        HostRequest {
            root: "/".into(),
            overlay: Overlay::Memory { size: None },
            args: vec!["true".into()],
            env: Vec::new(),
            cwd: "/".into(),
            user: (0, 0),
            hostname: "h".into(),
            volumes: vec![Volume { source: "/etc".into(), destination: "/x".into(), readonly: true }],
            terminal: false,
        }
    }

    #[test]
    fn the_root_is_served_readonly_without_the_host_s_own_folders() {
        let prepared = request().prepare().unwrap();
        assert_eq!(prepared.binds.len(), gofer_connections(&prepared.spec));
        let root = &prepared.binds[0];
        assert!(root.readonly && root.covered.contains(&c"proc".into()));
        assert_eq!(prepared.spec.process.capabilities.effective, ALL_CAPABILITIES);
        let user = HostRequest { user: (1, 1), ..request() }.prepare().unwrap();
        assert_eq!(user.spec.process.capabilities.effective, 0);
    }

    #[test]
    fn missing_folders_are_named_by_their_flag() {
        let error = HostRequest { root: "/nonexistent".into(), ..request() }.prepare().unwrap_err();
        assert!(error.to_string().starts_with("--root: cannot open /nonexistent"), "{error}");
    }
}
