//! The first step: what is to be loaded.

use super::Arguments;
use super::executable::Executable;
use super::privileges::{NewPrivileges, new_privileges};
use super::script::{HEAD_BYTES, ScriptLine};
use crate::context::SyscallCx;
use crate::error::{Fail, fail};
use crate::fs::{Follow, Path};
use crate::prelude::errno;
use cloister_elf::Elf;

/// How often a program may be a script whose interpreter is the next one.
const MAX_SCRIPTS: usize = 5;

/// What is to be executed.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    /// Where it is.
    pub(crate) place: Place,
    /// The path by which it is executed (`AT_EXECFN`); its last component becomes the task's name.
    pub(crate) path: Vec<u8>,
    /// Whether the path will mean nothing once it is executed: that of a descriptor that is closed. A script's
    /// interpreter could not open it.
    pub(crate) path_vanishes: bool,
}

/// Where a program is.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// What a path names.
    Named {
        /// Where the path starts.
        base: Path,
        /// The path.
        path: Vec<u8>,
        /// Whether it may be a symbolic link.
        follow: Follow,
    },
    /// Here.
    Found(Path),
}

/// A program that can be loaded.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(super) path: Vec<u8>,
    pub(super) arguments: Arguments,
    pub(super) executable: Executable,
    pub(super) elf: Elf,
    pub(super) interpreter: Option<(Executable, Elf)>,
    pub(super) privileges: NewPrivileges,
}

/// Opens and checks a program, and what it needs.
///
/// # Errors
///
/// As `execve(2)`.
pub(crate) fn prepare(
    cx: &SyscallCx<'_>,
    program: Program,
    arguments: Arguments,
    stack_limit: u64,
) -> Result<Prepared, Fail> {
    let mut arguments = arguments;
    if arguments.arguments.is_empty() {
        // Since Linux 5.18, so that no program takes the environment for its arguments.
        arguments.arguments.push(Vec::new());
    }
    let mut executable = match program.place {
        Place::Named { base, path, follow } => Executable::open(cx, base, &path, follow)?,
        Place::Found(path) => Executable::open_path(cx.task, &cx.credentials(), path)?,
    };
    let mut script_path = program.path.clone();
    for _ in 0..=MAX_SCRIPTS {
        let head = executable.head();
        if !head.starts_with(b"#!") {
            arguments.check(stack_limit)?;
            return prepare_elf(cx, program.path, arguments, executable);
        }
        let line = ScriptLine::parse(head.get(..HEAD_BYTES).unwrap_or(head));
        let line = line.ok_or(fail(errno::ENOEXEC, "the `#!` line names no interpreter"))?;
        if program.path_vanishes {
            return Err(fail(errno::ENOENT, "the interpreter could not open the script"));
        }
        let mut start = vec![line.interpreter.clone()];
        start.extend(line.argument);
        start.push(script_path);
        arguments.arguments.splice(..1, start);
        executable = Executable::open(cx, cx.task.fs().cwd(), &line.interpreter, Follow::Yes)?;
        script_path = line.interpreter;
    }
    Err(fail(errno::ELOOP, "too many interpreters of interpreters"))
}

fn prepare_elf(
    cx: &SyscallCx<'_>,
    path: Vec<u8>,
    arguments: Arguments,
    executable: Executable,
) -> Result<Prepared, Fail> {
    let elf = Elf::parse(|offset, into| executable.read_exact_at(cx.task, offset, into))
        .map_err(|errno| fail(errno, "not a program for this system"))?;
    let interpreter = match &elf.interpreter {
        None => None,
        Some(path) => {
            let file = Executable::open(cx, cx.task.fs().cwd(), path.to_bytes(), Follow::Yes)?;
            let elf = Elf::parse(|offset, into| file.read_exact_at(cx.task, offset, into))
                .map_err(|_| fail(errno::ELIBBAD, "the program interpreter is damaged"))?;
            Some((file, elf))
        }
    };
    let privileges = new_privileges(&cx.credentials(), &executable.file)?;
    Ok(Prepared { path, arguments, executable, elf, interpreter, privileges })
}
