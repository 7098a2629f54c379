//! The floating-point state in the frame of a signal (`struct _fpstate` of `asm/sigcontext.h`).

use cloister_abi::signal::{FP_XSTATE_MAGIC1, FP_XSTATE_MAGIC2, FpxSwBytes};
use cloister_platform::FpuState;
use zerocopy::{FromBytes, IntoBytes};

use crate::error::{Fail, fail};
use crate::prelude::errno;
use crate::syscall::Address;

/// The size of the legacy (`FXSAVE`) part.
const LEGACY_BYTES: usize = 512;
/// Where MXCSR is in it, and the mask of its bits that the processor has.
const MXCSR_AT: usize = 24;
const MXCSR_MASK_AT: usize = 28;
/// Where the kernel's own words are in it.
const SW_BYTES_AT: usize = 464;
/// The size of the legacy part and the header behind it.
const MIN_XSTATE_BYTES: usize = LEGACY_BYTES + 64;
/// The features whose state is in the legacy part: x87 and SSE.
const LEGACY_FEATURES: u64 = 3;

/// Returns `state` as it is in a frame.
pub(super) fn to_frame(state: &FpuState) -> Vec<u8> {
    let mut bytes = state.bytes().to_vec();
    if bytes.len() < MIN_XSTATE_BYTES {
        return bytes;
    }
    let size = u32::try_from(bytes.len()).unwrap_or(0);
    let sw_bytes = FpxSwBytes {
        magic1: FP_XSTATE_MAGIC1,
        extended_size: size + 4,
        xfeatures: features_of(&bytes),
        xstate_size: size,
        padding: [0; 7],
    };
    put(&mut bytes, SW_BYTES_AT, sw_bytes.as_bytes());
    bytes.extend_from_slice(&FP_XSTATE_MAGIC2.to_le_bytes());
    bytes
}

/// Returns the size of `state` in a frame.
pub(super) fn frame_bytes(state: &FpuState) -> usize {
    match state.bytes().len() {
        length @ ..MIN_XSTATE_BYTES => length,
        length => length + size_of_val(&FP_XSTATE_MAGIC2),
    }
}

/// Returns the state that a frame holds at `address`, of which `read` fills bytes, in the form of `form`. What it lacks
/// is as at the start of a program; whether the processor takes it is for
/// [`Thread::set_fpu`](cloister_platform::Thread::set_fpu) to say.
///
/// # Errors
///
/// `EFAULT` if it can't be read, `EINVAL` for bits of MXCSR that there are not.
pub(super) fn from_frame(
    read: impl Fn(Address, &mut [u8]) -> Result<(), Fail>,
    address: Address,
    form: &FpuState,
) -> Result<FpuState, Fail> {
    let mut bytes = vec![0; form.bytes().len().max(LEGACY_BYTES)];
    read(address, bytes.get_mut(..LEGACY_BYTES).unwrap_or_default())?;
    let sw_bytes =
        bytes.get(SW_BYTES_AT..LEGACY_BYTES).and_then(|bytes| FpxSwBytes::read_from_bytes(bytes).ok());
    let extended =
        match sw_bytes.and_then(|sw_bytes| Some((sw_bytes, extended_size(&sw_bytes, bytes.len())?))) {
            Some((sw_bytes, size)) => {
                let behind = Address(address.0.wrapping_add(LEGACY_BYTES as u64));
                let mut rest = vec![0; size - LEGACY_BYTES + 4];
                read(behind, &mut rest)?;
                let magic2 = rest.split_off(size - LEGACY_BYTES);
                (magic2 == FP_XSTATE_MAGIC2.to_le_bytes()).then_some((sw_bytes.xfeatures, rest))
            }
            None => None,
        };
    check_mxcsr(&bytes, form.bytes())?;
    put(&mut bytes, SW_BYTES_AT, &[0; LEGACY_BYTES - SW_BYTES_AT]);
    if let Some((features, rest)) = extended {
        put(&mut bytes, LEGACY_BYTES, &rest);
        let features = features & features_of(form.bytes()) & word(&bytes, LEGACY_BYTES);
        put(&mut bytes, LEGACY_BYTES, &features.to_le_bytes());
    } else if bytes.len() >= MIN_XSTATE_BYTES {
        put(&mut bytes, LEGACY_BYTES, &LEGACY_FEATURES.to_le_bytes());
    }
    Ok(FpuState::from_bytes(bytes))
}

/// Checks MXCSR: the processor loads it with a state, even if that says that SSE is unused.
fn check_mxcsr(bytes: &[u8], current: &[u8]) -> Result<(), Fail> {
    /// The bits that every processor has (the Intel manual's volume 1, 11.6.6).
    const LEAST: u32 = 0xffbf;
    let mask = match half_word(current, MXCSR_MASK_AT) {
        0 => LEAST,
        mask => mask,
    };
    if half_word(bytes, MXCSR_AT) & !mask == 0 {
        Ok(())
    } else {
        Err(fail(errno::EINVAL, "bits of MXCSR that there are not"))
    }
}

/// Returns the size of the state behind which a second magic number is to be found, if there is more than the legacy
/// part and it fits what the processor has.
fn extended_size(sw_bytes: &FpxSwBytes, host_size: usize) -> Option<usize> {
    let size = usize::try_from(sw_bytes.xstate_size).ok()?;
    let is_sound = sw_bytes.magic1 == FP_XSTATE_MAGIC1
        && (MIN_XSTATE_BYTES..=host_size).contains(&size)
        && sw_bytes.xstate_size <= sw_bytes.extended_size;
    is_sound.then_some(size)
}

/// Returns the features that the processor saves: Linux tells them in the spare bytes, otherwise those that are in use.
fn features_of(bytes: &[u8]) -> u64 {
    match word(bytes, SW_BYTES_AT) {
        0 => word(bytes, LEGACY_BYTES) | LEGACY_FEATURES,
        features => features,
    }
}

fn word(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|bytes| u64::read_from_bytes(bytes).ok()).unwrap_or(0)
}

fn half_word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|bytes| u32::read_from_bytes(bytes).ok()).unwrap_or(0)
}

fn put(bytes: &mut [u8], at: usize, part: &[u8]) {
    if let Some(place) = bytes.get_mut(at..at + part.len()) {
        place.copy_from_slice(part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host_state() -> FpuState {
        let mut bytes = vec![0xaa; 832];
        put(&mut bytes, SW_BYTES_AT, &7_u64.to_le_bytes());
        put(&mut bytes, LEGACY_BYTES, &6_u64.to_le_bytes());
        FpuState::from_bytes(bytes)
    }

    #[test]
    fn frames_say_how_much_there_is() {
        let bytes = to_frame(&host_state());
        let sw_bytes = FpxSwBytes::read_from_bytes(&bytes[464..512]).unwrap();
        assert_eq!((sw_bytes.magic1, sw_bytes.xfeatures), (FP_XSTATE_MAGIC1, 7));
        assert_eq!((sw_bytes.xstate_size, sw_bytes.extended_size), (832, 836));
        assert_eq!(bytes.len(), frame_bytes(&host_state()));
        assert_eq!(bytes[832..], FP_XSTATE_MAGIC2.to_le_bytes());
        assert_eq!(extended_size(&sw_bytes, 832), Some(832));
    }

    #[test]
    fn hostile_sizes_are_not_believed() {
        let bytes = to_frame(&host_state());
        let good = FpxSwBytes::read_from_bytes(&bytes[464..512]).unwrap();
        for bad in [
            FpxSwBytes { magic1: 0, ..good },
            FpxSwBytes { xstate_size: u32::MAX, extended_size: u32::MAX, ..good },
            FpxSwBytes { xstate_size: 575, ..good },
            FpxSwBytes { xstate_size: 833, extended_size: 900, ..good },
            FpxSwBytes { extended_size: 831, ..good },
        ] {
            assert_eq!(extended_size(&bad, 832), None, "{bad:?}");
        }
    }

    #[test]
    fn bits_of_mxcsr_that_there_are_not() {
        let current = vec![0; 576];
        let mut bytes = current.clone();
        put(&mut bytes, MXCSR_AT, &0x1f80_u32.to_le_bytes());
        check_mxcsr(&bytes, &current).expect("all have these");
        put(&mut bytes, MXCSR_AT, &0x1_0000_u32.to_le_bytes());
        assert!(check_mxcsr(&bytes, &current).is_err_and(|failure| failure.is(errno::EINVAL)));
    }
}
