//! What a new program finds on its stack (System V ABI for x86-64, 3.4.1).
//!
//! ```text
//! top      8 bytes of zero
//!          the program's path, environment, arguments, platform, 16 random bytes
//!          auxiliary vector, null
//!          pointers to the environment, null
//!          pointers to the arguments, null
//! sp ───>  the number of arguments                             (16-byte aligned)
//! ```

use std::ops::Range;

use super::Arguments;

/// The name of the processor that programs find as `AT_PLATFORM`.
const PLATFORM: &[u8] = b"x86_64";

/// The strings to go on a stack, and what the auxiliary vector says of them.
#[derive(Debug)]
pub(super) struct StackContents<'a> {
    /// Arguments and environment.
    pub(super) arguments: &'a Arguments,
    /// The path by which the program was executed (`AT_EXECFN`).
    pub(super) path: &'a [u8],
    /// For the C library's own use (`AT_RANDOM`).
    pub(super) random: [u8; 16],
    /// The other entries of the auxiliary vector.
    pub(super) auxiliary: &'a [(u64, u64)],
}

/// A built stack.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct StackImage {
    /// Its bytes, which end at the top.
    pub(super) bytes: Vec<u8>,
    /// The stack pointer: where the bytes begin.
    pub(super) pointer: u64,
    /// Where the arguments are, each with its NUL.
    pub(super) arguments: Range<u64>,
    /// Where the environment is.
    pub(super) environment: Range<u64>,
    /// The auxiliary vector.
    pub(super) auxiliary_vector: Vec<u8>,
}

/// Strings that fill memory from the bottom up.
struct Strings {
    bytes: Vec<u8>,
}

impl Strings {
    /// Adds a string with its NUL. Returns where it begins, counted from the first one.
    fn add(&mut self, string: &[u8]) -> u64 {
        let at = self.bytes.len() as u64;
        self.bytes.extend_from_slice(string);
        self.bytes.push(0);
        at
    }
}

impl StackContents<'_> {
    /// Builds a stack that ends at `top`, a page's border. Its address must not wrap: the caller has bounded the
    /// strings.
    pub(super) fn build(&self, top: u64) -> StackImage {
        let mut strings = Strings { bytes: self.random.to_vec() };
        let platform = strings.add(PLATFORM);
        let first_argument = strings.bytes.len() as u64;
        let arguments: Vec<u64> = self.arguments.arguments.iter().map(|string| strings.add(string)).collect();
        let first_variable = strings.bytes.len() as u64;
        let environment: Vec<u64> =
            self.arguments.environment.iter().map(|string| strings.add(string)).collect();
        let path = strings.add(self.path);
        let strings_start = top.wrapping_sub(8).wrapping_sub(strings.bytes.len() as u64);
        let address = |at: u64| strings_start.wrapping_add(at);

        let mut auxiliary_vector = Vec::new();
        let own = [
            (cloister_abi::auxvec::AT_RANDOM, address(0)),
            (cloister_abi::auxvec::AT_EXECFN, address(path)),
            (cloister_abi::auxvec::AT_PLATFORM, address(platform)),
            (cloister_abi::auxvec::AT_NULL, 0),
        ];
        let own = own.map(|(kind, value)| (u64::from(kind), value));
        for (kind, value) in self.auxiliary.iter().chain(&own) {
            auxiliary_vector.extend_from_slice(&kind.to_le_bytes());
            auxiliary_vector.extend_from_slice(&value.to_le_bytes());
        }

        let mut vectors = Vec::new();
        vectors.extend_from_slice(&(arguments.len() as u64).to_le_bytes());
        for list in [&arguments, &environment] {
            for at in list {
                vectors.extend_from_slice(&address(*at).to_le_bytes());
            }
            vectors.extend_from_slice(&[0; 8]);
        }
        vectors.extend_from_slice(&auxiliary_vector);

        let pointer = strings_start.wrapping_sub(vectors.len() as u64) & !15;
        let padding = strings_start.wrapping_sub(pointer).wrapping_sub(vectors.len() as u64);
        let mut bytes = vectors;
        bytes.resize(bytes.len() + usize::try_from(padding).unwrap_or(0), 0);
        bytes.extend_from_slice(&strings.bytes);
        bytes.extend_from_slice(&[0; 8]);
        StackImage {
            bytes,
            pointer,
            arguments: address(first_argument)..address(first_variable),
            environment: address(first_variable)..address(path),
            auxiliary_vector,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const TOP: u64 = 0x7ffe_0000_0000;

    /// Reads a stack as a program's start code does.
    struct Reader<'a>(&'a StackImage);

    impl Reader<'_> {
        fn at(&self, address: u64) -> &[u8] {
            &self.0.bytes[usize::try_from(address - self.0.pointer).unwrap()..]
        }

        fn word(&self, address: u64) -> u64 {
            u64::from_le_bytes(self.at(address)[..8].try_into().unwrap())
        }

        fn string(&self, address: u64) -> Vec<u8> {
            self.at(address).iter().take_while(|byte| **byte != 0).copied().collect()
        }

        fn list(&self, at: &mut u64) -> Vec<Vec<u8>> {
            let mut strings = Vec::new();
            loop {
                let pointer = self.word(*at);
                *at += 8;
                if pointer == 0 {
                    return strings;
                }
                strings.push(self.string(pointer));
            }
        }
    }

    fn strings() -> impl Strategy<Value = Vec<Vec<u8>>> {
        vec(vec(1..=u8::MAX, 0..40), 0..12)
    }

    proptest! {
        #[test]
        fn a_program_finds_everything(arguments in strings(), environment in strings(), path in vec(1..=u8::MAX, 1..40)) {
            let arguments = Arguments { arguments, environment };
            let contents = StackContents {
                arguments: &arguments,
                path: &path,
                random: [7; 16],
                auxiliary: &[(6, 4096)],
            };
            let image = contents.build(TOP);
            prop_assert_eq!(image.pointer % 16, 0);
            prop_assert_eq!(image.pointer + image.bytes.len() as u64, TOP);
            let reader = Reader(&image);
            prop_assert_eq!(reader.word(image.pointer), arguments.arguments.len() as u64);
            let mut at = image.pointer + 8;
            prop_assert_eq!(&reader.list(&mut at), &arguments.arguments);
            prop_assert_eq!(&reader.list(&mut at), &arguments.environment);
            let mut auxiliary = std::collections::BTreeMap::new();
            let auxiliary_start = at;
            loop {
                let (kind, value) = (reader.word(at), reader.word(at + 8));
                at += 16;
                if kind == 0 {
                    break;
                }
                auxiliary.insert(kind, value);
            }
            prop_assert_eq!(reader.at(auxiliary_start)[..image.auxiliary_vector.len()].to_vec(), image.auxiliary_vector.clone());
            prop_assert_eq!(auxiliary[&6], 4096);
            prop_assert_eq!(&reader.at(auxiliary[&25])[..16], &[7; 16]);
            prop_assert_eq!(reader.string(auxiliary[&31]), path);
            prop_assert_eq!(reader.string(auxiliary[&15]), PLATFORM);
            let joined = |list: &[Vec<u8>]| list.iter().flat_map(|s| [s.as_slice(), &[0]].concat()).collect::<Vec<u8>>();
            let bytes_of = |range: &Range<u64>| reader.at(range.start)[..usize::try_from(range.end - range.start).unwrap()].to_vec();
            prop_assert_eq!(bytes_of(&image.arguments), joined(&arguments.arguments));
            prop_assert_eq!(bytes_of(&image.environment), joined(&arguments.environment));
        }
    }
}
