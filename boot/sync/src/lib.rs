//! Locks that know their order.
