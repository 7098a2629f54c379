//! A kernel that runs no programs. What it does, the container's first argument says:
//!
//! | argument | what the container does |
//! |---|---|
//! | `exit N` | exits with code N when it is started |
//! | `say TEXT` | writes TEXT to its standard output and exits |
//! | `call TEXT` | writes TEXT to its standard output and runs until a signal comes |
//! | `sleep` | runs until a signal comes |
//! | `linger` | runs until a signal has come and somebody waits |
//! | `missing` | cannot be executed |
//!
//! And the platform's name says how the kernel itself is: `hangs`, `lies`, `refuses`, `crashes`, or well.

use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd};
use std::process::ExitCode;

use cloister_proto::container::gofer_connections;
use cloister_proto::control::{
    ContainerState, Done, Envelope, ErrorKind, ExitStatus, Failure, Request, Response, Status,
};
use cloister_proto::transport::{Connection, Listener, Received};
use cloister_proto::version::Handshake;
use rustix::event::{PollFd, PollFlags, poll};

#[derive(Default)]
struct Kernel {
    args: Vec<String>,
    output: Option<OwnedFd>,
    /// Kept open: the file server ends when they are closed.
    _gofer: Vec<OwnedFd>,
    started: bool,
    signaled: Option<ExitStatus>,
    ended: Option<ExitStatus>,
    /// Connection and request of each that waits.
    waiting: Vec<(usize, u64)>,
}

/// Plays the kernel.
pub(crate) fn run(arguments: &[String]) -> ExitCode {
    let mode = arguments.iter().skip_while(|argument| *argument != "--platform").nth(1);
    let mode = mode.map_or("well", String::as_str);
    if mode == "hangs" {
        wait_for_hang_up(0);
        loop {
            std::thread::park();
        }
    }
    let listener = Listener::from_fd(adopt(3)).unwrap();
    let mut kernel = Kernel::default();
    let mut connections: Vec<Option<Connection>> = Vec::new();
    while kernel.ended.is_none() {
        for number in ready(&listener, &connections) {
            match number {
                None => connections.push(Some(listener.accept().unwrap())),
                Some(number) => serve(&mut kernel, &mut connections, number, mode),
            }
        }
    }
    let status = kernel.ended.unwrap();
    for (number, id) in kernel.waiting {
        if let Some(Some(connection)) = connections.get(number) {
            connection.send(&Envelope { id, body: Response::from(status) }, &[]).unwrap();
        }
    }
    status.code().into()
}

/// Which connections have something to say; `None` is the listener.
fn ready(listener: &Listener, connections: &[Option<Connection>]) -> Vec<Option<usize>> {
    let mut numbers = vec![None];
    let mut entries = vec![PollFd::new(listener, PollFlags::IN)];
    for (number, connection) in connections.iter().enumerate() {
        if let Some(connection) = connection {
            numbers.push(Some(number));
            entries.push(PollFd::new(connection, PollFlags::IN));
        }
    }
    poll(&mut entries, None).unwrap();
    let ready = entries.iter().map(|entry| !entry.revents().is_empty());
    numbers.into_iter().zip(ready).filter_map(|(number, ready)| ready.then_some(number)).collect()
}

fn serve(kernel: &mut Kernel, connections: &mut [Option<Connection>], number: usize, mode: &str) {
    let Some(connection) = &connections[number] else { return };
    match connection.try_receive::<Envelope<Request>>().unwrap() {
        Received::Message(envelope, descriptors) => {
            if let Some(body) = kernel.answer(envelope.body, descriptors, (number, envelope.id), mode) {
                connection.send(&Envelope { id: envelope.id, body }, &[]).unwrap();
            }
        }
        Received::Nothing => {}
        Received::Closed => connections[number] = None,
    }
}

impl Kernel {
    /// The answer; none yet for a wait.
    fn answer(
        &mut self,
        request: Request,
        descriptors: Vec<OwnedFd>,
        waiter: (usize, u64),
        mode: &str,
    ) -> Option<Response> {
        let response = match request {
            Request::Hello(_) if mode == "lies" => Handshake { protocol: 0, build: "another".into() }.into(),
            Request::Hello(hello) => {
                hello.handshake.check().unwrap();
                Handshake::ours().into()
            }
            Request::CreateContainer(_) if mode == "refuses" => {
                Failure::new(ErrorKind::Os(libc::ENOMEM), "cannot mount /proc: out of memory").into()
            }
            Request::CreateContainer(_) if mode == "crashes" => {
                eprintln!("kernel: everything is lost");
                std::process::abort()
            }
            Request::CreateContainer(create) => {
                let usage_files = usize::try_from(create.spec.usage_files).unwrap();
                assert_eq!(descriptors.len(), 3 + gofer_connections(&create.spec) + usage_files);
                self.args = create.spec.process.args.iter().map(ToString::to_string).collect();
                let mut descriptors = descriptors.into_iter();
                self.output = descriptors.nth(1);
                self._gofer = descriptors.skip(1).collect();
                Done.into()
            }
            Request::StartContainer(_) => self.start(),
            Request::State(_) => {
                let status = if self.started { Status::Running } else { Status::Created };
                ContainerState { status, init: 1 }.into()
            }
            Request::Signal(signal) => {
                self.signaled = Some(ExitStatus::Signaled(u8::try_from(signal.signal).unwrap()));
                self.end_if_due();
                Done.into()
            }
            Request::Keep(_) => {
                rustix::process::set_parent_process_death_signal(None).unwrap();
                Done.into()
            }
            Request::Wait(_) => {
                self.waiting.push(waiter);
                self.end_if_due();
                return None;
            }
            other => Failure::new(ErrorKind::Unsupported, format!("{} is not played", other.name())).into(),
        };
        Some(response)
    }

    fn end_if_due(&mut self) {
        let lingers = self.args.first().is_some_and(|what| what == "linger");
        if !lingers || !self.waiting.is_empty() {
            self.ended = self.ended.or(self.signaled);
        }
    }

    fn start(&mut self) -> Response {
        self.started = true;
        let mut args = self.args.iter().map(String::as_str);
        match (args.next(), args.next()) {
            (Some("exit"), Some(code)) => self.ended = Some(ExitStatus::Exited(code.parse().unwrap())),
            (Some(what @ ("say" | "call")), Some(text)) => {
                rustix::io::write(self.output.as_ref().unwrap(), text.as_bytes()).unwrap();
                self.ended = (what == "say").then_some(ExitStatus::Exited(0));
            }
            (Some("sleep" | "linger"), _) => {}
            _ => {
                let message = "no such file or directory";
                return Failure::new(ErrorKind::Execute(libc::ENOENT), message).into();
            }
        }
        Done.into()
    }
}

/// Waits until the peer of a descriptor has closed its end, if it is one that has a peer.
#[expect(unsafe_code, reason = "the descriptor was inherited")]
pub(crate) fn wait_for_hang_up(number: i32) {
    // SAFETY: the starter has put a descriptor there, and nothing closes it.
    let descriptor = unsafe { BorrowedFd::borrow_raw(number) };
    let mut entries = [PollFd::from_borrowed_fd(descriptor, PollFlags::RDHUP)];
    if number > 2 {
        poll(&mut entries, None).unwrap();
    }
}

#[expect(unsafe_code, reason = "the descriptor was inherited")]
fn adopt(number: i32) -> OwnedFd {
    // SAFETY: the starter has put a descriptor there for us, and nothing else owns it.
    unsafe { OwnedFd::from_raw_fd(number) }
}
