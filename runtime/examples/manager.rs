//! An agent with a warm program and jobs that are copies of it: `cargo run --example manager -- STATE ROOTFS`.
//!
//! The root file system is any that has a shell; state is kept in the folder STATE. It needs root, and the programs
//! `cloister-boot` and `cloister-gofer`, which `CLOISTER_BOOT` and `CLOISTER_GOFER` name.

use std::env;
use std::error::Error;
use std::io::{self, Read, Write};
use std::time::{Duration, SystemTime};

use cloister_runtime::manager::decide::Shutdown;
use cloister_runtime::manager::{Command, Config, Lifetime, Manager, Origin, Then};
use cloister_runtime::state::{ContainerId, Store};
use cloister_runtime::template::Personal;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let (Some(state), Some(rootfs)) = (arguments.next(), arguments.next()) else {
        return Err("usage: manager STATE ROOTFS".into());
    };
    let mut config = Config::new(Store::new(std::path::absolute(state)?));
    config.sandbox.binaries.boot = env::var_os("CLOISTER_BOOT").map(Into::into);
    config.sandbox.binaries.gofer = env::var_os("CLOISTER_GOFER").map(Into::into);
    let manager = Manager::new(config);
    manager.reconcile()?;
    let outcome = run(&manager, &rootfs);
    for report in manager.shut_down(Shutdown::Destroy)? {
        report.outcome?;
    }
    outcome
}

fn run(manager: &Manager, rootfs: &str) -> Result<(), Box<dyn Error>> {
    let lifetime = Lifetime { idle: Some(Duration::from_secs(60)), then: Then::Suspend };
    let (warm, name) = ("warm".parse()?, "shell".parse()?);
    let args = ["/bin/sh", "-c", "while :; do sleep 1; done"].map(str::to_owned).to_vec();
    let env = vec!["PATH=/usr/bin:/bin".to_owned()];
    manager.create(&warm, Origin::Rootfs { folder: rootfs.into(), args, env }, lifetime)?;
    manager.create_template(&name, &warm)?;
    for number in 1..=3 {
        let id: ContainerId = format!("job-{number}").parse()?;
        let environment = vec![format!("JOB={number}")];
        let personal = Personal { hostname: Some(id.to_string()), environment };
        manager.create(&id, Origin::Template { name: name.clone(), personal }, lifetime)?;
        let output = manager.exec(&id, &Command::new(["/bin/sh", "-c", "echo job $JOB on $(uname -n)"]))?;
        io::stdout().write_all(&output.stdout)?;
        manager.pause(&id)?;
        manager.resume(&id)?;
        let mut running = manager.exec_streaming(&id, &Command::new(["/bin/sh", "-c", "tr a-z A-Z"]))?;
        if let Some(mut stdin) = running.stdin.take() {
            stdin.write_all(b"still there\n")?;
        }
        let mut text = String::new();
        if let Some(mut stdout) = running.stdout.take() {
            stdout.read_to_string(&mut text)?;
        }
        running.wait(None)?;
        io::stdout().write_all(text.as_bytes())?;
    }
    manager.reap(SystemTime::now())?;
    for sandbox in manager.list()? {
        writeln!(io::stdout(), "{} {}", sandbox.id, sandbox.status)?;
    }
    manager.delete_template(&name)?;
    Ok(())
}
