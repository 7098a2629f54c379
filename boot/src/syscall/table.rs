//! The form of the system call table.

use super::argument::Format;
use crate::context::SyscallCx;
use crate::error::SyscallResult;

/// A row of the system call table.
#[derive(Debug)]
pub(crate) struct Row {
    /// The call's number.
    pub(crate) number: u32,
    /// The call's name in Linux' table.
    pub(crate) name: &'static str,
    /// How complete it is.
    pub(crate) support: Support,
    /// What a user should know about it.
    pub(crate) note: &'static str,
    /// The arguments' names and formats.
    pub(crate) arguments: &'static [(&'static str, Format)],
    /// Runs the handler with the argument registers; `None` for a call that is missing.
    pub(crate) handler: Option<fn(&mut SyscallCx<'_>, [u64; 6]) -> SyscallResult>,
}

/// How complete a system call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Support {
    /// As in Linux.
    Full,
    /// Some flags, commands or effects are missing; the note says which.
    Partial,
    /// Refused with the error number that a Linux kernel without the feature gives.
    Missing,
}

/// Builds the table: `NUMBER NAME(ARGUMENT: TYPE, …) = HANDLER, SUPPORT, NOTE;` or `NUMBER NAME, NOTE;` for a call
/// that is missing.
macro_rules! syscall_table {
    (@row $number:literal $name:ident($($arg:ident: $type:ty),*) = $handler:path, $support:ident, $note:literal) => {
        $crate::syscall::Row {
            number: $number,
            name: stringify!($name),
            support: $crate::syscall::Support::$support,
            note: $note,
            arguments: &[$((stringify!($arg), <$type as $crate::syscall::Argument>::FORMAT)),*],
            handler: Some(|cx, registers| {
                #[expect(unused_mut, unused_variables, clippy::allow_attributes, reason = "calls without arguments")]
                #[allow(unfulfilled_lint_expectations, reason = "calls with arguments")]
                let mut registers = registers.into_iter();
                $handler(cx, $(<$type as $crate::syscall::Argument>::from_register(registers.next().unwrap_or_default())),*)
            }),
        }
    };
    (@row $number:literal $name:ident, $note:literal) => {
        $crate::syscall::Row {
            number: $number,
            name: stringify!($name),
            support: $crate::syscall::Support::Missing,
            note: $note,
            arguments: &[],
            handler: None,
        }
    };
    ($($number:literal $name:ident $(($($arg:ident: $type:ty),* $(,)?) = $handler:path, $support:ident)?, $note:literal;)*) => {
        /// Every system call, in the order of the numbers.
        pub(crate) static TABLE: &[$crate::syscall::Row] = &[
            $(syscall_table!(@row $number $name $(($($arg: $type),*) = $handler, $support)?, $note)),*
        ];
    };
}

pub(crate) use syscall_table;
