//! `/proc/meminfo`.

use crate::kernel::Kernel;

/// Makes the text: the memory of the sandbox's limit, and what the host has of it left.
pub(super) fn text(kernel: &Kernel) -> String {
    let total = kernel.options.memory_bytes / 1024;
    let info = rustix::system::sysinfo();
    let unit = u64::from(info.mem_unit);
    let free = (info.freeram.saturating_mul(unit) / 1024).min(total);
    let buffers = info.bufferram.saturating_mul(unit) / 1024;
    let shared = info.sharedram.saturating_mul(unit) / 1024;
    let available = free.saturating_add(buffers).min(total);
    let rows: [(&str, u64); 15] = [
        ("MemTotal", total),
        ("MemFree", free),
        ("MemAvailable", available),
        ("Buffers", buffers.min(total - free)),
        ("Cached", 0),
        ("SwapCached", 0),
        ("Active", total - free),
        ("Inactive", 0),
        ("SwapTotal", 0),
        ("SwapFree", 0),
        ("Dirty", 0),
        ("AnonPages", total - free),
        ("Mapped", 0),
        ("Shmem", shared.min(total)),
        ("Slab", 0),
    ];
    rows.iter()
        .fold(String::new(), |text, (name, kib)| text + &format!("{:<16}{kib:>8} kB\n", format!("{name}:")))
}
