//! Parser of hostile ELF headers.
