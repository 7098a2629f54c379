//! The guest's vDSO: clocks without a system call (`vdso(7)`).
//!
//! The kernel's loader maps [`image`] as private pages at an address of its choice and passes it as
//! `AT_SYSINFO_EHDR`. The image holds nothing of the host's, so it stays right when a sandbox is restored elsewhere:
//! what differs is in a page that each platform maps at [`TIME_PAGE`], readable only, outside of the guest's own
//! addresses: where the host's vDSO has its functions, and what to add to its clocks. Where that page names no
//! function, ours make the system call.
//!
//! | module | subject |
//! |---|---|
//! | `code` | the functions |
//! | `image` | the ELF file around them |
//! | `time_page` | the page |

mod code;
mod image;
mod time_page;

pub use self::image::image;
pub use self::time_page::{ClockOffsets, TIME_PAGE, TimePage};
