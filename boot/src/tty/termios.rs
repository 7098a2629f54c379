//! The settings of a terminal (`termios(3)`) and their form in guest memory.

use bitflags::bitflags;
use cloister_abi::ioctl;
use serde::{Deserialize, Serialize};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes};

use crate::error::Fail;
use crate::mm::UserMemory;
use crate::prelude::uapi;
use crate::syscall::Address;

bitflags! {
    /// `c_iflag`: what is done with input.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
    pub(crate) struct InputModes: u32 {
        /// Mark `\377` by doubling it.
        const PARMRK = uapi::PARMRK;
        /// Strip the eighth bit.
        const ISTRIP = uapi::ISTRIP;
        /// NL becomes CR.
        const INLCR = uapi::INLCR;
        /// CR is ignored.
        const IGNCR = uapi::IGNCR;
        /// CR becomes NL.
        const ICRNL = uapi::ICRNL;
        /// Upper case becomes lower case.
        const IUCLC = uapi::IUCLC;
        /// STOP and START hold output up.
        const IXON = uapi::IXON;
        /// Any character starts output again.
        const IXANY = uapi::IXANY;
        /// Input is UTF-8: erasing takes whole characters.
        const IUTF8 = uapi::IUTF8;
        /// The others change nothing.
        const _ = !0;
    }

    /// `c_oflag`: what is done with output.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
    pub(crate) struct OutputModes: u32 {
        /// The others have an effect.
        const OPOST = uapi::OPOST;
        /// Lower case becomes upper case.
        const OLCUC = uapi::OLCUC;
        /// NL becomes CR NL.
        const ONLCR = uapi::ONLCR;
        /// CR becomes NL.
        const OCRNL = uapi::OCRNL;
        /// No CR in the first column.
        const ONOCR = uapi::ONOCR;
        /// NL does what CR does.
        const ONLRET = uapi::ONLRET;
        /// Tabs become spaces (the two bits of `TABDLY`).
        const XTABS = uapi::XTABS;
        /// The others change nothing.
        const _ = !0;
    }

    /// `c_lflag`: how lines are edited and echoed.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
    pub(crate) struct LocalModes: u32 {
        /// INTR, QUIT and SUSP send signals.
        const ISIG = uapi::ISIG;
        /// Input is read by lines, which can be edited.
        const ICANON = uapi::ICANON;
        /// Input is echoed.
        const ECHO = uapi::ECHO;
        /// ERASE and WERASE wipe characters out.
        const ECHOE = uapi::ECHOE;
        /// KILL is echoed with NL behind it.
        const ECHOK = uapi::ECHOK;
        /// NL is echoed even without `ECHO`.
        const ECHONL = uapi::ECHONL;
        /// Signals leave the queues alone.
        const NOFLSH = uapi::NOFLSH;
        /// Background processes that write are stopped.
        const TOSTOP = uapi::TOSTOP;
        /// Control characters are echoed as `^X`.
        const ECHOCTL = uapi::ECHOCTL;
        /// Erased characters are printed between `\` and `/`.
        const ECHOPRT = uapi::ECHOPRT;
        /// KILL wipes each character out.
        const ECHOKE = uapi::ECHOKE;
        /// WERASE, LNEXT, REPRINT and EOL2 mean something.
        const IEXTEN = uapi::IEXTEN;
        /// The others change nothing.
        const _ = !0;
    }
}

/// The special characters, by their index in `c_cc`, with the names of `termios(3)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    Intr = 0,
    Quit = 1,
    Erase = 2,
    Kill = 3,
    Eof = 4,
    Time = 5,
    Min = 6,
    Start = 8,
    Stop = 9,
    Susp = 10,
    Eol = 11,
    Reprint = 12,
    WordErase = 14,
    LiteralNext = 15,
    Eol2 = 16,
}

/// The settings of a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Termios {
    /// What is done with input.
    pub(crate) input: InputModes,
    /// What is done with output.
    pub(crate) output: OutputModes,
    /// Speed and format of the line, which mean nothing here.
    pub(crate) control: u32,
    /// How lines are edited and echoed.
    pub(crate) local: LocalModes,
    /// The number of the line discipline.
    pub(crate) line: u8,
    /// The special characters.
    pub(crate) codes: [u8; 19],
    /// The speed of input in bits per second.
    pub(crate) input_speed: u32,
    /// The speed of output.
    pub(crate) output_speed: u32,
}

/// A new terminal: Linux' standard settings, those of `stty sane`.
impl Default for Termios {
    fn default() -> Self {
        const CODES: [u8; 17] = [3, 28, 127, 21, 4, 0, 1, 0, 17, 19, 26, 0, 18, 15, 23, 22, 0];
        let mut codes = [0; 19];
        for (code, default) in codes.iter_mut().zip(CODES) {
            *code = default;
        }
        Self {
            input: InputModes::ICRNL | InputModes::IXON,
            output: OutputModes::OPOST | OutputModes::ONLCR,
            control: uapi::B38400 | uapi::CS8 | uapi::CREAD,
            local: LocalModes::ISIG
                | LocalModes::ICANON
                | LocalModes::ECHO
                | LocalModes::ECHOE
                | LocalModes::ECHOK
                | LocalModes::ECHOCTL
                | LocalModes::ECHOKE
                | LocalModes::IEXTEN,
            line: 0,
            codes,
            input_speed: 38_400,
            output_speed: 38_400,
        }
    }
}

impl Termios {
    /// Returns a special character, `VMIN` or `VTIME`.
    pub(crate) fn code(&self, code: Code) -> u8 {
        self.codes.get(code as usize).copied().unwrap_or(0)
    }

    /// Returns whether `byte` is the special character `code`; 0 switches a character off.
    pub(crate) fn is(&self, byte: u8, code: Code) -> bool {
        byte != 0 && self.code(code) == byte
    }

    /// Returns whether input is read by lines.
    pub(crate) fn is_canonical(&self) -> bool {
        self.local.contains(LocalModes::ICANON)
    }

    /// Takes over what the guest gave. Of the format of a line without wires only eight bits are left.
    pub(crate) fn from_raw(raw: &RawTermios, form: Form) -> Self {
        let control = (raw.control & !(uapi::CSIZE | uapi::PARENB)) | uapi::CS8 | uapi::CREAD;
        let (input_speed, output_speed) = speeds(raw, form);
        Self {
            input: InputModes::from_bits_retain(raw.input),
            output: OutputModes::from_bits_retain(raw.output),
            control,
            local: LocalModes::from_bits_retain(raw.local),
            line: raw.line,
            codes: raw.codes,
            input_speed,
            output_speed,
        }
    }

    /// Returns the form that the guest is given.
    pub(crate) fn to_raw(self) -> RawTermios {
        RawTermios {
            input: self.input.bits(),
            output: self.output.bits(),
            control: self.control,
            local: self.local.bits(),
            line: self.line,
            codes: self.codes,
            input_speed: self.input_speed,
            output_speed: self.output_speed,
        }
    }
}

/// Returns the speeds of input and output: by their codes in `c_cflag`, or as numbers (`BOTHER`).
fn speeds(raw: &RawTermios, form: Form) -> (u32, u32) {
    let of_code = |code: u32, number: u32| match code & uapi::CBAUD {
        uapi::BOTHER if form == Form::WithSpeeds => number,
        code => BAUD_RATES.iter().find(|(known, _)| *known == code).map_or(38_400, |(_, rate)| *rate),
    };
    let output = of_code(raw.control, raw.output_speed);
    let input = match (raw.control >> uapi::IBSHIFT) & uapi::CBAUD {
        // B0: as the output.
        0 => output,
        code => of_code(code, raw.input_speed),
    };
    (input, output)
}

/// The speeds that have a code.
const BAUD_RATES: [(u32, u32); 31] = [
    (uapi::B0, 0),
    (uapi::B50, 50),
    (uapi::B75, 75),
    (uapi::B110, 110),
    (uapi::B134, 134),
    (uapi::B150, 150),
    (uapi::B200, 200),
    (uapi::B300, 300),
    (uapi::B600, 600),
    (uapi::B1200, 1200),
    (uapi::B1800, 1800),
    (uapi::B2400, 2400),
    (uapi::B4800, 4800),
    (uapi::B9600, 9600),
    (uapi::B19200, 19_200),
    (uapi::B38400, 38_400),
    (uapi::B57600, 57_600),
    (uapi::B115200, 115_200),
    (uapi::B230400, 230_400),
    (uapi::B460800, 460_800),
    (uapi::B500000, 500_000),
    (uapi::B576000, 576_000),
    (uapi::B921600, 921_600),
    (uapi::B1000000, 1_000_000),
    (uapi::B1152000, 1_152_000),
    (uapi::B1500000, 1_500_000),
    (uapi::B2000000, 2_000_000),
    (uapi::B2500000, 2_500_000),
    (uapi::B3000000, 3_000_000),
    (uapi::B3500000, 3_500_000),
    (uapi::B4000000, 4_000_000),
];

/// `struct termios2` of the kernel; `struct termios` is what is before the speeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub(crate) struct RawTermios {
    /// `c_iflag`.
    pub(crate) input: u32,
    /// `c_oflag`.
    pub(crate) output: u32,
    /// `c_cflag`.
    pub(crate) control: u32,
    /// `c_lflag`.
    pub(crate) local: u32,
    /// `c_line`.
    pub(crate) line: u8,
    /// `c_cc`.
    pub(crate) codes: [u8; 19],
    /// `c_ispeed`.
    pub(crate) input_speed: u32,
    /// `c_ospeed`.
    pub(crate) output_speed: u32,
}

/// Which of the two structures a request uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// `struct termios`.
    Plain,
    /// `struct termios2`.
    WithSpeeds,
}

impl Form {
    /// Returns the size of the structure.
    const fn bytes(self) -> usize {
        match self {
            Self::Plain => 36,
            Self::WithSpeeds => size_of::<RawTermios>(),
        }
    }
}

impl RawTermios {
    /// Reads it from guest memory. In the plain form the speeds are zero.
    pub(crate) fn read(memory: &UserMemory, address: Address, form: Form) -> Result<Self, Fail> {
        let mut raw = Self::new_zeroed();
        memory.read_bytes(address, raw.as_mut_bytes().get_mut(..form.bytes()).unwrap_or_default())?;
        Ok(raw)
    }

    /// Writes it to guest memory.
    pub(crate) fn write(&self, memory: &UserMemory, address: Address, form: Form) -> Result<(), Fail> {
        memory.write_bytes(address, self.as_bytes().get(..form.bytes()).unwrap_or_default())
    }
}

/// A request about the settings (`ioctl_tty(2)`, "Get and set terminal attributes").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SettingsRequest {
    /// Tell them.
    Get(Form),
    /// Change them, once the output has drained or at once.
    Set(Form),
    /// Change them and forget the input.
    SetAndFlush(Form),
}

impl SettingsRequest {
    /// Returns what the number `request` of `ioctl(2)` asks for, if it is about the settings.
    pub(crate) fn new(request: u32) -> Option<Self> {
        Some(match request {
            ioctl::TCGETS => Self::Get(Form::Plain),
            ioctl::TCGETS2 => Self::Get(Form::WithSpeeds),
            ioctl::TCSETS | ioctl::TCSETSW => Self::Set(Form::Plain),
            ioctl::TCSETS2 | ioctl::TCSETSW2 => Self::Set(Form::WithSpeeds),
            ioctl::TCSETSF => Self::SetAndFlush(Form::Plain),
            ioctl::TCSETSF2 => Self::SetAndFlush(Form::WithSpeeds),
            _ => return None,
        })
    }
}

/// `struct winsize`: rows, columns, and the size in pixels.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, FromBytes, IntoBytes, Immutable,
)]
#[repr(C)]
pub(crate) struct WindowSize(pub(crate) [u16; 4]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layout_is_that_of_linux() {
        assert_eq!(size_of::<RawTermios>(), 44);
        assert_eq!(std::mem::offset_of!(RawTermios, input_speed), Form::Plain.bytes());
    }

    #[test]
    fn what_the_guest_sets_it_gets() {
        let default = Termios::default();
        let raw = default.to_raw();
        assert_eq!(Termios::from_raw(&raw, Form::Plain), default);
        let odd =
            RawTermios { control: uapi::BOTHER | uapi::PARENB | uapi::CS5, output_speed: 12_345, ..raw };
        let set = Termios::from_raw(&odd, Form::WithSpeeds);
        assert_eq!((set.input_speed, set.output_speed), (12_345, 12_345));
        assert_eq!(set.control, uapi::BOTHER | uapi::CS8 | uapi::CREAD);
        let split = RawTermios { control: uapi::B9600 | (uapi::B50 << uapi::IBSHIFT), ..raw };
        let set = Termios::from_raw(&split, Form::Plain);
        assert_eq!((set.input_speed, set.output_speed), (50, 9600));
    }

    #[test]
    fn images_survive_a_round_trip() {
        let termios = Termios::default();
        let bytes = serde_json::to_vec(&termios).unwrap();
        assert_eq!(serde_json::from_slice::<Termios>(&bytes).unwrap(), termios);
    }
}
