//! Programs that people run: what they prepare, and what is timed.
//!
//! Scripts begin in an empty folder of the root file system, which they may write in.

use super::report::Unit;
use super::rows::{EQUAL, Goal, Measure, RowPlan};
use crate::Rootfs;

const fn on(
    rootfs: Rootfs,
    name: &'static str,
    before: &'static str,
    timed: &'static str,
    goal: f64,
) -> RowPlan {
    let measure = Measure::Script(rootfs, before, timed);
    RowPlan { name, unit: Unit::Ms, measure, goal: Some(Goal::OfSystrap(goal)) }
}

const fn script(name: &'static str, before: &'static str, timed: &'static str, goal: f64) -> RowPlan {
    on(Rootfs::Dev, name, before, timed, goal)
}

/// The rows.
pub(super) const PROGRAMS: &[RowPlan] = &[
    script(
        "git_clone",
        "git init -q from; cd from; cp -r /usr/include/linux .; git add .; \
         git -c user.name=a -c user.email=a@b commit -qm all; cd ..",
        "git clone -q --no-local from to",
        0.25,
    ),
    script(
        "git_status",
        "git init -q .; cp -r /usr/include .; git add .; git status >/dev/null",
        "git status >/dev/null",
        0.6,
    ),
    script(
        "git_status_image",
        "git init -q .; git --work-tree=/usr/include add .",
        "git --work-tree=/usr/include status >/dev/null",
        0.4,
    ),
    script("untar_100m", "tar cf all.tar -C /usr/lib gcc python3.11", "tar xf all.tar", 0.5),
    script("rm_tree", "cp -r /usr/include /usr/lib/python3.11 .", "rm -r include python3.11", 0.5),
    script("find_usr_first", "", "find /usr -ls >/dev/null", 0.4),
    script("find_usr_again", "find /usr -ls >/dev/null", "find /usr -ls >/dev/null", 0.3),
    script("grep_r", "", "! grep -r no_such_word_is_there /usr/include", 0.4),
    script(
        "build_j2",
        "for i in $(seq 40); do printf '#include <stdio.h>\\n#include <stdlib.h>\\n#include <string.h>\\n' >$i.c; \
         for j in $(seq 40); do \
         printf 'char *f%d_%d(int n) { char *s = malloc(n); sprintf(s, \"%%d\", n); return strcat(s, \"%d\"); }\\n' $i $j $j; \
         done >>$i.c; done; printf 'all.a: $(patsubst %%.c,%%.o,$(wildcard *.c))\\n\\tar rc $@ $^\\n' >Makefile",
        "make -s -j2 CFLAGS=-O1",
        0.7,
    ),
    script(
        "compile_1file",
        "for i in $(seq 800); do \
         printf 'int f%d(int *a, int n) { int s = %d; for (int i = 0; i < n; i++) s += a[i] %% %d; return s; }\\n' $i $i $i; \
         done >one.c",
        "gcc -O2 -c one.c",
        0.88,
    ),
    script(
        "py_import50",
        "",
        "python3 -c 'import argparse, ast, asyncio, base64, bisect, calendar, cmd, code, codecs, collections, configparser, \
         contextlib, copy, csv, ctypes, datetime, decimal, difflib, dis, email, enum, fnmatch, fractions, ftplib, functools, \
         getpass, gettext, glob, gzip, hashlib, heapq, html, http.client, inspect, json, logging, lzma, mimetypes, \
         multiprocessing, pathlib, pickle, platform, plistlib, random, shutil, sqlite3, ssl, subprocess, tempfile, unittest'",
        0.5,
    ),
    script("py_start", "python3 -c pass", "for i in $(seq 5); do python3 -c pass; done", 0.4),
    script("py_loop", "", "python3 -c 'for i in range(5000000): pass'", EQUAL),
    on(Rootfs::Node, "node_loop", "", "node -e 'let x = 0; for (let i = 0; i < 3e8; i++) x ^= i'", 0.95),
    script(
        "sha256",
        "",
        "python3 -c 'import hashlib; h = hashlib.sha256(); b = bytes(1 << 20); [h.update(b) for _ in range(512)]'",
        EQUAL,
    ),
    script("sqlite_create", "", "sqlite3 db 'create table t (a, b); create index i on t (a)'", 0.3),
    script(
        "sqlite_5k_insert_tx",
        "sqlite3 db 'create table t (a, b)'; \
         for i in $(seq 5000); do echo \"insert into t values ($i, 'text $i');\"; done >insert",
        "sqlite3 db <insert",
        0.6,
    ),
    script(
        "sqlite_300k_1tx",
        "sqlite3 db 'create table t (a, b)'",
        "sqlite3 db 'with recursive n(i) as (select 1 union all select i + 1 from n where i < 300000) \
         insert into t select i, i * 7 from n'",
        0.8,
    ),
    script(
        "redis_unix_socket",
        "redis-server --port 0 --unixsocket /tmp/redis --save '' --daemonize yes >/dev/null; \
         until redis-cli -s /tmp/redis ping >/dev/null 2>&1; do sleep 0.05; done",
        "redis-benchmark -s /tmp/redis -q -c 10 -n 5000 -t get,set >/dev/null",
        0.33,
    ),
];
