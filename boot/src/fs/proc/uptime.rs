//! `/proc/uptime`.

use crate::kernel::Kernel;

/// Makes the text: the time since the host's start, which `CLOCK_BOOTTIME` counts from too, and no idle time.
pub(super) fn text(kernel: &Kernel) -> String {
    format!("{:.2} 0.00\n", kernel.clock.boottime().as_secs_f64())
}
