//! The user-space kernel of a Cloister sandbox.

fn main() {}
