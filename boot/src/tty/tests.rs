//! Tests of pseudo-terminals without programs.

use std::sync::{Arc, Weak};

use super::*;
use crate::error::Errno;
use crate::event::Events;
use crate::fs::Inode;
use crate::fs::devpts::{DevptsOptions, Directory};
use crate::prelude::errno;
use crate::testing::TestKernel;

fn pty(kernel: &TestKernel) -> Arc<Pty> {
    let pty = Arc::new(Pty::new(0, kernel.kernel(), Weak::new()));
    pty.state().is_locked = false;
    pty
}

fn read(pty: &Arc<Pty>, max: usize) -> Result<Vec<u8>, Errno> {
    pty.read_slave(max, false)
}

#[test]
fn a_slave_needs_an_open_and_unlocked_master() {
    let kernel = TestKernel::new();
    let pty = Arc::new(Pty::new(0, kernel.kernel(), Weak::new()));
    assert!(pty.open_slave().is_err_and(|failure| failure.is(errno::EIO)));
    pty.state().is_locked = false;
    let slave = pty.open_slave().expect("it is not locked");
    drop(slave);
    pty.close_master();
    assert!(pty.open_slave().is_err_and(|failure| failure.is(errno::EIO)));
}

#[test]
fn the_master_is_hung_up_while_no_slave_is_open_that_was() {
    let kernel = TestKernel::new();
    let pty = pty(&kernel);
    assert_eq!(pty.read_master(10), Err(errno::EAGAIN));
    let slave = pty.open_slave().expect("it is not locked");
    assert_eq!(pty.write_slave(b"x\n"), Ok(2));
    drop(slave);
    assert_eq!(pty.read_master(10), Ok(b"x\r\n".to_vec()));
    assert_eq!(pty.read_master(10), Err(errno::EIO));
    assert!(pty.state().master_events().contains(Events::HUP));
    let _slave = pty.open_slave().expect("it is not locked");
    assert_eq!(pty.read_master(10), Err(errno::EAGAIN));
}

#[test]
fn a_slave_without_a_master_reads_nothing_and_writes_nothing() {
    let kernel = TestKernel::new();
    let pty = pty(&kernel);
    let _slave = pty.open_slave().expect("it is not locked");
    assert_eq!(pty.write_master(kernel.kernel(), b"lost\n"), Ok(5));
    pty.close_master();
    assert_eq!((read(&pty, 10), pty.write_slave(b"x")), (Ok(Vec::new()), Err(errno::EIO)));
    assert!(pty.state().slave_events().contains(Events::HUP | Events::ERR | Events::READABLE));
}

#[test]
fn a_full_terminal_makes_both_ends_wait() {
    let kernel = TestKernel::new();
    let pty = pty(&kernel);
    let taken = pty.write_master(kernel.kernel(), &b"line\n".repeat(2000)).expect("there is room");
    assert_eq!(pty.write_master(kernel.kernel(), b"x"), Err(errno::EAGAIN));
    assert!(taken < 5000 && !pty.state().master_events().contains(Events::OUT));
    read(&pty, 100).expect("there are lines");
    assert!(pty.state().master_events().contains(Events::OUT));
    while pty.write_slave(&[b'o'; 4096]).is_ok() {}
    assert!(!pty.state().slave_events().contains(Events::OUT));
    pty.read_master(4096).expect("there is output");
    assert!(pty.state().slave_events().contains(Events::OUT));
}

#[test]
fn packet_mode_marks_what_it_gives() {
    let kernel = TestKernel::new();
    let pty = pty(&kernel);
    pty.state().packet = Some(0);
    pty.write_slave(b"out").expect("there is room");
    assert_eq!(pty.read_master(10), Ok(b"\0out".to_vec()));
    pty.write_master(kernel.kernel(), b"\x13").expect("there is room");
    assert!(pty.state().master_events().contains(Events::PRI));
    assert_eq!(pty.read_master(10), Ok(vec![pty::packet::STOP]));
}

#[test]
fn an_image_brings_everything_back() {
    let kernel = TestKernel::new();
    let pty = pty(&kernel);
    pty.write_master(kernel.kernel(), b"done\nnot yet").expect("there is room");
    pty.write_slave(b"shown").expect("there is room");
    pty.state().size = WindowSize([24, 80, 0, 0]);
    let image = pty.to_image();
    let bytes = serde_json::to_vec(&image).expect("it is plain data");
    let read_back: PtyImage = serde_json::from_slice(&bytes).expect("it was just written");
    assert_eq!(read_back, image);
    let restored = Arc::new(Pty::from_image(read_back, kernel.kernel(), Weak::new()));
    assert_eq!(restored.to_image(), image);
    assert_eq!(read(&restored, 100), Ok(b"done\n".to_vec()));
}

#[test]
fn the_directory_has_the_lowest_free_numbers() {
    let kernel = TestKernel::new();
    let directory = Directory::new_root(DevptsOptions { gid: Some(5), max: 2, ..DevptsOptions::default() });
    let new = |index, directory| Arc::new(Pty::new(index, kernel.kernel(), directory));
    let (first, _) = directory.add((1, 1), new).expect("there is room");
    let (second, _) = directory.add((7, 7), new).expect("there is room");
    assert_eq!(directory.add((1, 1), new).map(|_| ()), Err(errno::ENOSPC));
    let attributes = directory.lookup(b"1").and_then(|node| node.attributes()).expect("it has a name");
    assert_eq!((attributes.uid, attributes.gid, attributes.device), (7, 5, device(1)));
    for other in [&b"01"[..], b"+1", b"2", b""] {
        assert_eq!(directory.lookup(other).map(|_| ()), Err(errno::ENOENT));
    }
    first.close_master();
    assert_eq!(directory.lookup(b"0").map(|_| ()), Err(errno::ENOENT));
    let (third, index) = directory.add((1, 1), new).expect("one went");
    assert_eq!(index, 0);
    drop((second, third));
    // Nobody has them open.
    assert_eq!(directory.lookup(b"1").map(|_| ()), Err(errno::ENOENT));
}
