//! How guest code runs: address spaces, threads and traps.
