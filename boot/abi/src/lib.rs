//! Linux' numbers and structures, as the guest sees them.
