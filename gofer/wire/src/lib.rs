//! The 9P2000.L wire format and Cloister's extensions.
