//! A caller's side of `--console-socket`: it gets the master end of a terminal, and is who sits before it.

use std::fs::File;
use std::io::{self, Read, Write};
use std::mem::MaybeUninit;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

/// How long an answer may take on a machine that does much else.
const LIMIT: Timespec = Timespec { tv_sec: 60, tv_nsec: 0 };

/// A socket for `--console-socket`.
#[derive(Debug)]
pub struct ConsoleSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl ConsoleSocket {
    /// Listens at `path`.
    ///
    /// # Errors
    /// When that is not possible.
    pub fn bind(path: &Path) -> Result<Self> {
        let listener =
            UnixListener::bind(path).with_context(|| format!("cannot listen at {}", path.display()))?;
        Ok(Self { listener, path: path.to_owned() })
    }

    /// Its path, as an argument.
    ///
    /// # Errors
    /// When it is not text.
    pub fn argument(&self) -> Result<&str> {
        self.path.to_str().context("odd path")
    }

    /// Takes the terminal that was sent.
    ///
    /// # Errors
    /// When none was.
    pub fn terminal(&self) -> Result<Terminal> {
        wait_for_input(&self.listener)?;
        let (stream, _) = self.listener.accept()?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut text = [0; 64];
        let mut parts = [io::IoSliceMut::new(&mut text)];
        recvmsg(&stream, &mut parts, &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
        let mut masters = ancillary.drain().filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
            _ => None,
        });
        let master = masters.next().context("no terminal came over the console socket")?;
        Ok(Terminal { master: master.into(), seen: String::new() })
    }
}

/// The master end of a terminal. Dropping it hangs up.
#[derive(Debug)]
pub struct Terminal {
    master: File,
    /// What came since the last answer.
    seen: String,
}

impl Terminal {
    /// Makes a terminal for a program of the host, which gets the other end.
    ///
    /// # Errors
    /// The system's.
    pub fn pair(rows: u16, columns: u16) -> Result<(Self, File)> {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = openpt(flags)?;
        unlockpt(&master)?;
        let other = ioctl_tiocgptpeer(&master, flags)?;
        let terminal = Self { master: master.into(), seen: String::new() };
        terminal.resize(rows, columns)?;
        Ok((terminal, other.into()))
    }

    /// Presses keys.
    ///
    /// # Errors
    /// When nobody has the other end.
    pub fn press(&mut self, keys: &str) -> Result<()> {
        self.master.write_all(keys.as_bytes()).context("cannot write to the terminal")
    }

    /// Waits until these words are on the screen, after those that were waited for before.
    ///
    /// # Errors
    /// With what is on the screen when they do not come.
    pub fn expect(&mut self, words: &str) -> Result<()> {
        loop {
            if let Some(start) = self.seen.find(words) {
                self.seen.drain(..start + words.len());
                return Ok(());
            }
            let goes_on =
                self.read().with_context(|| format!("{words:?} does not come after {:?}", self.seen))?;
            ensure!(goes_on, "the terminal was closed before {words:?}: {:?}", self.seen);
        }
    }

    /// Waits until the other end is closed by all.
    ///
    /// # Errors
    /// When somebody keeps it.
    pub fn expect_end(&mut self) -> Result<()> {
        while self.read()? {}
        Ok(())
    }

    /// Changes the size.
    ///
    /// # Errors
    /// The system's.
    pub fn resize(&self, rows: u16, columns: u16) -> Result<()> {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&self.master, size).context("cannot resize the terminal")
    }

    /// Reads more; `false` at the end.
    fn read(&mut self) -> Result<bool> {
        wait_for_input(&self.master)?;
        let mut bytes = [0; 4096];
        match self.master.read(&mut bytes) {
            // Nobody has the other end.
            Err(error) if error.raw_os_error() == Some(nix::libc::EIO) => Ok(false),
            result => {
                let len = result.context("cannot read from the terminal")?;
                self.seen.push_str(&String::from_utf8_lossy(&bytes[..len]));
                Ok(len > 0)
            }
        }
    }
}

fn wait_for_input(file: &impl std::os::fd::AsFd) -> Result<()> {
    let ready = poll(&mut [PollFd::new(file, PollFlags::IN)], Some(&LIMIT))?;
    ensure!(ready > 0, "nothing comes");
    Ok(())
}
