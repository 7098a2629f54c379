//! The ptrace platform.
