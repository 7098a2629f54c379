//! The control server, and the containers that it manages.

mod containers;

pub(crate) use containers::Containers;
