//! The ELF file around the functions: a shared object as C libraries expect it (`elf(5)`, Linux Standard Base for
//! the versions).

use std::sync::LazyLock;

use super::code::{self, Function};

/// Where the parts are in the file, which is loaded as it is.
#[derive(Default)]
struct Parts {
    symbols: usize,
    hash: usize,
    versions: usize,
    definitions: usize,
    strings: usize,
    strings_length: usize,
    dynamic: usize,
    code: usize,
    end: usize,
}

const HEADERS: usize = 64 + 3 * 56;
const SYMBOL: usize = 24;
const DYNAMIC: usize = 10 * 16;
const OBJECT_NAME: &str = "linux-vdso.so.1";
const VERSION: &str = "LINUX_2.6";

/// Returns the image: whole pages, to be mapped readable and executable at any page.
pub fn image() -> &'static [u8] {
    static IMAGE: LazyLock<Vec<u8>> = LazyLock::new(build);
    &IMAGE
}

/// The strings of the file, and where each begins.
struct Strings(Vec<u8>);

impl Strings {
    fn add(&mut self, string: &str) -> usize {
        let at = self.0.len();
        self.0.extend(string.as_bytes());
        self.0.push(0);
        at
    }
}

fn build() -> Vec<u8> {
    let functions = code::functions();
    let mut strings = Strings(vec![0]);
    let object_name = strings.add(OBJECT_NAME);
    let version = strings.add(VERSION);
    // Every function by two names: with the prefix, and, weak, as the C library calls it.
    let symbols: Vec<(usize, u8, &Function)> = functions
        .iter()
        .flat_map(|function| {
            let prefixed = strings.add(&format!("__vdso_{}", function.name));
            // The shorter name is the end of the longer.
            [(prefixed, 0x12, function), (prefixed + "__vdso_".len(), 0x22, function)]
        })
        .collect();
    let count = symbols.len() + 1;

    let mut parts = Parts { symbols: HEADERS, strings_length: strings.0.len(), ..Parts::default() };
    parts.hash = parts.symbols + count * SYMBOL;
    parts.versions = parts.hash + (3 + count) * 4;
    parts.definitions = (parts.versions + count * 2).next_multiple_of(4);
    parts.strings = parts.definitions + 2 * 28;
    parts.dynamic = (parts.strings + parts.strings_length).next_multiple_of(8);
    parts.code = (parts.dynamic + DYNAMIC).next_multiple_of(16);
    parts.end = parts.code + code::bytes().len();

    let mut file = Vec::with_capacity(4096);
    push_headers(&mut file, &parts);
    push_symbols(&mut file, &parts, &symbols);
    push_hash(&mut file, count);
    push_versions(&mut file, &parts, count, [(OBJECT_NAME, object_name), (VERSION, version)]);
    file.extend(&strings.0);
    file.resize(parts.dynamic, 0);
    push_dynamic(&mut file, &parts, object_name);
    file.resize(parts.code, 0);
    file.extend(code::bytes());
    file.resize(parts.end.next_multiple_of(4096), 0);
    file
}

fn push_headers(file: &mut Vec<u8>, parts: &Parts) {
    file.extend(b"\x7fELF\x02\x01\x01");
    file.resize(16, 0);
    file.extend(3_u16.to_le_bytes()); // ET_DYN
    file.extend(62_u16.to_le_bytes()); // EM_X86_64
    file.extend(1_u32.to_le_bytes());
    file.extend(0_u64.to_le_bytes()); // no entry
    file.extend(64_u64.to_le_bytes());
    file.extend(0_u64.to_le_bytes()); // no sections
    file.extend(0_u32.to_le_bytes());
    for half in [64_u16, 56, 3, 64, 0, 0] {
        file.extend(half.to_le_bytes());
    }
    let mut header = |kind: u32, flags: u32, at: usize, length: usize, align: u64| {
        file.extend(kind.to_le_bytes());
        file.extend(flags.to_le_bytes());
        for word in [at, at, at, length, length] {
            file.extend((word as u64).to_le_bytes());
        }
        file.extend(align.to_le_bytes());
    };
    header(1, 5, 0, parts.end, 4096); // PT_LOAD, R-X
    header(2, 4, parts.dynamic, DYNAMIC, 8); // PT_DYNAMIC
    header(0x6474_e551, 4, 0, 0, 8); // PT_GNU_STACK, not executable
}

fn push_symbols(file: &mut Vec<u8>, parts: &Parts, symbols: &[(usize, u8, &Function)]) {
    file.extend([0; SYMBOL]);
    for (name, info, function) in symbols {
        push_u32(file, *name);
        // In section 1, which does not exist: all that matters is that it is defined and relative to the image.
        file.extend([*info, 0, 1, 0]);
        file.extend(((parts.code + function.offset) as u64).to_le_bytes());
        file.extend((function.length as u64).to_le_bytes());
    }
}

/// One chain through all symbols: they are few.
fn push_hash(file: &mut Vec<u8>, count: usize) {
    for word in [1, count, 1, 0] {
        push_u32(file, word); // buckets, chains, the bucket, the chain of symbol 0
    }
    for next in 2..=count {
        push_u32(file, if next < count { next } else { 0 });
    }
}

fn push_versions(file: &mut Vec<u8>, parts: &Parts, count: usize, names: [(&str, usize); 2]) {
    file.extend([0, 0]);
    for _ in 1..count {
        file.extend(2_u16.to_le_bytes());
    }
    file.resize(parts.definitions, 0);
    for (index, (name, at)) in (1_u16..).zip(names) {
        let is_base = index == 1;
        for half in [1, u16::from(is_base), index, 1] {
            file.extend(half.to_le_bytes()); // version of the structure, flags, index, one name
        }
        file.extend(hash(name).to_le_bytes());
        push_u32(file, 20); // where the name is
        push_u32(file, if is_base { 28 } else { 0 }); // where the next one is
        push_u32(file, at);
        push_u32(file, 0);
    }
}

fn push_dynamic(file: &mut Vec<u8>, parts: &Parts, object_name: usize) {
    let entries: [(u64, usize); 10] = [
        (14, object_name),                // DT_SONAME
        (4, parts.hash),                  // DT_HASH
        (5, parts.strings),               // DT_STRTAB
        (10, parts.strings_length),       // DT_STRSZ
        (6, parts.symbols),               // DT_SYMTAB
        (11, SYMBOL),                     // DT_SYMENT
        (0x6fff_fff0, parts.versions),    // DT_VERSYM
        (0x6fff_fffc, parts.definitions), // DT_VERDEF
        (0x6fff_fffd, 2),                 // DT_VERDEFNUM
        (0, 0),
    ];
    for (tag, value) in entries {
        file.extend(tag.to_le_bytes());
        file.extend((value as u64).to_le_bytes());
    }
}

fn push_u32(file: &mut Vec<u8>, value: usize) {
    file.extend(u32::try_from(value).expect("the image is small").to_le_bytes());
}

/// The hash of a name (System V ABI, "Hash Table").
fn hash(name: &str) -> u32 {
    name.bytes().fold(0_u32, |hash, byte| {
        let hash = (hash << 4).wrapping_add(byte.into());
        let high = hash & 0xf000_0000;
        (hash ^ (high >> 24)) & !high
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_has_the_hash_that_libraries_look_for() {
        assert_eq!(hash("LINUX_2.6"), 0x3ae_75f6);
    }

    #[test]
    fn image_is_a_page() {
        assert_eq!(image().len(), 4096);
    }
}
