//! Tests of the gofer from the outside: over a socket, or as a process.

#[cfg(test)]
mod common;
#[cfg(test)]
mod escape;
#[cfg(test)]
mod extensions;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod plain;
#[cfg(test)]
mod process;
