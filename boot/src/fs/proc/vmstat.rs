//! `/proc/vmstat`.

use crate::kernel::Kernel;

/// Makes the text: the counters that `vmstat(8)` asks for. Pages are the host's matter, which counts them for all its
/// sandboxes together; here they are zero.
pub(super) fn text(_kernel: &Kernel) -> String {
    let names = [
        "nr_free_pages",
        "nr_dirty",
        "nr_mapped",
        "pgpgin",
        "pgpgout",
        "pswpin",
        "pswpout",
        "pgalloc_dma",
        "pgalloc_normal",
        "pgfree",
        "pgactivate",
        "pgdeactivate",
        "pgfault",
        "pgmajfault",
        "pgrefill_dma",
        "pgrefill_normal",
        "pgsteal_dma",
        "pgsteal_normal",
        "pgscan_kswapd",
        "pgscan_direct",
        "slabs_scanned",
        "kswapd_steal",
        "kswapd_inodesteal",
        "pageoutrun",
        "allocstall",
        "pgrotated",
    ];
    names.iter().map(|name| format!("{name} 0\n")).collect()
}
