//! What a helper does at one stop: mappings, one after the other, and the first thread.
//!
//! A stop and its answer cost several times what a mapping does, and a program that starts has a dozen. So as long as no
//! guest thread was ever made in an address space, the helper gets a list of system calls, in its scratch page: nobody else
//! can write there yet. Files come by its socket, one after the other, as descriptor 1, which is the lowest free one.

use std::ops::Range;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

use super::image::{Layout, PAGE};
use super::space::{map_arguments, map_flags};
use crate::{Backing, Mapping};

/// A system call: its number and its arguments.
type Call = [u64; 7];

/// Where the list is in the scratch page, behind the `struct msghdr` and what that points to.
const LIST: u64 = 128;
/// The most calls of a list, in the rest of the page.
const MOST: u64 = (PAGE - LIST) / size_of::<Call>() as u64;
/// The most calls for one mapping: to close the descriptor before, to receive another, to map, and to close that.
const CALLS_OF_ONE: usize = 4;

/// A list of system calls.
#[derive(Debug)]
pub(super) struct Batch<'a> {
    scratch: u64,
    calls: Vec<Call>,
    files: Vec<BorrowedFd<'a>>,
    /// The last of the files, which the helper has open.
    open: Option<RawFd>,
}

impl<'a> Batch<'a> {
    fn empty(layout: &Layout) -> Self {
        Self { scratch: layout.scratch, calls: Vec::new(), files: Vec::new(), open: None }
    }

    /// Returns the lists by which `mappings` can be made, to be carried out in this order.
    pub(super) fn of(layout: &Layout, mappings: &[Mapping<'a>]) -> Vec<Self> {
        let mut batches = vec![Self::empty(layout)];
        for mapping in mappings {
            if let Some(last) = batches.last_mut()
                && (last.calls.len() + CALLS_OF_ONE) as u64 > MOST
            {
                last.close();
                batches.push(Self::empty(layout));
            }
            if let Some(last) = batches.last_mut() {
                last.map(mapping);
            }
        }
        if let Some(last) = batches.last_mut() {
            last.close();
        }
        batches.retain(|batch| !batch.calls.is_empty());
        batches
    }

    /// Returns the list by which `mappings` are made, which copies of the address space will not have, and then a process, by
    /// `clone(2)` with `flags`.
    pub(super) fn to_clone(layout: &Layout, mappings: &[Mapping<'a>; 2], flags: u64) -> Self {
        let mut batch = Self::empty(layout);
        for mapping in mappings {
            batch.map(mapping);
            let Range { start, end } = mapping.range;
            let advice = u64::from(libc::MADV_DONTFORK.cast_unsigned());
            batch.push(libc::SYS_madvise, [start, end - start, advice, 0, 0, 0]);
        }
        batch.close();
        batch.push(libc::SYS_clone, [flags, 0, 0, 0, 0, 0]);
        batch
    }

    /// Returns the files that are to be sent, in this order.
    pub(super) fn files(&self) -> &[BorrowedFd<'a>] {
        &self.files
    }

    /// Returns where the list is, and how many calls it has.
    pub(super) fn list(&self) -> (u64, u64) {
        (self.scratch + LIST, self.calls.len() as u64)
    }

    /// Returns what the scratch page is to hold: the `struct msghdr` for one byte and one descriptor (`recvmsg(2)`), and the
    /// list.
    pub(super) fn contents(&self) -> Vec<u64> {
        let at = |offset: u64| self.scratch + offset;
        // Name, its length, vector, its length, control, its length, flags; the vector; the byte; the control message.
        let header = [0, 0, at(64), 1, at(96), 24, 0, 0, at(80), 1, 0, 0, 0, 0, 0, 0];
        header.into_iter().chain(self.calls.iter().flatten().copied()).collect()
    }

    fn map(&mut self, mapping: &Mapping<'a>) {
        let Mapping { range, protection, backing } = mapping;
        let (arguments, descriptor) = match *backing {
            Backing::Anonymous => (map_arguments(range, *protection, map_flags(backing), 0), u64::MAX),
            Backing::Shared { file, offset } | Backing::Private { file, offset } => {
                self.open(file);
                (map_arguments(range, *protection, map_flags(backing), offset), 1)
            }
        };
        let [start, length, protection, flags, offset] = arguments;
        self.push(libc::SYS_mmap, [start, length, protection, flags, descriptor, offset]);
    }

    /// Has the helper have `file` as descriptor 1.
    fn open(&mut self, file: BorrowedFd<'a>) {
        if self.open != Some(file.as_raw_fd()) {
            self.close();
            let flags = u64::from(libc::MSG_DONTWAIT.cast_unsigned()); // the message is there
            self.push(libc::SYS_recvmsg, [0, self.scratch, flags, 0, 0, 0]);
            self.files.push(file);
            self.open = Some(file.as_raw_fd());
        }
    }

    fn close(&mut self) {
        if self.open.take().is_some() {
            self.push(libc::SYS_close, [1, 0, 0, 0, 0, 0]);
        }
    }

    fn push(&mut self, number: i64, arguments: [u64; 6]) {
        let [a, b, c, d, e, f] = arguments;
        self.calls.push([number.cast_unsigned(), a, b, c, d, e, f]);
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;
    use crate::Protection;

    #[test]
    fn a_file_is_sent_once_for_mappings_in_a_row_and_lists_fit_the_page() {
        let layout = Layout::new(0);
        let [first, second] = [(); 2].map(|()| std::fs::File::open("/dev/null").unwrap());
        let of = |file: Option<&'static str>, number: u64| {
            let backing = match file {
                Some("first") => Backing::Private { file: first.as_fd(), offset: 0 },
                Some(_) => Backing::Private { file: second.as_fd(), offset: 0 },
                None => Backing::Anonymous,
            };
            let start = 0x10_0000 + number * PAGE;
            Mapping { range: start..start + PAGE, protection: Protection::READ, backing }
        };
        let few = [of(Some("first"), 0), of(Some("first"), 1), of(None, 2), of(Some("second"), 3)];
        let [batch] = <[_; 1]>::try_from(Batch::of(&layout, &few)).unwrap();
        let numbers: Vec<_> = batch.calls.iter().map(|call| call[0].cast_signed()).collect();
        let (receive, map, close) = (libc::SYS_recvmsg, libc::SYS_mmap, libc::SYS_close);
        assert_eq!(numbers, [receive, map, map, map, close, receive, map, close]);
        assert_eq!(batch.files().len(), 2);

        // Wherever in a list the files begin to change.
        for before in 0..8 {
            let file = |n| (n >= before).then_some(if n % 2 == 0 { "first" } else { "other" });
            let many: Vec<_> = (0..200).map(|n| of(file(n), n)).collect();
            let batches = Batch::of(&layout, &many);
            assert!(batches.iter().all(|batch| size_of_val(batch.contents().as_slice()) as u64 <= PAGE));
            assert!(batches.iter().all(|batch| batch.calls.last().unwrap()[0] == close.cast_unsigned()));
            let is_map = |call: &&Call| call[0] == map.cast_unsigned();
            let maps = |batch: &Batch<'_>| batch.calls.iter().filter(is_map).count();
            assert_eq!(batches.iter().map(maps).sum::<usize>(), 200);
        }
        assert!(Batch::of(&layout, &[]).is_empty());
    }
}
