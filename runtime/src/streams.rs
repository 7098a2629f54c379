//! Reading what a process writes to two pipes.

use std::io;
use std::os::fd::AsFd;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::retry_on_intr;

/// How the reading ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Both pipes were closed.
    Reached,
    /// They were not in time.
    TimedOut,
    /// One of them had too much.
    OverLimit,
}

/// What was read.
#[derive(Debug)]
pub(crate) struct Read {
    /// Why no more was.
    pub(crate) end: End,
    /// From the first pipe.
    pub(crate) stdout: Vec<u8>,
    /// From the second one.
    pub(crate) stderr: Vec<u8>,
}

/// Reads both pipes to their ends, and no more than `limit` bytes of each, give or take a buffer.
///
/// # Errors
///
/// The system's.
pub(crate) fn read_both<O: io::Read + AsFd, E: io::Read + AsFd>(
    mut out: Option<O>,
    mut err: Option<E>,
    deadline: Option<Instant>,
    limit: usize,
) -> io::Result<Read> {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    while out.is_some() || err.is_some() {
        let fds = out.iter().map(|pipe| PollFd::new(pipe, PollFlags::IN));
        let mut ready: Vec<_> = fds.chain(err.iter().map(|pipe| PollFd::new(pipe, PollFlags::IN))).collect();
        if !wait_for(&mut ready, deadline)? {
            return Ok(Read { end: End::TimedOut, stdout, stderr });
        }
        let ready: Vec<bool> = ready.iter().map(|entry| !entry.revents().is_empty()).collect();
        let has_out = out.is_some();
        if has_out && ready.first() == Some(&true) {
            read_some(&mut out, &mut stdout)?;
        }
        if ready.get(usize::from(has_out)) == Some(&true) {
            read_some(&mut err, &mut stderr)?;
        }
        if stdout.len() > limit || stderr.len() > limit {
            return Ok(Read { end: End::OverLimit, stdout, stderr });
        }
    }
    Ok(Read { end: End::Reached, stdout, stderr })
}

/// Waits until one of the descriptors is ready; `false` if none is in time.
///
/// # Errors
///
/// The system's.
pub(crate) fn wait_for(descriptors: &mut [PollFd<'_>], deadline: Option<Instant>) -> io::Result<bool> {
    let ready = retry_on_intr(|| {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        poll(descriptors, left.and_then(|left| Timespec::try_from(left).ok()).as_ref())
    });
    Ok(ready? > 0)
}

/// Reads what is there, and takes the pipe away at its end.
fn read_some<P: io::Read>(pipe: &mut Option<P>, into: &mut Vec<u8>) -> io::Result<()> {
    let mut buffer = [0; 1 << 16];
    let Some(open) = pipe else { return Ok(()) };
    match open.read(&mut buffer) {
        Ok(0) => *pipe = None,
        Ok(len) => into.extend_from_slice(buffer.get(..len).unwrap_or_default()),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
        Err(error) => return Err(error),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;
    use std::time::Duration;

    use super::*;

    #[test]
    fn both_pipes_are_read_to_their_ends_or_bounds() {
        let (out, mut into_out) = io::pipe().unwrap();
        let (err, mut into_err) = io::pipe().unwrap();
        into_out.write_all(b"out").unwrap();
        into_err.write_all(b"err").unwrap();
        drop(into_out);
        let soon = Some(Instant::now() + Duration::from_millis(1));
        let read =
            read_both(Some(out.try_clone().unwrap()), Some(err.try_clone().unwrap()), soon, 3).unwrap();
        assert_eq!((read.end, &*read.stdout, &*read.stderr), (End::TimedOut, &b"out"[..], &b"err"[..]));
        into_err.write_all(b"more").unwrap();
        let read = read_both(None::<File>, Some(err.try_clone().unwrap()), None, 3).unwrap();
        assert_eq!((read.end, &*read.stderr), (End::OverLimit, &b"more"[..]));
        drop(into_err);
        assert_eq!(read_both(Some(out), Some(err), None, 3).unwrap().end, End::Reached);
    }
}
