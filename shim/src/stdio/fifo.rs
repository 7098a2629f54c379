//! containerd's FIFOs.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{Mode, OFlags, open};

use super::copy;
use crate::error::ShimError;
use crate::watch::Watched;

/// How long a client may take to open its end.
const PATIENCE: Duration = Duration::from_secs(10);

/// Opens the end that is read. The first writer may come later: until then there is nothing to read, and no end of it
/// (`poll(2)` tells of a hang-up only after there was a writer).
pub(super) fn open_reader(path: &Path) -> Result<Watched, ShimError> {
    let fail = |error: io::Error| ShimError::path("open for reading", path)(error);
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let reader = open(path, flags, Mode::empty()).map_err(|errno| fail(errno.into()))?;
    copy::watch(reader).map_err(fail)
}

/// Opens the end that is written, once somebody has the other one: what is written before may be lost. From then on readers
/// may come and go, as containerd does when it is restarted: it is open for reading here as well, so there is always one.
pub(super) async fn open_writer(path: &Path) -> Result<Watched, ShimError> {
    let owned: PathBuf = path.to_owned();
    let flags = OFlags::WRONLY | OFlags::CLOEXEC;
    let mut waiting = tokio::task::spawn_blocking(move || open(owned, flags, Mode::empty()));
    let fail = |error: io::Error| ShimError::path("open for writing", path)(error);
    let opened = match tokio::time::timeout(PATIENCE, &mut waiting).await {
        Ok(opened) => opened,
        Err(_) => {
            // Lets the thread go that waits.
            let reader = open(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty());
            let _ = waiting.await;
            drop(reader);
            let nobody = io::Error::new(io::ErrorKind::TimedOut, "nobody opens it for reading");
            return Err(fail(nobody));
        }
    };
    let first = opened.map_err(|error| fail(error.into()))?.map_err(|errno| fail(errno.into()))?;
    let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let writer = open(path, flags, Mode::empty()).map_err(|errno| fail(errno.into()))?;
    drop(first);
    copy::watch(writer).map_err(fail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stdio::copy::write_all;
    use rustix::fs::{CWD, FileType, mknodat};
    use std::io::{Read, Write};
    use std::sync::Arc;
    use tokio::sync::Notify;

    fn fifo() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fifo");
        mknodat(CWD, &path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
        (folder, path)
    }

    #[tokio::test]
    async fn writers_wait_for_the_reader() {
        let (_folder, path) = fifo();
        let reading = {
            let path = path.clone();
            tokio::task::spawn_blocking(move || {
                let mut text = String::new();
                std::fs::File::open(path).unwrap().read_to_string(&mut text).unwrap();
                text
            })
        };
        let writer = open_writer(&path).await.unwrap();
        write_all(&writer, b"hello").await.unwrap();
        drop(writer);
        assert_eq!(reading.await.unwrap(), "hello");
    }

    #[tokio::test]
    async fn input_ends_with_its_writer_or_when_it_is_told() {
        for told in [false, true] {
            let (_folder, path) = fifo();
            let reader = open_reader(&path).unwrap();
            let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
            let closing = Arc::new(Notify::new());
            let to = Arc::new(copy::watch(write).unwrap());
            let copying = tokio::spawn(copy::input(reader, to, closing.clone()));
            let mut writer = std::fs::File::options().write(true).open(&path).unwrap();
            writer.write_all(b"some").unwrap();
            let _open = if told {
                closing.notify_one();
                Some(writer)
            } else {
                drop(writer);
                None
            };
            copying.await.unwrap();
            let mut text = String::new();
            std::fs::File::from(read).read_to_string(&mut text).unwrap();
            assert_eq!(text, "some");
        }
    }
}
