//! The parser against system programs as `readelf` sees them, made-up headers, and garbage.

#![expect(clippy::tests_outside_test_module, reason = "the whole crate is one")]
#![expect(clippy::unwrap_used, reason = "a test ends with what failed")]

use std::os::unix::fs::FileExt;
use std::process::Command;

use cloister_abi::Errno;
use cloister_abi::errno::{EIO, ENOEXEC};
use cloister_elf::{Access, Elf, Kind, Segment, Stack};
use proptest::prelude::{any, prop, proptest};

fn parse(file: &[u8]) -> Result<Elf, Errno> {
    Elf::parse(|offset, into| {
        let start = usize::try_from(offset).map_err(|_| EIO)?;
        let end = start.checked_add(into.len()).ok_or(EIO)?;
        into.copy_from_slice(file.get(start..end).ok_or(EIO)?);
        Ok(())
    })
}

/// A segment as bytes: type, flags, offset, address, size in the file, size in memory, alignment.
type Header = (u32, u32, u64, u64, u64, u64, u64);

fn program(kind: u16, headers: &[Header]) -> Vec<u8> {
    let mut file = b"\x7fELF\x02\x01\x01".to_vec();
    file.resize(16, 0);
    file.extend(kind.to_le_bytes());
    file.extend(62_u16.to_le_bytes());
    file.extend(1_u32.to_le_bytes());
    file.extend(0x40_1000_u64.to_le_bytes());
    file.extend(64_u64.to_le_bytes());
    file.resize(54, 0);
    file.extend(56_u16.to_le_bytes());
    file.extend(u16::try_from(headers.len()).unwrap().to_le_bytes());
    file.resize(64, 0);
    for &(kind, flags, offset, address, file_bytes, bytes, align) in headers {
        file.extend(kind.to_le_bytes());
        file.extend(flags.to_le_bytes());
        for word in [offset, address, address, file_bytes, bytes, align] {
            file.extend(word.to_le_bytes());
        }
    }
    file
}

const TEXT: Header = (1, 5, 0, 0x40_0000, 0x1800, 0x1800, 0x1000);

#[test]
fn segments_become_mappings() {
    let data = (1, 6, 0x1800, 0x40_2800, 0x900, 0x3000, 0x20_0000);
    let elf = parse(&program(2, &[TEXT, data])).unwrap();
    assert_eq!((elf.kind, elf.entry, elf.stack), (Kind::Fixed, 0x40_1000, Stack::NotExecutable));
    assert_eq!((elf.headers, elf.header_count, elf.alignment), (Some(0x40_0040), 2, 0x20_0000));
    assert_eq!(elf.range, 0x40_0000..0x40_6000);
    let [text, data] = &elf.segments[..] else { panic!("{:?}", elf.segments) };
    assert_eq!(text.access, Access::READ | Access::EXECUTE);
    let pages = text.file_pages().unwrap();
    assert_eq!((pages.range, pages.offset), (0x40_0000..0x40_2000, 0));
    assert_eq!((text.cleared(), text.zero_pages()), (None, None));
    let pages = data.file_pages().unwrap();
    assert_eq!((pages.range, pages.offset), (0x40_2000..0x40_4000, 0x1000));
    assert_eq!(data.cleared(), Some(0x40_3100..0x40_4000));
    assert_eq!(data.zero_pages(), Some(0x40_4000..0x40_6000));
}

#[test]
fn segment_without_file_is_all_zero_pages() {
    let bss = (1, 6, 0x123, 0x50_0800, 0, 0x1000, 0x1000);
    let elf = parse(&program(3, &[TEXT, bss])).unwrap();
    assert_eq!(elf.kind, Kind::PositionIndependent);
    let bss = &elf.segments[1];
    assert_eq!((bss.file_pages(), bss.cleared()), (None, None));
    assert_eq!(bss.zero_pages(), Some(0x50_0000..0x50_2000));
}

#[test]
fn first_interpreter_and_last_stack_count() {
    let mut file = program(
        3,
        &[
            TEXT,
            (3, 4, 0x200, 0, 8, 8, 1),
            (3, 4, 0x208, 0, 4, 4, 1),
            (0x6474_e551, 7, 0, 0, 0, 0, 0),
            (0x6474_e551, 6, 0, 0, 0, 0, 0),
        ],
    );
    file.resize(0x200, 0);
    file.extend(b"/lib/ld\0/x\0");
    let elf = parse(&file).unwrap();
    assert_eq!(elf.interpreter.as_deref(), Some(c"/lib/ld"));
    assert_eq!(elf.stack, Stack::NotExecutable);

    file[0x207] = b'!';
    assert_eq!(parse(&file), Err(ENOEXEC), "no end");
    let file = program(3, &[TEXT, (3, 4, 0x20_0000, 0, 8, 8, 1)]);
    assert_eq!(parse(&file), Err(EIO), "beyond the end of the file");
    for length in [0, 1, 4097, u64::MAX] {
        assert_eq!(parse(&program(3, &[TEXT, (3, 4, 0, 0, length, 8, 1)])), Err(ENOEXEC));
    }
}

#[test]
fn what_linux_refuses_is_refused() {
    let good = program(2, &[TEXT]);
    parse(&good).unwrap();
    // Magic, type, machine, size and number of headers.
    for (at, value) in [(0, 0), (16, 1), (16, 4), (18, 3), (54, 55), (56, 0), (57, 0xff)] {
        let mut bad = good.clone();
        bad[at] = value;
        assert_eq!(parse(&bad), Err(ENOEXEC), "byte {at} = {value}");
    }
    for length in 0..good.len() {
        assert_eq!(parse(&good[..length]), Err(ENOEXEC), "{length} bytes");
    }
    let end = 0x7fff_ffff_f000;
    for segment in [
        (1, 5, 0, 0x40_0000, 0x1801, 0x1800, 0x1000), // more in the file than in memory
        (1, 5, 0, end, 0, 1, 0x1000),                 // beyond the user's addresses
        (1, 5, 0, u64::MAX, 0, 1, 0x1000),
        (1, 5, 0, 0x1000, 0, u64::MAX, 0x1000),
        (1, 5, u64::MAX - 0xfff, 0x40_0000, 0x1000, 0x1000, 0x1000), // offset overflows
        (1, 5, 1, 0x40_0000, 0x1000, 0x1000, 0x1000),                // can't be mapped
        (2, 5, 0, 0x40_0000, 0x1000, 0x1000, 0x1000),                // nothing to load
    ] {
        assert_eq!(parse(&program(2, &[segment])), Err(ENOEXEC), "{segment:x?}");
    }
}

/// Compares with the other parser on this machine, where there is one.
#[test]
fn system_programs_are_seen_as_readelf_sees_them() {
    let this = std::env::current_exe().unwrap();
    let mut compared = 0;
    for path in ["/bin/sh", "/bin/ls", "/lib64/ld-linux-x86-64.so.2", "/usr/bin/env", this.to_str().unwrap()]
    {
        let Ok(file) = std::fs::File::open(path) else { continue };
        let output = Command::new("readelf").args(["-lW", path]).env("LC_ALL", "C").output();
        let Ok(output) = output else { return };
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let elf = Elf::parse(|offset, into| file.read_exact_at(into, offset).map_err(Errno::from)).unwrap();
        compare(&elf, &text);
        compared += 1;
    }
    assert!(compared > 0);
}

fn compare(elf: &Elf, text: &str) {
    let hex = |word: &str| u64::from_str_radix(word.trim_start_matches("0x"), 16).unwrap();
    let loads = text.lines().filter_map(|line| line.trim_start().strip_prefix("LOAD "));
    let theirs: Vec<_> = loads
        .map(|line| {
            let words: Vec<_> = line.split_whitespace().collect();
            let flags = words[5..words.len() - 1].concat();
            (hex(words[0]), hex(words[1]), hex(words[3]), hex(words[4]), flags)
        })
        .collect();
    let ours: Vec<_> = elf
        .segments
        .iter()
        .map(|segment| {
            let flags = [(Access::READ, "R"), (Access::WRITE, "W"), (Access::EXECUTE, "E")]
                .map(|(access, letter)| if segment.access.contains(access) { letter } else { "" })
                .concat();
            let Segment { range, offset, file_bytes, .. } = segment;
            (*offset, range.start, *file_bytes, range.end - range.start, flags)
        })
        .collect();
    assert_eq!(ours, theirs);
    let entry = text.lines().find_map(|line| line.strip_prefix("Entry point ")).unwrap();
    assert_eq!(elf.entry, hex(entry));
    let interpreter = text.split("Requesting program interpreter: ").nth(1);
    let interpreter = interpreter.and_then(|rest| rest.split(']').next());
    assert_eq!(elf.interpreter.as_ref().map(|path| path.to_str().unwrap()), interpreter);
}

proptest! {
    #[test]
    fn garbage_does_not_panic(
        headers in prop::collection::vec(any::<Header>(), 1..6),
        kinds in prop::collection::vec(prop::sample::select(vec![1_u32, 3, 0x6474_e551]), 6),
        // Small numbers get past the checks.
        mask in prop::sample::select(vec![u64::MAX, 0xffff, 0x7000]),
        tail in prop::collection::vec(any::<u8>(), 0..512),
        flip in any::<(prop::sample::Index, u8)>(),
    ) {
        let headers: Vec<_> = headers
            .into_iter()
            .zip(kinds)
            .map(|((_, flags, offset, address, file_bytes, bytes, align), kind)| {
                (kind, flags, offset & mask, address & mask, file_bytes & mask, bytes & mask, align)
            })
            .collect();
        let mut file = program(3, &headers);
        file.extend(tail);
        let at = flip.0.index(file.len());
        file[at] ^= flip.1;
        if let Ok(elf) = parse(&file) {
            for segment in &elf.segments {
                let pages = segment.pages();
                assert!(elf.range.start <= pages.start && pages.end <= elf.range.end);
                for part in [segment.file_pages().map(|pages| pages.range), segment.cleared(), segment.zero_pages()] {
                    let part = part.unwrap_or_else(|| pages.clone());
                    assert!(pages.start <= part.start && part.start <= part.end && part.end <= pages.end);
                }
            }
        }
    }
}
