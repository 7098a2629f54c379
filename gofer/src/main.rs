//! The 9P2000.L file server of a container.

fn main() {}
