//! A sandbox: its kernel and its file server, started, connected, and given a container.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use cloister_proto::container::ContainerSpec;
use cloister_proto::control::{
    Client, ClientError, CreateContainer, ExitStatus, Keep, OnHangUp, Restore, RestoreAs, RestoreMemory,
    Ticket,
};
use cloister_proto::transport::TransportError;

use crate::bundle::Prepared;
use crate::foreground::Foreground;
use crate::launch::{
    Binaries, Bind, Exit, HostLimits, LaunchError, OomScores, Pending, Process, boot, gofer,
};
use crate::snapshot::Snapshot;
use crate::state::{ContainerId, Entry, StateError};
use crate::timeline::Timeline;

/// How a sandbox is started.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where its programs are.
    pub binaries: Binaries,
    /// How guest code is run; `None` leaves it to the kernel.
    pub platform: Option<String>,
    /// How many names of files the kernel keeps in its cache; `None` leaves it to the kernel.
    pub dcache: Option<u32>,
    /// Which system calls are logged: `all`, or names with commas between them.
    pub strace: Option<String>,
    /// Where its programs log to.
    pub logs: Logs,
    /// What the host limits the sandbox's processes by.
    pub limits: HostLimits,
    /// Whether the first of the process' files is a terminal that nobody else on the host has.
    pub owns_terminal: bool,
    /// How long each step of the start may take.
    pub timeout: Duration,
}

/// Where the programs of a sandbox log to, and what.
#[derive(Clone, Debug)]
pub struct Logs {
    /// The kernel's log, if it is not the container's own.
    pub boot: Option<Arc<File>>,
    /// The file server's log, if it is not the container's own.
    pub gofer: Option<Arc<File>>,
    /// Panics of the kernel, which the container's own log gets as well.
    pub panics: Option<Arc<File>>,
    /// System calls that guests ask for and the kernel does not have.
    pub unsupported: Option<Arc<File>>,
    /// How many bytes the kernel's log takes; it is the guest that it tells of.
    pub limit: u64,
    /// `text` or `json`.
    pub format: &'static str,
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub level: &'static str,
}

impl Default for Logs {
    fn default() -> Self {
        let (boot, gofer, panics, unsupported) = Default::default();
        Self { boot, gofer, panics, unsupported, limit: LOG_LIMIT, format: "text", level: "warn" }
    }
}

impl Logs {
    fn of_gofer<'a>(&'a self, binds: Vec<Bind>, own_log: &'a File) -> gofer::Options<'a> {
        gofer::Options {
            binds,
            errors: own_log.as_fd(),
            log: self.gofer.as_deref().map(AsFd::as_fd),
            log_format: self.format,
            log_level: self.level,
        }
    }
}

/// What a container is brought back from.
#[derive(Clone, Debug)]
pub struct Saved<'a> {
    /// The snapshot.
    pub snapshot: &'a Snapshot,
    /// How memory is brought back.
    pub memory: RestoreMemory,
    /// Whether it is what was saved, or a copy.
    pub identity: RestoreAs,
}

/// How many bytes a log takes unless it is said: that in a container's folder is in memory on most machines.
pub const LOG_LIMIT: u64 = 16 << 20;

/// A sandbox that was started, or one that a container was added to. Dropping it kills what was started, and so does the end
/// of the thread that started it.
#[derive(Debug)]
pub struct Sandbox {
    /// The kernel; `None` if it was there before.
    pub boot: Option<Process>,
    /// The container's file server.
    pub gofer: Process,
    /// Connection to the kernel.
    pub client: Client,
    /// When which step of its start was done.
    pub timeline: Timeline,
    log: File,
}

/// A sandbox cannot be started, or does not do what it is asked.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// A process cannot be started.
    #[error(transparent)]
    Launch(#[from] LaunchError),
    /// The state on disk cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// The control socket cannot be made or reached.
    #[error("cannot use the sandbox's control socket: {0}")]
    Control(#[from] TransportError),
    /// The kernel refused, or does not answer.
    #[error("cannot {action}: {source}{}", quote(.said))]
    Client {
        /// What was asked of it.
        action: &'static str,
        /// Why it failed.
        source: ClientError,
        /// The end of the sandbox's log.
        said: String,
    },
    /// One of the processes ended.
    #[error("cannot {action}: {name} ended ({exit}){remedy}{}", quote(.said))]
    Ended {
        /// What was asked of it.
        action: &'static str,
        /// The program that ended.
        name: &'static str,
        /// How it ended.
        exit: Exit,
        /// What may be done about it.
        remedy: &'static str,
        /// The end of the sandbox's log.
        said: String,
    },
}

fn quote(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("; its log ends: {text}") }
}

impl Sandbox {
    /// Starts kernel and file server and has the kernel bring a container back that was saved; otherwise as
    /// [`Sandbox::create`]. The container is paused.
    ///
    /// # Errors
    ///
    /// As [`Sandbox::create`], or something cannot be brought back.
    pub fn restore(
        entry: &Entry,
        prepared: Prepared,
        files: &[BorrowedFd<'_>],
        options: &Options,
        saved: Saved<'_>,
    ) -> Result<Self, SandboxError> {
        Self::start(entry, prepared, files, options, Some(saved))
    }

    /// Starts kernel and file server and has the kernel make the container. `files` are what its process has as 0 and on.
    ///
    /// # Errors
    ///
    /// Whatever fails on the way, with the end of the sandbox's own log; nothing is left behind.
    pub fn create(
        entry: &Entry,
        prepared: Prepared,
        files: &[BorrowedFd<'_>],
        options: &Options,
    ) -> Result<Self, SandboxError> {
        Self::start(entry, prepared, files, options, None)
    }

    fn start(
        entry: &Entry,
        prepared: Prepared,
        files: &[BorrowedFd<'_>],
        options: &Options,
        saved: Option<Saved<'_>>,
    ) -> Result<Self, SandboxError> {
        let mut timeline = Timeline::default();
        let (boot_binary, gofer_binary) = (options.binaries.open_boot()?, options.binaries.open_gofer()?);
        let own_log = entry.log()?;
        let logs = &options.logs;
        let listener = entry.listen()?;
        let mut boot_plan = boot::plan(
            boot_binary,
            &boot::Options {
                id: entry.id().as_str(),
                control: listener.as_fd(),
                errors: own_log.as_fd(),
                log: logs.boot.as_deref().unwrap_or(&own_log).as_fd(),
                log_limit: Some(logs.limit),
                log_format: logs.format,
                log_level: logs.level,
                platform: options.platform.as_deref(),
                dcache: options.dcache,
                cpus: prepared.spec.limits.cpus,
                memory: prepared.spec.limits.memory,
                strace: options.strace.as_deref(),
                user_log: logs.unsupported.as_deref().map(AsFd::as_fd),
                panic_log: logs.panics.as_deref().map(AsFd::as_fd),
                terminal: files.first().copied().filter(|_| options.owns_terminal),
            },
        )?;
        let (mut gofer_plan, connections) =
            gofer::plan(gofer_binary, logs.of_gofer(prepared.binds, &own_log))?;
        let scores = OomScores::choose(options.limits.oom_score_adj);
        boot_plan.limits = HostLimits { oom_score_adj: Some(scores.programs), ..options.limits.clone() };
        gofer_plan.limits = HostLimits { oom_score_adj: Some(scores.own), ..options.limits.clone() };
        // Both at a time; the listener and the gofer's ends are then closed here, so that a death is a hang-up.
        let boot = Pending::start(boot_plan)?;
        let gofer = Pending::start(gofer_plan)?;
        timeline.mark("create: both programs are forked");
        drop(listener);
        let (mut boot, mut gofer) = (boot.finish(options.timeout)?, gofer.finish(options.timeout)?);
        timeline.mark("create: both programs are executed");
        let boot_pid = boot.pid();
        let mut failed = |action, source| diagnose(action, source, Some(&mut boot), &mut gofer, &own_log);
        let mut client = entry
            .connect()
            .map_err(ClientError::from)
            .and_then(|connection| Client::new(connection, Some(options.timeout)))
            .map_err(|source| failed("start the sandbox's kernel", source))?;
        timeline.mark("create: is connected to the kernel");
        OomScores::set(boot_pid, scores.own);
        let mut descriptors = files.to_vec();
        descriptors.extend(connections.iter().map(AsFd::as_fd));
        let usage = options.limits.group.as_ref().map_or(&[][..], |group| &group.usage);
        descriptors.extend(usage.iter().map(AsFd::as_fd));
        let usage_files = u32::try_from(usage.len()).unwrap_or(0);
        let spec = Box::new(ContainerSpec { usage_files, ..prepared.spec });
        let id = entry.id().to_string();
        match saved {
            None => {
                let created = client.call(CreateContainer { id, spec }, &descriptors);
                created.map_err(|source| failed("create the container", source))?;
            }
            Some(Saved { snapshot, memory, identity }) => {
                descriptors.extend(snapshot.files.iter().chain(&snapshot.data).map(AsFd::as_fd));
                let builds = u32::try_from(snapshot.data.len()).unwrap_or(u32::MAX);
                // How long it takes is a matter of how much there is.
                client.set_timeout(None).map_err(|source| failed("restore the container", source))?;
                let restored = client.call(Restore { id, spec, memory, builds, identity }, &descriptors);
                restored.map_err(|source| failed("restore the container", source))?;
                let limited = client.set_timeout(Some(options.timeout));
                limited.map_err(|source| failed("restore the container", source))?;
            }
        }
        timeline.mark("create: has the container");
        Ok(Self { boot: Some(boot), gofer, client, timeline, log: own_log })
    }

    /// Starts a file server for another container of the sandbox that `entry` is connected to, and has the kernel make the
    /// container. Otherwise as [`create`](Self::create).
    ///
    /// # Errors
    ///
    /// Whatever fails on the way. No process is left behind; what the kernel has made, the caller has destroyed.
    pub fn join(
        entry: &Entry,
        prepared: Prepared,
        files: &[BorrowedFd<'_>],
        options: &Options,
    ) -> Result<Self, SandboxError> {
        let binary = options.binaries.open_gofer()?;
        let log = entry.log()?;
        let (mut plan, connections) = gofer::plan(binary, options.logs.of_gofer(prepared.binds, &log))?;
        let scores = OomScores::choose(options.limits.oom_score_adj);
        plan.limits = HostLimits { oom_score_adj: Some(scores.own), ..options.limits.clone() };
        let mut gofer = Pending::start(plan)?.finish(options.timeout)?;
        let mut descriptors = files.to_vec();
        descriptors.extend(connections.iter().map(AsFd::as_fd));
        let request = CreateContainer { id: entry.id().to_string(), spec: Box::new(prepared.spec) };
        let created = entry.connect().map_err(ClientError::from).and_then(|connection| {
            let mut client = Client::new(connection, Some(options.timeout))?;
            client.call(request, &descriptors)?;
            Ok(client)
        });
        match created {
            Ok(client) => Ok(Self { boot: None, gofer, client, timeline: Timeline::default(), log }),
            Err(source) => Err(diagnose("create the container", source, None, &mut gofer, &log)),
        }
    }

    /// Waits for the end of the container `id`, which was asked for by `ticket`, in the foreground.
    ///
    /// # Errors
    ///
    /// The kernel ends without telling how the container did.
    pub fn wait(
        &mut self,
        foreground: &Foreground,
        id: &ContainerId,
        ticket: Ticket,
    ) -> Result<ExitStatus, SandboxError> {
        let boot = self.boot.iter().map(AsFd::as_fd);
        let processes: Vec<_> = boot.chain([self.gofer.as_fd()]).collect();
        foreground
            .wait(&mut self.client, &processes, id, ticket)
            .map_err(|source| self.explain("wait for the container", source))
    }

    /// Asks for the end of the container `id`, see [`Foreground::watch`].
    ///
    /// # Errors
    ///
    /// The kernel has ended.
    pub fn watch(&mut self, id: &ContainerId) -> Result<Ticket, SandboxError> {
        // A sandbox that was started in the foreground is killed with who started it. A container that joined one is as well.
        let on_hang_up = if self.boot.is_some() { OnHangUp::GoOn } else { OnHangUp::Kill };
        Foreground::watch(&mut self.client, id, on_hang_up)
            .map_err(|source| self.explain("wait for the container", source))
    }

    /// Explains why the kernel did not do `action`.
    #[must_use]
    pub fn explain(&mut self, action: &'static str, source: ClientError) -> SandboxError {
        diagnose(action, source, self.boot.as_mut(), &mut self.gofer, &self.log)
    }

    /// Ends the sandbox: gives its processes a moment to end by themselves, then kills and reaps them.
    pub fn finish(mut self, patience: Duration) {
        let deadline = Instant::now() + patience;
        for process in self.boot.iter_mut().chain([&mut self.gofer]) {
            let left = deadline.saturating_duration_since(Instant::now());
            // What does not end in time, dropping it kills.
            let _ = process.wait(Some(left));
        }
    }

    /// Lets the sandbox live on after this value and this process.
    ///
    /// # Errors
    ///
    /// The kernel has ended.
    pub fn release(mut self) -> Result<(), SandboxError> {
        if self.boot.is_some() {
            self.client.call(Keep, &[]).map_err(|source| self.explain("leave the sandbox alone", source))?;
        }
        if let Some(boot) = self.boot {
            boot.release();
        }
        self.gofer.release();
        Ok(())
    }
}

/// How a program ends that does not understand its command line.
const USAGE: Exit = Exit::Code(2);
const OTHER_BUILD: &str =
    ", as it does not know how it was called; install all of Cloister's programs from one build";

/// Tells a death of one of the processes from a refusal. A hang-up can be seen a little before the death is, and by the
/// other process too, which may be the first to have ended.
fn diagnose(
    action: &'static str,
    source: ClientError,
    boot: Option<&mut Process>,
    gofer: &mut Process,
    log: &File,
) -> SandboxError {
    let patience = match source {
        ClientError::Closed | ClientError::Transport(_) => Duration::from_millis(500),
        _ => Duration::ZERO,
    };
    let boot =
        boot.and_then(|boot| boot.wait(Some(patience)).ok().flatten()).map(|exit| ("cloister-boot", exit));
    let gofer = gofer.wait(Some(patience)).ok().flatten().map(|exit| ("cloister-gofer", exit));
    // Each ends soon after the other, of its own will; so one that was killed is the cause.
    let killed = gofer.filter(|(_, exit)| matches!(exit, Exit::Signal(_)));
    // A kernel that has refused to make a container has hung up on the file server of it.
    let has_refused = matches!(source, ClientError::Failed(_));
    let ended = if has_refused { None } else { boot.or(gofer) };
    if let Some((name, exit)) = killed.or(ended) {
        let remedy = if exit == USAGE { OTHER_BUILD } else { "" };
        return SandboxError::Ended { action, name, exit, remedy, said: end_of(log) };
    }
    let said = if has_refused { String::new() } else { end_of(log) };
    SandboxError::Client { action, source, said }
}

/// The last lines of a log on one line; empty if there are none. Lines that tell of no error are left out.
fn end_of(mut log: &File) -> String {
    const MOST: u64 = 2048;
    let mut text = Vec::new();
    let mut read = || -> io::Result<()> {
        let size = log.seek(SeekFrom::End(0))?;
        log.seek(SeekFrom::Start(size.saturating_sub(MOST)))?;
        log.take(MOST).read_to_end(&mut text)?;
        Ok(())
    };
    if read().is_err() {
        return String::new();
    }
    let text = String::from_utf8_lossy(&text);
    let harmless =
        |line: &str| [" WARN ", " INFO ", " DEBUG ", " TRACE "].iter().any(|level| line.contains(level));
    let lines: Vec<_> =
        text.lines().map(str::trim).filter(|line| !line.is_empty() && !harmless(line)).collect();
    let last = lines.iter().rev().take(3).rev().copied().collect::<Vec<_>>();
    last.join(" | ").chars().filter(|character| !character.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn the_end_of_a_log_is_one_clean_line() {
        let mut log = tempfile::tempfile().unwrap();
        assert_eq!(end_of(&log), "");
        writeln!(log, "a\nb\n\nc\x1b[1m\n2026  WARN x\nd").unwrap();
        assert_eq!(end_of(&log), "b | c[1m | d");
    }
}
