//! Capabilities (`capabilities(7)`).

use rustix::io::Result;
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set, set_capabilities,
    set_no_new_privs,
};

/// What it takes to act on files for users of all kinds.
const FILE_CAPABILITIES: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::DAC_READ_SEARCH)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::SETFCAP);

/// Drops every capability that is not for files, for good: no program that this process could start gets one back.
pub fn keep_file_capabilities() -> Result<()> {
    clear_ambient_capability_set()?;
    let kept = capabilities(None)?.permitted & FILE_CAPABILITIES;
    set_capabilities(
        None,
        CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() },
    )?;
    set_no_new_privs(true)
}
