//! Where the output of processes goes.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use tokio::fs::File;
use tokio::io::AsyncWriteExt;
use tokio::task::JoinSet;

use super::{Owner, copy, fifo, log};
use crate::error::ShimError;
use crate::watch::Watched;

/// Where an output goes.
#[derive(Debug)]
pub(super) enum Target {
    /// Nowhere.
    Nothing,
    /// To somebody who reads this pipe.
    Pipe(OwnedFd),
    /// To what has to be copied to.
    Sink(Sink),
}

/// What is copied to.
#[derive(Debug)]
pub(super) enum Sink {
    /// Nothing at all.
    Nothing,
    /// A pipe or FIFO.
    Stream(Watched),
    /// A file.
    File(File),
}

impl Sink {
    /// Writes all.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Nothing => Ok(()),
            Self::Stream(stream) => copy::write_all(stream, bytes).await,
            Self::File(file) => {
                file.write_all(bytes).await?;
                // It is written by another thread, of whose failures the next call would tell.
                file.flush().await
            }
        }
    }
}

impl Target {
    /// What to copy to.
    pub(super) fn into_sink(self) -> Result<Sink, ShimError> {
        match self {
            Self::Nothing => Ok(Sink::Nothing),
            Self::Pipe(write) => Sink::of_pipe(write),
            Self::Sink(sink) => Ok(sink),
        }
    }
}

/// Opens what containerd names as the targets of both outputs. `tasks` gets what has to be waited for.
pub(super) async fn open(
    stdout: &str,
    stderr: &str,
    owner: Owner<'_>,
    tasks: &mut JoinSet<()>,
) -> Result<(Target, Target), ShimError> {
    // A program that logs takes both.
    if let Some(uri) = stdout.strip_prefix("binary://") {
        let log::Program { stdout, stderr: errors, end } = log::start(uri, owner).await?;
        tasks.spawn(end);
        let stderr = if stderr.is_empty() { Target::Nothing } else { Target::Pipe(errors) };
        return Ok((Target::Pipe(stdout), stderr));
    }
    // Both wait for their readers, who may open them in any order.
    tokio::try_join!(open_one(stdout), open_one(stderr))
}

async fn open_one(uri: &str) -> Result<Target, ShimError> {
    let path = match uri.split_once("://") {
        None if uri.is_empty() => return Ok(Target::Nothing),
        None => PathBuf::from(uri),
        Some(("fifo", path)) => PathBuf::from(path),
        Some(("file", path)) => return Ok(Target::Sink(Sink::File(open_file(Path::new(path)).await?))),
        Some((scheme, _)) => {
            let problem = format!("{scheme}: is no kind of output that is known; fifo, file and binary are");
            return Err(ShimError::Request(problem));
        }
    };
    let kind = tokio::fs::metadata(&path).await.map_err(ShimError::path("look at", &path))?.file_type();
    Ok(Target::Sink(match kind.is_fifo() {
        true => Sink::Stream(fifo::open_writer(&path).await?),
        false => Sink::File(open_file(&path).await?),
    }))
}

/// Opens a log file; it is made if it does not exist, with its folder.
async fn open_file(path: &Path) -> Result<File, ShimError> {
    if let Some(folder) = path.parent() {
        tokio::fs::create_dir_all(folder).await.map_err(ShimError::path("make", folder))?;
    }
    let opened = File::options().append(true).create(true).open(path).await;
    opened.map_err(ShimError::path("open", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn files_are_appended_to() {
        let folder = tempfile::tempdir().unwrap();
        let uri = format!("file://{}/deep/log", folder.path().display());
        for _ in 0..2 {
            open_one(&uri).await.unwrap().into_sink().unwrap().write(b"line\n").await.unwrap();
        }
        assert_eq!(std::fs::read_to_string(folder.path().join("deep/log")).unwrap(), "line\nline\n");
        assert!(open_one("npipe://x").await.unwrap_err().to_string().contains("npipe"));
        assert!(matches!(open_one("").await.unwrap(), Target::Nothing));
    }
}
