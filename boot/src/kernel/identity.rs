//! What the kernel says it is (`uname(2)`).

/// The release: of the Linux whose behaviour programs can count on.
pub(crate) const RELEASE: &str = "6.12.0-cloister";
/// The version.
pub(crate) const VERSION: &str = "#1 SMP PREEMPT_DYNAMIC Cloister";
/// The machine.
pub(crate) const MACHINE: &str = "x86_64";
