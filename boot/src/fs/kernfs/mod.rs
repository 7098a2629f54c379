//! File systems whose files are the kernel's own objects: what `/proc` and `/sys` are made of.
//!
//! A file is a [`Text`] (made when it is read), a [`Link`] or a [`Directory`]; a [`Node`] makes an inode of it.

mod directory;
mod file_system;
mod node;
mod text;

pub(crate) use directory::{Directory, Entry, StaticDirectory};
pub(crate) use file_system::KernFs;
pub(crate) use node::{Content, Link, Node, Owner};
pub(crate) use text::{Changes, Text};
