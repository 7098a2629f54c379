//! The process that stays, and serves the containers of a pod.

use std::fs::{self, File};
use std::io;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::setsid;
use rustix::stdio::{dup2_stdin, stdin};
use tracing::{info, warn};
use tracing_subscriber::filter::LevelFilter;
use ttrpc::asynchronous::Server;
use ttrpc::asynchronous::transport::Listener;

use crate::args::Args;
use crate::error::ShimError;
use crate::events::Publisher;
use crate::pod::Pod;
use crate::service;

/// How long replies may take to be sent when the shim leaves.
const FAREWELL: Duration = Duration::from_secs(1);

/// Serves until containerd says that the shim is to leave. Standard input is the socket at which it listens.
pub(crate) fn run(args: &Args) -> Result<(), ShimError> {
    log(args.debug);
    let adopt = ShimError::host("take over the socket that standard input is to be (see --help)");
    let listener = match take_listener() {
        Ok(listener) => listener,
        Err(error) => return Err(adopt(error)),
    };
    // Fails if it leads a process group: then it has one of its own at least.
    let _ = setsid();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(ShimError::host("start the runtime of tasks"))?;
    let result = runtime.block_on(serve(args, listener));
    if let Some(socket) = &args.socket {
        // It may have been removed by who found that we were killed.
        let _ = fs::remove_file(socket);
    }
    // Threads that wait for the host are not waited for.
    runtime.shutdown_background();
    result
}

fn take_listener() -> io::Result<UnixListener> {
    let listener = UnixListener::from(rustix::io::fcntl_dupfd_cloexec(stdin(), 3)?);
    listener.local_addr()?;
    dup2_stdin(File::open("/dev/null")?)?;
    Ok(listener)
}

async fn serve(args: &Args, listener: UnixListener) -> Result<(), ShimError> {
    let events = std::env::var_os("TTRPC_ADDRESS").filter(|address| !address.is_empty());
    let events = events.map_or_else(|| format!("{}.ttrpc", args.address).into(), PathBuf::from);
    let (publisher, sending) = Publisher::begin(&args.namespace, &events);
    let pod = Arc::new(Pod::new(&args.namespace, args.debug, publisher));
    let listener = Listener::try_from(listener).map_err(ShimError::host("watch the socket"))?;
    let mut server = Server::new().add_listener(listener).register_service(service::all(&pod));
    server.start().await.map_err(ShimError::Server)?;
    info!("serves {} in namespace {}", args.id, args.namespace);
    pod.over().await;
    sending.finish().await;
    if tokio::time::timeout(FAREWELL, server.shutdown()).await.is_err() {
        warn!("a caller does not hang up");
    }
    Ok(())
}

/// Logs to the FIFO in the bundle, which containerd reads.
fn log(debug: bool) {
    let level = if debug { LevelFilter::DEBUG } else { LevelFilter::WARN };
    // Open for reading as well, so that containerd may come and go.
    let log = File::options().read(true).write(true).open("log");
    let Ok(log) = log else { return };
    // Lines that nobody reads are lost.
    if rustix::io::ioctl_fionbio(&log, true).is_err() {
        return;
    }
    let builder = tracing_subscriber::fmt().with_max_level(level).with_ansi(false).with_target(false);
    // Fails only if it was done before.
    let _ = builder.with_writer(move || Lossy(log.try_clone().ok())).try_init();
}

/// A log that takes what it can.
struct Lossy(Option<File>);

impl io::Write for Lossy {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(file) = &mut self.0 {
            let _ = file.write(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
