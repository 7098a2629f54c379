//! What a program looks at.

/// What a program looks at: `struct seccomp_data`, as words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Data([u32; Data::WORDS]);

impl Data {
    /// Its size in bytes.
    pub const BYTES: u32 = 64;
    /// Its size in words.
    pub const WORDS: usize = 16;

    /// The offset of the number of the call.
    pub const NUMBER: u32 = 0;
    /// The offset of the architecture (`AUDIT_ARCH_*`).
    pub const ARCHITECTURE: u32 = 4;

    /// Returns the offset of the lower half of argument `index`; the upper half is 4 bytes behind.
    ///
    /// # Panics
    ///
    /// If a call has no such argument.
    #[must_use]
    #[expect(clippy::arithmetic_side_effects, reason = "the index is small")]
    pub const fn argument(index: u32) -> u32 {
        assert!(index < 6, "a call has six arguments");
        16 + 8 * index
    }

    /// Makes it for a call.
    #[must_use]
    pub fn new(number: u32, architecture: u32, instruction_pointer: u64, arguments: [u64; 6]) -> Self {
        let mut words = [number, architecture, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let wide = std::iter::once(instruction_pointer).chain(arguments).flat_map(halves);
        for (word, value) in words.iter_mut().skip(2).zip(wide) {
            *word = value;
        }
        Self(words)
    }

    /// Returns the number of the call.
    #[must_use]
    pub const fn number(&self) -> u32 {
        self.0[0]
    }

    /// Returns the word at `offset` bytes.
    pub(crate) fn word(&self, offset: u32) -> Option<u32> {
        self.0.get(usize::try_from(offset / 4).ok()?).copied()
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the halves are what is wanted")]
const fn halves(value: u64) -> [u32; 2] {
    [value as u32, (value >> 32) as u32]
}
