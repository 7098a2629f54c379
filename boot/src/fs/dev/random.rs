//! `/dev/random` and `/dev/urandom` (`random(4)`): the host's generator, which is seeded long before a sandbox runs.

use crate::context::SyscallCx;
use crate::error::{Errno, SyscallResult, fail};
use crate::fs::{FileCx, FileOps, OpenFile, Sink, Source};
use crate::prelude::{Outcome, errno};
use crate::rand;
use crate::syscall::Address;

/// Gives random numbers without end.
#[derive(Debug)]
pub(super) struct Random;

/// What is made at once.
const CHUNK: usize = 4096;

/// `RNDGETENTCNT` (`linux/random.h`): how many bits of entropy there are.
const RNDGETENTCNT: u32 = 0x8004_5200;

impl FileOps for Random {
    fn is_stream(&self) -> bool {
        true
    }

    fn read(&self, _cx: &FileCx<'_>, into: &mut dyn Sink) -> Result<usize, Errno> {
        let mut buffer = [0; CHUNK];
        let mut done = 0;
        while into.remaining() > 0 {
            let len = into.remaining().min(CHUNK);
            let chunk = buffer.get_mut(..len).unwrap_or_default();
            rand::fill(chunk);
            match into.write(chunk) {
                Ok(0) => break,
                Ok(written) => done += written,
                Err(_) if done > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn write(&self, _cx: &FileCx<'_>, from: &mut dyn Source) -> Result<usize, Errno> {
        // What guests contribute is not mixed into the host's pool.
        Ok(from.remaining())
    }

    fn ioctl(&self, cx: &mut SyscallCx<'_>, _file: &OpenFile, request: u32, arg: Address) -> SyscallResult {
        match request {
            RNDGETENTCNT => {
                cx.memory().write(arg, &256_u32)?;
                Ok(Outcome::OK)
            }
            _ => Err(fail(errno::EINVAL, "not a request of this device")),
        }
    }
}
