//! Any file is a program or is refused, and what a program wants mapped is within what it says.

#![no_main]

use cloister_abi::errno::EIO;
use cloister_elf::Elf;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|file: &[u8]| {
    let parsed = Elf::parse(|offset, into| {
        let start = usize::try_from(offset).map_err(|_| EIO)?;
        let end = start.checked_add(into.len()).ok_or(EIO)?;
        into.copy_from_slice(file.get(start..end).ok_or(EIO)?);
        Ok(())
    });
    let Ok(elf) = parsed else { return };
    for segment in &elf.segments {
        let pages = segment.pages();
        assert!(elf.range.start <= pages.start && pages.end <= elf.range.end);
        let parts = [segment.file_pages().map(|file| file.range), segment.cleared(), segment.zero_pages()];
        for part in parts.into_iter().flatten() {
            assert!(pages.start <= part.start && part.start < part.end && part.end <= pages.end);
        }
    }
});
