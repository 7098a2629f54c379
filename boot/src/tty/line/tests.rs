//! Tables of what is typed, what is shown and what can be read.

use super::*;
use crate::tty::termios::{LocalModes, OutputModes};

/// A line with the standard settings, changed.
fn line(change: impl FnOnce(&mut Termios)) -> Line {
    let mut line = Line::default();
    let mut termios = Termios::default();
    change(&mut termios);
    line.set_termios(termios);
    line
}

/// Types `keys` and returns what is shown, as text.
fn type_keys(line: &mut Line, keys: &[u8]) -> String {
    let (taken, _) = line.receive(keys);
    assert_eq!(taken, keys.len(), "all of {keys:?} is received");
    shown(line)
}

fn shown(line: &mut Line) -> String {
    String::from_utf8_lossy(&line.take_output(usize::MAX)).into_owned()
}

/// Reads until there is nothing left.
fn read_all(line: &mut Line) -> Vec<String> {
    let mut all = Vec::new();
    while let Some(bytes) = line.read(4096) {
        all.push(String::from_utf8_lossy(&bytes).into_owned());
    }
    all
}

#[test]
fn lines_are_edited_and_echoed() {
    let cases: [(&[u8], &str, &[&str]); 16] = [
        (b"ab\x7fc\n", "ab\x08 \x08c\r\n", &["ac\n"]),
        (b"\x7f\x7fx\n", "x\r\n", &["x\n"]),
        (b"one two\x17x\n", "one two\x08 \x08\x08 \x08\x08 \x08x\r\n", &["one x\n"]),
        (b"a-b. \x17x\n", "a-b. \x08 \x08\x08 \x08\x08 \x08x\r\n", &["a-x\n"]),
        (b"abc\x15d\n", "abc\x08 \x08\x08 \x08\x08 \x08d\r\n", &["d\n"]),
        (b"ab\rcd\n", "ab\r\ncd\r\n", &["ab\n", "cd\n"]),
        (b"a\x01\x7fb\n", "a^A\x08 \x08\x08 \x08b\r\n", &["ab\n"]),
        (b"a\tb\x7f\x7fc\n", "a\tb\x08 \x08\x08\x08\x08\x08\x08\x08\x08c\r\n", &["ac\n"]),
        (b"ab\x12c\n", "ab^R\r\nabc\r\n", &["abc\n"]),
        (b"a\x16\x03b\n", "a^\x08^Cb\r\n", &["a\x03b\n"]),
        (b"a\x16\nb\n", "a^\x08^Jb\r\n", &["a\nb\n"]),
        (b"ab\x04", "ab", &["ab"]),
        (b"\x04", "", &[""]),
        (b"ab\x04\x04c\n", "abc\r\n", &["ab", "", "c\n"]),
        (b"a\x13b\x11c\n", "abc\r\n", &["abc\n"]),
        (b"nothing yet", "nothing yet", &[]),
    ];
    for (keys, expected, reads) in cases {
        let mut line = Line::default();
        assert_eq!(type_keys(&mut line, keys), expected, "the echo of {keys:?}");
        assert_eq!(read_all(&mut line), reads, "what {keys:?} gives");
    }
}

#[test]
fn settings_change_the_echo() {
    let without = |modes: LocalModes| move |termios: &mut Termios| termios.local.remove(modes);
    let cases: [(&str, Line, &[u8], &str); 8] = [
        ("-echo", line(without(LocalModes::ECHO)), b"a\x7fb\x15\n", ""),
        (
            "-echo echonl",
            line(|termios| {
                termios.local.remove(LocalModes::ECHO);
                termios.local.insert(LocalModes::ECHONL);
            }),
            b"ab\n",
            "\r\n",
        ),
        ("-echoe", line(without(LocalModes::ECHOE)), b"ab\x7f\x15\n", "ab^?^U\r\n\r\n"),
        ("-echoke", line(without(LocalModes::ECHOKE)), b"ab\x15\n", "ab^U\r\n\r\n"),
        ("-echok", line(without(LocalModes::ECHOK)), b"ab\x15\n", "ab^U\r\n"),
        ("-echoctl", line(without(LocalModes::ECHOCTL)), b"\x01\x7f\x16\x02\n", "\x01\x02\r\n"),
        (
            "echoprt",
            line(|termios| termios.local.insert(LocalModes::ECHOPRT)),
            b"abc\x7f\x7fd\n",
            "abc\\cb/d\r\n",
        ),
        (
            "iutf8",
            line(|termios| termios.input.insert(InputModes::IUTF8)),
            "aé\x7f\n".as_bytes(),
            "aé\x08 \x08\r\n",
        ),
    ];
    for (name, mut line, keys, expected) in cases {
        assert_eq!(type_keys(&mut line, keys), expected, "{name}");
    }
}

#[test]
fn input_is_translated() {
    let cases: [(InputModes, &[u8], &str); 5] = [
        (InputModes::ICRNL, b"a\rb\n", "a\nb\n"),
        (InputModes::IGNCR, b"a\rb\n", "ab\n"),
        (InputModes::INLCR, b"a\rb\n", "a\rb\r"),
        (InputModes::ISTRIP, b"\xe1\xe2\n", "ab\n"),
        (InputModes::IUCLC, b"AB\n", "ab\n"),
    ];
    for (modes, keys, expected) in cases {
        let mut line = line(|termios| {
            termios.input = modes;
            termios.local = LocalModes::IEXTEN;
        });
        line.receive(keys);
        assert_eq!(read_all(&mut line).concat(), expected, "{modes:?}");
    }
}

#[test]
fn output_is_translated() {
    let post = OutputModes::OPOST;
    let cases: [(OutputModes, &[u8], &str); 8] = [
        (OutputModes::ONLCR, b"a\nb", "a\nb"),
        (post | OutputModes::ONLCR, b"a\nb", "a\r\nb"),
        (post | OutputModes::OCRNL, b"a\rb", "a\nb"),
        (post | OutputModes::ONOCR, b"\ra\rb", "a\rb"),
        (post | OutputModes::ONOCR | OutputModes::ONLRET, b"a\n\rb", "a\nb"),
        (post | OutputModes::OLCUC, b"ab\n", "AB\n"),
        (post | OutputModes::XTABS, b"ab\tc\x08\td", "ab      c\x08        d"),
        (post, b"ab\tc", "ab\tc"),
    ];
    for (modes, bytes, expected) in cases {
        let mut line = line(|termios| termios.output = modes);
        assert_eq!(line.write(bytes), bytes.len());
        assert_eq!(shown(&mut line), expected, "{modes:?}");
    }
}

#[test]
fn signals_flush_unless_told_not_to() {
    let mut usual = Line::default();
    let (_, effects) = usual.receive(b"ab\n\x03x\x1cy\x1az");
    assert_eq!(effects.signals.as_slice(), [Signal::INT, Signal::QUIT, Signal::TSTP]);
    assert!(effects.has_flushed);
    assert_eq!(shown(&mut usual), "ab\r\n^Cx^\\y^Zz");
    usual.receive(b"\n");
    assert_eq!(read_all(&mut usual), ["z\n"]);

    let mut keeping = line(|termios| termios.local.insert(LocalModes::NOFLSH));
    let (_, effects) = keeping.receive(b"ab\x03c\n");
    assert_eq!((effects.signals.as_slice(), effects.has_flushed), ([Signal::INT].as_slice(), false));
    assert_eq!(read_all(&mut keeping), ["abc\n"]);

    let mut without = line(|termios| termios.local.remove(LocalModes::ISIG));
    let (_, effects) = without.receive(b"\x03\n");
    assert!(effects.signals.is_empty());
    assert_eq!(read_all(&mut without), ["\x03\n"]);
}

#[test]
fn stopped_output_waits() {
    let mut line = Line::default();
    let (_, effects) = line.receive(b"\x13");
    assert_eq!(effects.flow, Some(true));
    assert_eq!((line.write(b"x"), line.is_writable()), (0, false));
    assert_eq!(type_keys(&mut line, b"typed"), "");
    let (_, effects) = line.receive(b"\x11");
    assert_eq!((effects.flow, shown(&mut line).as_str()), (Some(false), "typed"));
    // Any key, if the settings say so.
    line.set_termios(Termios { input: line.termios().input | InputModes::IXANY, ..*line.termios() });
    line.receive(b"\x13");
    assert_eq!(type_keys(&mut line, b"a"), "a");
    // A request is ended by a request only.
    assert!(line.stop());
    assert_eq!(type_keys(&mut line, b"\x11b"), "");
    assert!(line.start());
    assert_eq!(shown(&mut line), "b");
    // Without flow control nothing could start it.
    line.receive(b"\x13");
    let without = Termios { input: InputModes::empty(), ..*line.termios() };
    assert!(line.set_termios(without) && line.is_writable());
}

#[test]
fn lines_are_read_in_parts() {
    let mut line = Line::default();
    line.receive(b"abc\nd\x04");
    assert_eq!(line.readable_bytes(), 5);
    assert_eq!(line.read(2).unwrap(), b"ab");
    assert_eq!(line.read(2).unwrap(), b"c\n");
    // The end of file just behind what was asked for goes with it.
    assert_eq!(line.read(1).unwrap(), b"d");
    assert_eq!((line.read(1), line.is_readable()), (None, false));
}

#[test]
fn raw_input_waits_for_the_minimum() {
    let raw = |minimum: u8, tenths: u8| {
        line(move |termios| {
            termios.local = LocalModes::empty();
            termios.codes[Code::Min as usize] = minimum;
            termios.codes[Code::Time as usize] = tenths;
        })
    };
    let mut three = raw(3, 0);
    three.receive(b"a\n");
    assert_eq!((three.is_readable(), three.readable_bytes()), (false, 2));
    three.receive(b"\x04");
    assert!(three.is_readable());
    assert_eq!(three.read(10).unwrap(), b"a\n\x04");
    assert_eq!(three.read(10), None);
    let mut timed = raw(3, 1);
    timed.receive(b"a");
    assert!(timed.is_readable());
    assert_eq!(timed.minimum(), Some(Minimum { bytes: 3, tenths: 1 }));
}

#[test]
fn an_overlong_line_can_be_ended() {
    let mut line = line(|termios| termios.local.remove(LocalModes::ECHO));
    assert_eq!(line.receive(&[b'x'; 5000]).0, 5000);
    assert!(!line.is_readable());
    line.receive(b"\n");
    let bytes = line.read(5000).unwrap();
    assert_eq!((bytes.len(), bytes.last()), (4096, Some(&b'\n')));
}

#[test]
fn input_and_output_are_bounded() {
    let mut line = Line::default();
    let lines = b"0123456\n".repeat(1000);
    let (taken, _) = line.receive(&lines);
    assert_eq!((taken, line.has_room()), (4095, false));
    let mut full = Line::default();
    assert!(full.write(&[b'\n'; 10_000]) < 5000);
    assert!(!full.is_writable());
    // The echo has room of its own.
    full.receive(b"abc\n");
    full.receive(&[b'x'; 20_000]);
    assert!(full.output_len() < 13_000);
    full.flush_output(MASTER_BUFFER);
    assert_eq!(full.output_len(), MASTER_BUFFER);
}

#[test]
fn typed_input_is_readable_once_lines_do_not_count() {
    let mut line = Line::default();
    line.receive(b"ab");
    assert!(!line.is_readable());
    let canonical = *line.termios();
    line.set_termios(Termios { local: LocalModes::empty(), ..canonical });
    assert!(line.is_readable());
    line.set_termios(canonical);
    assert_eq!(line.read(10).unwrap(), b"ab");
}

#[test]
fn images_survive_a_round_trip() {
    let mut line = Line::default();
    line.receive(b"one\ntwo\x04thr\x16");
    line.write(b"\toutput");
    line.stop();
    line.receive(b"\x05");
    let bytes = serde_json::to_vec(&line).unwrap();
    let restored: Line = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(restored, line);
}
