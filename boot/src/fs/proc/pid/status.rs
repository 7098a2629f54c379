//! `/proc/PID/status`.

use std::fmt::Write;

use super::Subject;
use super::stat::state_letter;
use crate::error::Errno;
use crate::prelude::errno;
use crate::signal::SignalSet;
use crate::task::{Task, number};

/// Makes the text.
pub(super) fn text(subject: &Subject, _reader: &Task) -> Result<Vec<u8>, Errno> {
    let mut text = String::new();
    // Writing to a string can't fail.
    let _ = head(&mut text, subject)?;
    let Ok(task) = subject.task() else { return Ok(text.into_bytes()) };
    let _ = memory(&mut text, subject);
    let _ = signals(&mut text, subject, &task);
    let _ = security(&mut text, subject, &task);
    Ok(text.into_bytes())
}

fn head(text: &mut String, subject: &Subject) -> Result<std::fmt::Result, Errno> {
    let task = subject.task().ok();
    let (parent, zombie_name, uid) = {
        let tree = subject.kernel.processes.lock();
        let process = tree.process(subject.tgid).ok_or(errno::ESRCH)?;
        (number(process.parent), process.name.clone(), process.uid)
    };
    let name = task.as_ref().map_or(zombie_name, |task| task.name());
    let state = match state_letter(subject) {
        'R' => "R (running)",
        'T' => "T (stopped)",
        'Z' => "Z (zombie)",
        _ => "S (sleeping)",
    };
    let credentials = task.as_ref().map(|task| task.credentials());
    let (uids, gids, groups) = credentials.map_or(([uid; 4], [0; 4], String::new()), |c| {
        let groups = c.groups.iter().fold(String::new(), |text, gid| text + &format!("{gid} "));
        ([c.uid, c.euid, c.suid, c.fsuid], [c.gid, c.egid, c.sgid, c.fsgid], groups)
    });
    let umask = task.as_ref().map_or(0, |task| task.fs().umask());
    let fd_size = task.as_ref().and_then(|task| task.files()).map_or(0, |files| files.capacity());
    let tab = |ids: [u32; 4]| ids.map(|id| id.to_string()).join("\t");
    let (tgid, pid) = (number(subject.tgid), number(subject.id()));
    Ok(write!(
        text,
        "Name:\t{}\nUmask:\t{umask:04o}\nState:\t{state}\nTgid:\t{tgid}\nNgid:\t0\nPid:\t{pid}\nPPid:\t{parent}\n\
         TracerPid:\t0\nUid:\t{}\nGid:\t{}\nFDSize:\t{fd_size}\nGroups:\t{groups}\nNStgid:\t{tgid}\nNSpid:\t{pid}\n",
        String::from_utf8_lossy(&name),
        tab(uids),
        tab(gids),
    ))
}

fn memory(text: &mut String, subject: &Subject) -> std::fmt::Result {
    let Some(mm) = subject.mm() else { return Ok(()) };
    let totals = mm.totals();
    let rows = [
        ("VmPeak", totals.peak),
        ("VmSize", totals.all),
        ("VmLck", totals.locked),
        ("VmPin", 0),
        ("VmHWM", totals.accessible),
        ("VmRSS", totals.accessible),
        ("RssAnon", totals.accessible.saturating_sub(totals.files).saturating_sub(totals.shared_memory)),
        ("RssFile", totals.files),
        ("RssShmem", totals.shared_memory),
        ("VmData", totals.data),
        ("VmStk", totals.stack),
        ("VmExe", totals.code),
        ("VmLib", 0),
        ("VmPTE", 0),
        ("VmSwap", 0),
    ];
    rows.iter().try_for_each(|(name, bytes)| writeln!(text, "{name}:\t{:>8} kB", bytes / 1024))
}

fn signals(text: &mut String, subject: &Subject, task: &Task) -> std::fmt::Result {
    let threads = subject.kernel.processes.lock().process(subject.tgid).map_or(1, |p| p.tasks.len());
    let shared = task.group().state().signals.pending.set();
    let (pending, blocked) = {
        let signals = task.signals.lock();
        (signals.pending.set(), signals.blocked)
    };
    let (ignored, caught): (SignalSet, SignalSet) = task.actions().ignored_and_caught();
    write!(
        text,
        "Threads:\t{threads}\nSigQ:\t0/96000\nSigPnd:\t{:016x}\nShdPnd:\t{:016x}\nSigBlk:\t{:016x}\nSigIgn:\t{:016x}\n\
         SigCgt:\t{:016x}\n",
        pending.0, shared.0, blocked.0, ignored.0, caught.0,
    )
}

fn security(text: &mut String, subject: &Subject, task: &Task) -> std::fmt::Result {
    let c = task.credentials();
    let seccomp = task.seccomp.mode();
    let cpus = subject.kernel.options.cpus.min(63);
    write!(
        text,
        "CapInh:\t{:016x}\nCapPrm:\t{:016x}\nCapEff:\t{:016x}\nCapBnd:\t{:016x}\nCapAmb:\t{:016x}\nNoNewPrivs:\t{}\n\
         Seccomp:\t{}\nSeccomp_filters:\t{}\nCpus_allowed:\t{:x}\nCpus_allowed_list:\t0-{}\nMems_allowed:\t1\n\
         Mems_allowed_list:\t0\nvoluntary_ctxt_switches:\t0\nnonvoluntary_ctxt_switches:\t0\n",
        c.inheritable.bits(),
        c.permitted.bits(),
        c.effective.bits(),
        c.bounding.bits(),
        c.ambient.bits(),
        u8::from(c.no_new_privileges),
        seccomp.number(),
        seccomp.nr_filters(),
        (1_u64 << cpus) - 1,
        cpus.saturating_sub(1),
    )
}
