//! The cloister command: an OCI runtime whose sandboxes have their own kernel.

fn main() {}
