//! `/proc/cpuinfo`.

use std::arch::x86_64::{__cpuid, __cpuid_count};
use std::fmt::Write;

use crate::kernel::Kernel;

/// Makes the text: the processor as its `CPUID` instruction tells, once for each that the guest has.
pub(super) fn text(kernel: &Kernel) -> String {
    let processor = Processor::read();
    let cpus = kernel.options.cpus;
    let mut text = String::new();
    for cpu in 0..cpus {
        // Writing to a string can't fail.
        let _ = write!(
            text,
            "processor\t: {cpu}\nvendor_id\t: {}\ncpu family\t: {}\nmodel\t\t: {}\nmodel name\t: {}\nstepping\t: {}\n\
             cpu MHz\t\t: 2000.000\ncache size\t: 512 KB\nphysical id\t: 0\nsiblings\t: {cpus}\ncore id\t\t: {cpu}\n\
             cpu cores\t: {cpus}\napicid\t\t: {cpu}\ninitial apicid\t: {cpu}\nfpu\t\t: yes\nfpu_exception\t: yes\n\
             cpuid level\t: {}\nwp\t\t: yes\nflags\t\t:{}\nbogomips\t: 4000.00\nclflush size\t: 64\n\
             cache_alignment\t: 64\naddress sizes\t: 48 bits physical, 48 bits virtual\npower management:\n\n",
            processor.vendor,
            processor.family,
            processor.model,
            processor.name,
            processor.stepping,
            processor.level,
            processor.flags,
        );
    }
    text
}

struct Processor {
    vendor: String,
    name: String,
    level: u32,
    family: u32,
    model: u32,
    stepping: u32,
    flags: String,
}

impl Processor {
    fn read() -> Self {
        let base = __cpuid(0);
        let vendor = text_of(&[base.ebx, base.edx, base.ecx]);
        let signature = __cpuid(1).eax;
        let field = |shift: u32, bits: u32| (signature >> shift) & ((1 << bits) - 1);
        let mut family = field(8, 4);
        let mut model = field(4, 4);
        if family == 6 || family == 15 {
            model |= field(16, 4) << 4;
        }
        if family == 15 {
            family += field(20, 8);
        }
        let name = (0x8000_0002..=0x8000_0004)
            .flat_map(|leaf| {
                let part = __cpuid(leaf);
                [part.eax, part.ebx, part.ecx, part.edx]
            })
            .collect::<Vec<_>>();
        let name = text_of(&name).trim().to_owned();
        Self { vendor, name, level: base.eax, family, model, stepping: field(0, 4), flags: flags() }
    }
}

fn text_of(registers: &[u32]) -> String {
    let bytes: Vec<u8> =
        registers.iter().flat_map(|register| register.to_le_bytes()).take_while(|b| *b != 0).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Returns the names of the features that the processor tells, each after a space.
fn flags() -> String {
    let (one, seven, extended) = (__cpuid(1), __cpuid_count(7, 0), __cpuid(0x8000_0001));
    let groups: [(u32, &[(u32, &str)]); 5] = [
        (one.edx, ONE_EDX),
        (extended.edx, EXTENDED_EDX),
        (one.ecx, ONE_ECX),
        (extended.ecx, EXTENDED_ECX),
        (seven.ebx, SEVEN_EBX),
    ];
    let names = groups
        .iter()
        .flat_map(|(register, names)| names.iter().filter(move |(bit, _)| register & (1 << bit) != 0));
    names.fold(String::new(), |text, (_, name)| text + " " + name)
}

/// The names as Linux writes them (`arch/x86/include/asm/cpufeatures.h`), with their bits.
const ONE_EDX: &[(u32, &str)] = &[
    (0, "fpu"),
    (1, "vme"),
    (2, "de"),
    (3, "pse"),
    (4, "tsc"),
    (5, "msr"),
    (6, "pae"),
    (7, "mce"),
    (8, "cx8"),
    (9, "apic"),
    (11, "sep"),
    (12, "mtrr"),
    (13, "pge"),
    (14, "mca"),
    (15, "cmov"),
    (16, "pat"),
    (17, "pse36"),
    (19, "clflush"),
    (23, "mmx"),
    (24, "fxsr"),
    (25, "sse"),
    (26, "sse2"),
    (28, "ht"),
];
const EXTENDED_EDX: &[(u32, &str)] = &[
    (11, "syscall"),
    (20, "nx"),
    (22, "mmxext"),
    (25, "fxsr_opt"),
    (26, "pdpe1gb"),
    (27, "rdtscp"),
    (29, "lm"),
];
const ONE_ECX: &[(u32, &str)] = &[
    (0, "pni"),
    (1, "pclmulqdq"),
    (3, "monitor"),
    (9, "ssse3"),
    (12, "fma"),
    (13, "cx16"),
    (17, "pcid"),
    (19, "sse4_1"),
    (20, "sse4_2"),
    (21, "x2apic"),
    (22, "movbe"),
    (23, "popcnt"),
    (25, "aes"),
    (26, "xsave"),
    (28, "avx"),
    (29, "f16c"),
    (30, "rdrand"),
    (31, "hypervisor"),
];
const EXTENDED_ECX: &[(u32, &str)] = &[
    (0, "lahf_lm"),
    (1, "cmp_legacy"),
    (4, "cr8_legacy"),
    (5, "abm"),
    (6, "sse4a"),
    (7, "misalignsse"),
    (8, "3dnowprefetch"),
    (9, "osvw"),
    (22, "topoext"),
];
const SEVEN_EBX: &[(u32, &str)] = &[
    (0, "fsgsbase"),
    (1, "tsc_adjust"),
    (3, "bmi1"),
    (5, "avx2"),
    (7, "smep"),
    (8, "bmi2"),
    (9, "erms"),
    (10, "invpcid"),
    (16, "avx512f"),
    (17, "avx512dq"),
    (18, "rdseed"),
    (19, "adx"),
    (20, "smap"),
    (21, "avx512ifma"),
    (23, "clflushopt"),
    (24, "clwb"),
    (28, "avx512cd"),
    (29, "sha_ni"),
    (30, "avx512bw"),
    (31, "avx512vl"),
];
