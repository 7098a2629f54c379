//! Containers that were saved: copies of one that is warm, and one that is put away and comes back.

use std::io::Read;
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::rows::Copies;
use super::{idle, lifecycle};
use crate::exclusive::Exclusive;
use crate::process::{self, Status};
use crate::processes::Process;
use crate::{Place, Program, Rootfs, Session};

/// A Python with 512 MiB of live data that can't be compressed, which writes something each time that so many seconds are over.
const WARM: &str = "import os, sys, time
live = [os.urandom(1 << 20) for _ in range(512)]
open('/work/ready', 'w').close()
while True:
    print(len(live), flush=True)
    time.sleep(float(sys.argv[1]))";

/// How long a command may take.
const LIMIT: Duration = Duration::from_secs(120);

/// Whether a place has templates, and puts containers away.
pub(super) fn can(place: Place) -> bool {
    matches!(place, Place::Cloister(_))
}

/// One sample.
pub(super) fn sample(what: Copies, place: Place, lock: &Exclusive) -> Result<f64> {
    match what {
        Copies::FirstOutput => with_warm(place, lock, "0.001", |warm| warm.first_output()),
        Copies::Memory(count) => with_warm(place, lock, "10", |warm| warm.memory_of_each(count)),
        Copies::SuspendAndWake => suspend_and_wake(place, lock),
    }
}

/// What copies are made of: it was saved, and is gone.
struct Warm<'a> {
    place: Place,
    session: &'a Session<'a>,
}

fn with_warm<T>(
    place: Place,
    lock: &Exclusive,
    seconds: &str,
    work: impl FnOnce(&Warm<'_>) -> Result<T>,
) -> Result<T> {
    Session::during(lock, |session| {
        let program = Program::new(Rootfs::Dev, ["python3", "-c", WARM, seconds]);
        let bundle = session.write_bundle(&program)?;
        lifecycle::create(place, session, &bundle, session.id())?;
        let saved = lifecycle::start(place, session, session.id()).and_then(|_| {
            session.wait_for_file("ready")?;
            let warm = Warm { place, session };
            warm.run(&["template", "create", "warm", "--from", session.id()])?;
            Ok(warm)
        });
        lifecycle::delete(place, session, session.id())?;
        work(&saved?)
    })
}

impl Warm<'_> {
    fn run(&self, args: &[&str]) -> Result<()> {
        let done = process::run(self.place.runtime(self.session)?.args(args), b"", LIMIT)?;
        ensure!(done.status == Status::Code(0), "{args:?} failed\n{done}");
        Ok(())
    }

    /// From the call of the runtime to the first byte that a copy writes, in milliseconds.
    fn first_output(&self) -> Result<f64> {
        let id = format!("{}-copy", self.session.id());
        let mut command = self.place.runtime(self.session)?;
        command.args(["spawn", "warm", "--id", &id]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let begin = Instant::now();
        let mut copy = command.spawn()?;
        let mut output = copy.stdout.take().context("there is no pipe")?;
        let read = output.read(&mut [0]);
        let took = begin.elapsed();
        let deleted = lifecycle::delete(self.place, self.session, &id);
        // It may have been waited for by who deleted it.
        let _ = copy.wait();
        ensure!(read? == 1, "the copy wrote nothing");
        deleted?;
        Ok(took.as_secs_f64() * 1e3)
    }

    /// What each of `count` copies takes, in MiB: what it has for itself, and its part of what all share.
    fn memory_of_each(&self, count: u32) -> Result<f64> {
        let id = format!("{}-copy", self.session.id());
        let number = count.to_string();
        let mut command = self.place.runtime(self.session)?;
        command.args(["spawn", "warm", "--count", &number, "--id", &id]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let made = command.status()?.success();
        // Processes give memory back when they have done nothing for a second or two.
        sleep(Duration::from_secs(3));
        let mebibytes = idle::mebibytes(&Process::own().descendants());
        (1..=count).try_for_each(|number| {
            lifecycle::delete(self.place, self.session, &format!("{id}-{number}")).map(drop)
        })?;
        ensure!(made, "the copies could not be made");
        Ok(mebibytes / f64::from(count))
    }
}

/// How long it takes to put a shell that waits to the disk, and to bring it back, in milliseconds.
fn suspend_and_wake(place: Place, lock: &Exclusive) -> Result<f64> {
    Session::during(lock, |session| {
        let program = Program::bash(Rootfs::Small, ": > /work/ready; while :; do sleep 1000; done");
        let bundle = session.write_bundle(&program)?;
        lifecycle::create(place, session, &bundle, session.id())?;
        let took = lifecycle::start(place, session, session.id()).and_then(|_| {
            session.wait_for_file("ready")?;
            let mut took = Duration::ZERO;
            for command in ["suspend", "wake"] {
                let mut command_line = place.runtime(session)?;
                command_line.args([command, session.id()]);
                command_line.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
                let begin = Instant::now();
                ensure!(command_line.status()?.success(), "{command} failed");
                took += begin.elapsed();
            }
            Ok(took.as_secs_f64() * 1e3)
        });
        lifecycle::delete(place, session, session.id())?;
        took
    })
}
