//! The system call filter of a container's configuration.

use std::sync::Arc;

use cloister_bpf::{Instruction, Program};
use cloister_proto::container::SeccompSpec;
use cloister_proto::control::{ErrorKind, Failure};
use zerocopy::FromBytes;

use crate::seccomp::{Filter, Mode};

/// Checks the filter, and returns the mode of the container's processes.
///
/// # Errors
///
/// `InvalidArgument` if it is none that the kernel takes.
pub(super) fn mode(spec: Option<&SeccompSpec>) -> Result<Mode, Failure> {
    let Some(spec) = spec else { return Ok(Mode::Disabled) };
    let bad = |problem: String| {
        Failure::new(ErrorKind::InvalidArgument, format!("the container's seccomp filter: {problem}"))
    };
    let instructions = spec.program.chunks(size_of::<Instruction>()).map(Instruction::read_from_bytes);
    let instructions: Vec<_> = instructions
        .collect::<Result<_, _>>()
        .map_err(|_| bad("it ends within an instruction".to_owned()))?;
    let program = Program::new(instructions).map_err(|invalid| bad(invalid.to_string()))?;
    Mode::with_filter(Arc::new(Filter::new(program, spec.logs))).map_err(|_| bad("it is too long".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloister_proto::ByteString;

    #[test]
    fn only_programs_that_were_checked_are_taken() {
        let taken =
            |program: &[u8]| mode(Some(&SeccompSpec { program: ByteString::from(program), logs: false }));
        assert!(matches!(mode(None), Ok(Mode::Disabled)));
        let allow = [6, 0, 0, 0, 0, 0, 0xff, 0x7f];
        assert!(matches!(taken(&allow), Ok(Mode::Filter(_))));
        for bad in [&[][..], &allow[..7], &[0; 8]] {
            assert!(taken(bad).is_err_and(|failure| failure.kind == ErrorKind::InvalidArgument));
        }
    }
}
