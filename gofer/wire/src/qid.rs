//! The server's identification of a file (`intro(5)`, "Qids").

use crate::codec::struct_field;

/// A server's identification of a file: two files are the same if and only if their qids' paths are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Qid {
    /// What kind of file it is: [`Qid::DIR`], [`Qid::SYMLINK`] or [`Qid::FILE`].
    pub kind: u8,
    /// Changes when the file does; 0 where the server does not track it.
    pub version: u32,
    /// The file's number, unique in the served tree.
    pub path: u64,
}
struct_field!(Qid { kind, version, path });

impl Qid {
    /// The kind of a directory.
    pub const DIR: u8 = 0x80;
    /// The kind of a symbolic link.
    pub const SYMLINK: u8 = 0x02;
    /// The kind of everything else.
    pub const FILE: u8 = 0x00;
    /// The bytes that a qid takes in a message.
    pub const WIRE_SIZE: usize = 13;
}
