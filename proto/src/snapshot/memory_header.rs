//! Which page of which memory is where.

use serde::{Deserialize, Serialize};

use crate::codec::{CodecError, decode_image, encode_image};

/// The id of a snapshot.
pub type Build = [u8; 16];

/// The contents of `memory.hdr`: for each memory the pages that are not zero, and the builds that have them.
///
/// A page may be in an earlier build, so that a snapshot needs to hold only what has changed since then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryHeader {
    /// [`FORMAT`](super::FORMAT).
    pub format: u32,
    /// The builds that have pages, with the number of pages of each; the first is the snapshot itself.
    pub builds: Vec<(Build, u64)>,
    /// The memories: address spaces, and what they share.
    pub memories: Vec<MemoryImage>,
}

/// One memory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryImage {
    /// Its pages that are not zero, in order.
    pub runs: Vec<Run>,
}

/// Pages that are next to each other, in memory and in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// The number of the first page in the memory.
    pub page: u64,
    /// How many.
    pub pages: u64,
    /// The place of the build in [`MemoryHeader::builds`].
    pub build: u32,
    /// The number of the first page in the build's file.
    pub stored: u64,
}

/// A header that makes no sense.
#[derive(Debug, thiserror::Error)]
pub enum HeaderError {
    /// It is no header at all.
    #[error("memory.hdr is damaged: {0}")]
    Codec(#[from] CodecError),
    /// It is of another version.
    #[error("memory.hdr has format {0}; this program reads format {expected}", expected = super::FORMAT)]
    Format(u32),
    /// It contradicts itself.
    #[error("memory.hdr is damaged: {0}")]
    Contradiction(&'static str),
}

impl MemoryHeader {
    /// Encodes it.
    ///
    /// # Errors
    ///
    /// If it is above the limit of an image.
    pub fn to_bytes(&self) -> Result<Vec<u8>, HeaderError> {
        Ok(encode_image(self)?)
    }

    /// Decodes a header, and checks that it makes sense.
    ///
    /// # Errors
    ///
    /// If it does not: then nothing of it may be used.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, HeaderError> {
        let header: Self = decode_image(bytes)?;
        if header.format != super::FORMAT {
            return Err(HeaderError::Format(header.format));
        }
        for memory in &header.memories {
            let mut end = 0;
            for run in &memory.runs {
                let next = run.page.checked_add(run.pages);
                let next = next.filter(|next| next.checked_mul(super::PAGE_BYTES).is_some());
                let next = next.ok_or(HeaderError::Contradiction("a run of pages is too long"))?;
                if run.page < end || run.pages == 0 {
                    return Err(HeaderError::Contradiction("runs of pages are not in order"));
                }
                end = next;
                let build = usize::try_from(run.build).ok().and_then(|at| header.builds.get(at));
                let (_, has) = build.ok_or(HeaderError::Contradiction("a build is not listed"))?;
                if run.stored.checked_add(run.pages).is_none_or(|end| end > *has) {
                    return Err(HeaderError::Contradiction("a page is not in its build"));
                }
            }
        }
        Ok(header)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::FORMAT;

    fn header(runs: Vec<Run>) -> MemoryHeader {
        MemoryHeader { format: FORMAT, builds: vec![([7; 16], 10)], memories: vec![MemoryImage { runs }] }
    }

    #[test]
    fn a_header_that_contradicts_itself_is_refused() {
        let run = |page, pages, stored| Run { page, pages, build: 0, stored };
        let refused = |header: MemoryHeader| MemoryHeader::from_bytes(&header.to_bytes().unwrap()).is_err();
        let good = header(vec![run(4, 3, 0), run(7, 1, 9)]);
        assert_eq!(MemoryHeader::from_bytes(&good.to_bytes().unwrap()).unwrap(), good);
        assert!(refused(header(vec![run(4, 3, 0), run(6, 1, 9)])), "two runs overlap");
        assert!(refused(header(vec![run(4, 3, 8)])), "more pages than the build has");
        assert!(refused(header(vec![run(4, 3, u64::MAX)])));
        assert!(refused(header(vec![run(u64::MAX, 3, 0)])));
        assert!(refused(header(vec![run(u64::MAX / 8, 3, 0)])), "more bytes than there are addresses");
        assert!(refused(header(vec![run(4, 0, 0)])));
        assert!(refused(header(vec![Run { build: 1, ..run(4, 1, 0) }])));
        assert!(refused(MemoryHeader { format: FORMAT + 1, ..good.clone() }));
        let bytes = good.to_bytes().unwrap();
        for len in 0..bytes.len() {
            MemoryHeader::from_bytes(bytes.get(..len).unwrap_or_default()).unwrap_err();
        }
    }
}
