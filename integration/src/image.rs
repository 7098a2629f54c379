//! An image of a few programs, for container engines: no registry is asked for it.
//!
//! Source: the OCI image specification, `image-layout.md`, `manifest.md` and `config.md`.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::exclusive::Exclusive;
use crate::process::{self, Status};
use crate::{Rootfs, paths};

/// Programs of the image, all of them busybox.
const APPLETS: [&str; 21] = [
    "cat", "chmod", "dd", "echo", "env", "false", "grep", "head", "hostname", "id", "ls", "mkdir", "ps",
    "pwd", "sh", "sleep", "stty", "touch", "true", "tty", "wc",
];

/// Writes an image of the name `name` as a tar archive to `archive`; `folder` is to work in.
///
/// # Errors
/// When a file cannot be written, or there is no `tar`.
pub fn write(name: &str, folder: &Path, archive: &Path, lock: &Exclusive) -> Result<()> {
    let (tree, layout) = (folder.join("tree"), folder.join("layout"));
    let blobs = layout.join("blobs/sha256");
    fs::create_dir_all(&blobs).with_context(|| format!("cannot make {}", blobs.display()))?;
    write_tree(&tree, lock)?;
    let layer = folder.join("layer.tar");
    pack(&tree, &layer)?;
    let layer = put(&blobs, &fs::read(&layer)?)?;
    let config = json!({
        "architecture": "amd64",
        "os": "linux",
        "config": { "Env": ["PATH=/bin"], "Cmd": ["/bin/sh"] },
        "rootfs": { "type": "layers", "diff_ids": [layer["digest"]] },
    });
    let config = put(&blobs, &serde_json::to_vec(&config)?)?;
    let typed = |mut descriptor: Value, media_type: &str| {
        descriptor["mediaType"] = media_type.into();
        descriptor
    };
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": typed(config, "application/vnd.oci.image.config.v1+json"),
        "layers": [typed(layer, "application/vnd.oci.image.layer.v1.tar")],
    });
    let manifest = put(&blobs, &serde_json::to_vec(&manifest)?)?;
    let mut manifest = typed(manifest, "application/vnd.oci.image.manifest.v1+json");
    manifest["annotations"] = json!({ "io.containerd.image.name": name });
    let index = json!({ "schemaVersion": 2, "manifests": [manifest] });
    fs::write(layout.join("index.json"), serde_json::to_vec(&index)?)?;
    fs::write(layout.join("oci-layout"), r#"{"imageLayoutVersion": "1.0.0"}"#)?;
    pack(&layout, archive)
}

fn write_tree(tree: &Path, lock: &Exclusive) -> Result<()> {
    let programs = tree.join("bin");
    for folder in ["bin", "etc", "tmp", "proc", "sys", "dev", "root"] {
        fs::create_dir_all(tree.join(folder))?;
    }
    fs::copy(Rootfs::Small.path(lock)?.join("usr/bin/busybox"), programs.join("busybox"))?;
    for name in APPLETS {
        symlink("busybox", programs.join(name))?;
    }
    fs::write(tree.join("etc/passwd"), "root:x:0:0::/root:/bin/sh\nuser:x:1000:1000::/:/bin/sh\n")?;
    Ok(fs::write(tree.join("etc/group"), "root:x:0:\nuser:x:1000:\n")?)
}

fn pack(folder: &Path, archive: &Path) -> Result<()> {
    let mut tar = Command::new("tar");
    tar.arg("-C").arg(folder).arg("-cf").arg(archive).args(["--owner=0", "--group=0", "."]);
    let done = process::run(&mut tar, b"", Duration::from_secs(60))?;
    ensure!(done.status == Status::Code(0), "tar\n{done}");
    Ok(())
}

/// Puts a blob into its place. Returns its descriptor.
fn put(blobs: &Path, bytes: &[u8]) -> Result<Value> {
    let digest: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    fs::write(blobs.join(&digest), bytes)?;
    Ok(json!({ "digest": format!("sha256:{digest}"), "size": bytes.len() }))
}

/// Where the programs of this workspace are, as a `PATH` to begin with.
///
/// # Errors
/// When they are not built.
pub fn search_path() -> Result<String> {
    let own = paths::built("containerd-shim-cloister-v1")?;
    let folder = own.parent().context("the built programs have no folder")?.display();
    Ok(format!("{folder}:{}", std::env::var("PATH").unwrap_or_default()))
}
