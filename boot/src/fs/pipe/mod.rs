//! Pipes and FIFOs (`pipe(7)`, `fifo(7)`).
//!
//! | type | is |
//! |---|---|
//! | [`Pipe`] | the buffer, the counts of its ends, and the queue of those who wait |
//! | [`PipeEnd`] | an open end: what descriptors refer to |
//! | [`open_fifo`] | the opening of a named pipe, which waits for the other end |
//!
//! # Locking
//!
//! One lock for each pipe, [`class::STREAM`](cloister_sync::class::STREAM), held while bytes are copied from or to the
//! guest. Queues are woken after it is released.
//!
//! # Snapshot
//!
//! [`PipeImage`] holds the bytes, the packet borders and the capacity. The counts of ends are rebuilt as the ends are.

mod buffer;
mod end;
mod fifo;
mod image;
mod pipe;
#[cfg(test)]
mod tests;

pub(crate) use end::{Access, PipeEnd};
pub(crate) use fifo::{OpeningImage, open_fifo};
pub(crate) use image::{PipeEndImage, PipeImage};
pub(crate) use pipe::{PIPE_BUF, Pipe};
