//! What is measured: one entry for each row.
//!
//! Goals are those that the project set itself against gVisor's systrap; see `docs/performance.md`.

use super::report::Unit;
use crate::Rootfs;

/// What a row is to reach.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Goal {
    /// At most this part of what gVisor's systrap takes.
    OfSystrap(f64),
    /// At most this much.
    Most(f64),
}

/// How a row is measured.
#[derive(Debug, Clone, Copy)]
pub enum Measure {
    /// By the row of this name of `bench/micro.c`.
    Micro,
    /// From the call of the runtime to the command's end, this many sandboxes at once.
    Start(Rootfs, &'static [&'static str], usize),
    /// The second script, run by `bash` after the first one was.
    Script(&'static str, &'static str),
    /// What this many sandboxes that sleep take, each. It has no native figure.
    Idle(usize, Idle),
}

/// What sandboxes take that have nothing to do.
#[derive(Debug, Clone, Copy)]
pub enum Idle {
    /// The proportional share of memory of all processes.
    Memory,
    /// The number of processes.
    Processes,
    /// The number of threads.
    Threads,
    /// Time on processors, all sandboxes together.
    Processor,
}

/// A row.
#[derive(Debug, Clone, Copy)]
pub struct RowPlan {
    /// Its name.
    pub name: &'static str,
    /// Its unit.
    pub unit: Unit,
    /// How it is measured.
    pub measure: Measure,
    /// What it is to reach.
    pub goal: Option<Goal>,
}

const fn micro(name: &'static str, goal: f64) -> RowPlan {
    RowPlan { name, unit: Unit::Ns, measure: Measure::Micro, goal: Some(Goal::OfSystrap(goal)) }
}

const fn start(rootfs: Rootfs, name: &'static str, args: &'static [&'static str], goal: f64) -> RowPlan {
    let measure = Measure::Start(rootfs, args, 1);
    RowPlan { name, unit: Unit::Ms, measure, goal: Some(Goal::OfSystrap(goal)) }
}

const fn script(name: &'static str, before: &'static str, timed: &'static str, goal: f64) -> RowPlan {
    let measure = Measure::Script(before, timed);
    RowPlan { name, unit: Unit::Ms, measure, goal: Some(Goal::OfSystrap(goal)) }
}

const fn idle(name: &'static str, unit: Unit, count: usize, what: Idle, goal: Option<f64>) -> RowPlan {
    let goal = match goal {
        Some(most) => Some(Goal::Most(most)),
        None => None,
    };
    RowPlan { name, unit, measure: Measure::Idle(count, what), goal }
}

/// All rows, in the order of the report.
pub const ROWS: &[RowPlan] = &[
    start(Rootfs::Small, "start /bin/true", &["/bin/true"], 0.25),
    start(Rootfs::Dev, "start python3", PYTHON, 0.3),
    RowPlan {
        name: "start 4 python3 at once",
        unit: Unit::Ms,
        measure: Measure::Start(Rootfs::Dev, PYTHON, 4),
        goal: None,
    },
    micro("getppid", 0.4),
    micro("getppid, not patched", 0.6),
    micro("clock_gettime", 1.0),
    micro("read+write", 0.5),
    micro("open+close", 0.4),
    micro("stat", 0.25),
    micro("create+unlink", 0.6),
    micro("read 64K in order", 0.67),
    micro("read 4K at random", 0.5),
    micro("epoll ready", 0.4),
    micro("pipe ping-pong", 0.4),
    micro("unix ping-pong", 0.4),
    micro("futex ping-pong", 1.2),
    micro("signal to self", 0.4),
    micro("thread create+join", 0.4),
    micro("fork+exit+wait", 0.08),
    micro("fork+exec+wait", 0.25),
    micro("mmap+touch+munmap", 0.1),
    micro("fault after fork", 0.6),
    script(
        "git clone",
        "git init -q from; cd from; for d in $(seq 40); do mkdir $d; for f in $(seq 20); do echo $d $f >$d/$f; done; done; \
         git add .; git -c user.name=a -c user.email=a@b commit -qm all; cd ..",
        "git clone -q --no-local from to",
        0.25,
    ),
    script(
        "make -j2",
        "for i in $(seq 20); do printf '#include <stdio.h>\\nint f%d(void) { return puts(\"%d\"); }\\n' $i $i >$i.c; done; \
         printf 'all: $(patsubst %%.c,%%.o,$(wildcard *.c))\\n' >Makefile",
        "make -s -j2",
        0.7,
    ),
    script("find /usr", "true", "find /usr -ls >/dev/null", 0.4),
    script(
        "python3, 50 modules",
        "true",
        "python3 -c 'import argparse, ast, asyncio, base64, bisect, calendar, cmd, code, codecs, collections, configparser, \
         contextlib, copy, csv, ctypes, datetime, decimal, difflib, dis, email, enum, fnmatch, fractions, ftplib, functools, \
         getpass, gettext, glob, gzip, hashlib, heapq, html, http.client, inspect, json, logging, lzma, mimetypes, \
         multiprocessing, pathlib, pickle, platform, plistlib, random, shutil, sqlite3, ssl, subprocess, tempfile, unittest'",
        0.5,
    ),
    script(
        "redis-benchmark",
        "redis-server --port 0 --unixsocket /tmp/redis --save '' --daemonize yes >/dev/null; \
         until redis-cli -s /tmp/redis ping >/dev/null 2>&1; do sleep 0.05; done",
        "redis-benchmark -s /tmp/redis -q -c 10 -n 5000 -t get,set >/dev/null",
        0.33,
    ),
    script(
        "sqlite3, 1000 inserts",
        "cd /tmp; sqlite3 db 'create table t (a, b)'",
        "for i in $(seq 1000); do echo \"insert into t values ($i, 'text $i');\"; done | sqlite3 db",
        0.6,
    ),
    idle("idle memory", Unit::MiB, 1, Idle::Memory, Some(5.0)),
    idle("idle processes", Unit::Count, 1, Idle::Processes, Some(4.0)),
    idle("idle threads", Unit::Count, 1, Idle::Threads, Some(6.0)),
    idle("idle CPU", Unit::Percent, 1, Idle::Processor, Some(0.1)),
    idle("idle memory, each of 50", Unit::MiB, 50, Idle::Memory, Some(2.0)),
    idle("idle CPU, all 50", Unit::Percent, 50, Idle::Processor, None),
];

const PYTHON: &[&str] = &["python3", "-c", "print(1)"];
