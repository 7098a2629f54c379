//! Copying between descriptors without blocking.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::io::{Errno, ioctl_fionbio, read, write};
use tokio::io::Interest;
use tokio::sync::Notify;

use super::target::Sink;
use crate::watch::{self, Watched};

/// How much is copied at once.
const CHUNK: usize = 32 << 10;

/// Takes a descriptor over whose operations are not to block. The other end of a pipe is not concerned.
pub(super) fn watch(descriptor: OwnedFd) -> io::Result<Watched> {
    ioctl_fionbio(&descriptor, true)?;
    watch::watch(descriptor)
}

/// Copies what a process writes until all writers are gone, or nobody reads.
pub(super) async fn output(from: Arc<Watched>, mut to: Sink) {
    let mut buffer = vec![0; CHUNK];
    while let Ok(count @ 1..) = read_some(&from, &mut buffer).await {
        if to.write(buffer.get(..count).unwrap_or_default()).await.is_err() {
            return;
        }
    }
}

/// Copies what a process is to read until all writers are gone, or until it is told that no more comes: what is there by
/// then is copied.
pub(super) async fn input(from: Watched, to: Arc<Watched>, closing: Arc<Notify>) {
    let mut buffer = vec![0; CHUNK];
    let mut is_closing = false;
    loop {
        let count = if is_closing {
            read(from.get_ref(), &mut *buffer).ok()
        } else {
            tokio::select! {
                biased;
                () = closing.notified() => {
                    is_closing = true;
                    continue;
                }
                count = read_some(&from, &mut buffer) => count.ok(),
            }
        };
        let Some(bytes) = count.filter(|count| *count > 0).and_then(|count| buffer.get(..count)) else {
            return;
        };
        if write_all(&to, bytes).await.is_err() {
            return;
        }
    }
}

/// Reads; 0 is the end.
pub(super) async fn read_some(from: &Watched, buffer: &mut [u8]) -> io::Result<usize> {
    from.async_io(Interest::READABLE, |from| {
        loop {
            match read(from, &mut *buffer) {
                // So ends a terminal that no process has any more.
                Err(Errno::IO) => return Ok(0),
                Err(Errno::INTR) => {}
                result => return Ok(result?),
            }
        }
    })
    .await
}

/// Writes all.
pub(super) async fn write_all(to: &Watched, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let count = to
            .async_io(Interest::WRITABLE, |to| {
                loop {
                    match write(to, bytes) {
                        Err(Errno::INTR) => {}
                        result => return Ok(result?),
                    }
                }
            })
            .await?;
        bytes = bytes.get(count..).unwrap_or_default();
    }
    Ok(())
}
