//! Tests and benchmarks that drive the built programs.
