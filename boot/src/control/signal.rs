//! `Signal`: signals from outside.

use std::sync::Arc;

use cloister_proto::control::{ErrorKind, Failure, Signal as Request, SignalTarget, Status};

use crate::kernel::Kernel;
use crate::signal::{self, Signal};
use crate::task::Process;
use crate::tty::job_control;

/// Sends a signal into a container.
pub(super) fn signal(kernel: &Kernel, request: &Request) -> Result<(), Failure> {
    let container = kernel.containers.get(&request.id)?;
    let signal = Signal::new(request.signal).map_err(|_| {
        Failure::new(ErrorKind::InvalidArgument, format!("there is no signal {}", request.signal))
    })?;
    let is_for_all = matches!(request.target, SignalTarget::Init | SignalTarget::All);
    if signal == Signal::KILL && is_for_all && container.state().status == Status::Created {
        kernel.containers.kill(kernel, &container);
        return Ok(());
    }
    let init = container.init();
    let pid_of = |number| container.tasks.pid_namespace.pid(number);
    let is_alive = |process: &Process| process.zombie.is_none();
    // Before the tree is locked.
    let foreground = match request.target {
        SignalTarget::ForegroundGroup(0) => job_control::foreground_of(kernel, init).unwrap_or(init),
        SignalTarget::ForegroundGroup(number) => {
            let pid = pid_of(number);
            job_control::foreground_of(kernel, pid).unwrap_or(pid)
        }
        SignalTarget::Init | SignalTarget::All | SignalTarget::Process(_) => init,
    };
    let groups: Vec<_> = {
        let tree = kernel.processes.lock();
        let wanted: Box<dyn Fn(&Process) -> bool> = match request.target {
            SignalTarget::Init => Box::new(|process| process.group.tgid() == init),
            SignalTarget::All => Box::new(|_| true),
            SignalTarget::Process(number) => {
                let pid = pid_of(number);
                Box::new(move |process| process.group.tgid() == pid)
            }
            SignalTarget::ForegroundGroup(_) => Box::new(move |process| process.process_group == foreground),
        };
        tree.processes_of(&container.tasks)
            .filter(|p| is_alive(p) && wanted(p))
            .map(|p| Arc::clone(&p.group))
            .collect()
    };
    if groups.is_empty() {
        let message = format!("container `{}` has no process that this signal could go to", request.id);
        return Err(Failure::new(ErrorKind::InvalidState, message));
    }
    for group in groups {
        signal::send_from_outside(kernel, &group, signal);
    }
    Ok(())
}
