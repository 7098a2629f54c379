//! Messages, descriptors and transports between Cloister's processes.
