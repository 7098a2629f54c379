//! Malformed, excessive and impatient clients.

use std::fs;
use std::os::fd::OwnedFd;

use crate::common::{connect, number, serve};
use cloister_9p::base::clunk::Tclunk;
use cloister_9p::base::lerror::Rlerror;
use cloister_9p::base::version::{Rversion, Tversion};
use cloister_9p::base::walk::Twalk;
use cloister_9p::codec::List;
use cloister_9p::ext::statx::Tstatx;
use cloister_9p::{Decode, Encode, Message, NO_TAG, frame};
use cloister_gofer::tree::Access;
use rustix::io::Errno;

/// Sends bytes, and gives the type and the body of the answer; `None` if the server hangs up.
fn exchange(socket: &OwnedFd, bytes: &[u8]) -> Option<(u8, Vec<u8>)> {
    rustix::io::write(socket, bytes).unwrap();
    let mut answer = vec![0; 65536];
    let len = rustix::io::read(socket, &mut answer[..]).unwrap_or(0);
    let (frame, _) = frame::split(&answer[..len], 65536).unwrap()?;
    Some((frame.kind, frame.body.to_vec()))
}

fn encode(message: &impl Encode, tag: u16) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame::encode(message, tag, 1 << 20, &mut bytes).unwrap();
    bytes
}

fn error(answer: Option<(u8, Vec<u8>)>) -> Errno {
    let (kind, body) = answer.expect("an answer");
    assert_eq!(kind, Rlerror::TYPE);
    number(Rlerror::decode(&body).unwrap().ecode)
}

fn version(socket: &OwnedFd, version: &[u8]) -> Vec<u8> {
    let (kind, body) = exchange(socket, &encode(&Tversion { msize: 8192, version }, NO_TAG)).unwrap();
    assert_eq!(kind, Rversion::TYPE);
    Rversion::decode(&body).unwrap().version.to_vec()
}

#[test]
fn versions_are_negotiated() {
    let folder = tempfile::tempdir().unwrap();
    let (_server, socket) = serve(folder.path(), Access::ReadWrite);
    assert_eq!(error(exchange(&socket, &encode(&Tclunk { fid: 0 }, 0))), Errno::PROTO);
    assert_eq!(version(&socket, b"9P2000"), b"unknown");
    assert_eq!(version(&socket, b"9P2000.u"), b"unknown");
    assert_eq!(version(&socket, b"9P2000.Linux"), b"unknown");
    assert_eq!(version(&socket, b"9P2000.L"), b"9P2000.L");
    assert_eq!(version(&socket, b"9P2000.L.other"), b"9P2000.L");
    assert_eq!(error(exchange(&socket, &encode(&Tstatx { fid: 0 }, 0))), Errno::OPNOTSUPP);
    assert_eq!(version(&socket, b"9P2000.L.cloister1"), b"9P2000.L.cloister1");
    assert_eq!(error(exchange(&socket, &encode(&Tstatx { fid: 0 }, 0))), Errno::BADF);
    let tiny = Tversion { msize: 100, version: b"9P2000.L" };
    assert_eq!(error(exchange(&socket, &encode(&tiny, NO_TAG))), Errno::INVAL);
}

#[test]
fn malformed_requests_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let (_server, socket) = serve(folder.path(), Access::ReadWrite);
    version(&socket, b"9P2000.L.cloister1");
    // A clunk with a byte too few, one with a byte too many, and a type that does not exist.
    assert_eq!(error(exchange(&socket, b"\x0a\0\0\0\x78\0\0\0\0\0")), Errno::PROTO);
    assert_eq!(error(exchange(&socket, b"\x0c\0\0\0\x78\0\0\0\0\0\0\0")), Errno::PROTO);
    assert_eq!(error(exchange(&socket, b"\x07\0\0\0\xff\0\0")), Errno::OPNOTSUPP);
    // The connection goes on.
    assert_eq!(error(exchange(&socket, &encode(&Tclunk { fid: 5 }, 0))), Errno::BADF);
}

#[test]
fn sizes_out_of_range_end_the_connection() {
    for bytes in
        [&b"\x06\0\0\0\x78\0\0"[..], b"\0\0\0\0", b"\xff\xff\xff\xff\x78\0\0", b"\x01\x20\0\0\x78\0\0"]
    {
        let folder = tempfile::tempdir().unwrap();
        let (_server, socket) = serve(folder.path(), Access::ReadWrite);
        version(&socket, b"9P2000.L");
        assert_eq!(exchange(&socket, bytes), None, "{bytes:?}");
    }
}

#[test]
fn random_bytes_do_no_harm() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    // A fixed sequence (xorshift64), so that a failure can be seen again.
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        u8::try_from(state >> 56).unwrap()
    };
    let (_server, socket) = serve(folder.path(), Access::ReadOnly);
    version(&socket, b"9P2000.L.cloister1");
    for round in 0..20_000_u32 {
        // Well-formed headers around random bodies, half of them of the types that exist.
        let len = usize::from(random()) % 64;
        let kinds =
            [8, 12, 24, 26, 40, 100, 104, 110, 116, 118, 120, 200, 202, 204, 206, 208, 210, 212, 214, 216];
        let kind = if round % 2 == 0 { kinds[usize::from(random()) % kinds.len()] } else { random() };
        let mut bytes = u32::try_from(7 + len).unwrap().to_le_bytes().to_vec();
        bytes.extend([kind, 0, 0]);
        bytes.extend((0..len).map(|_| if random() % 3 == 0 { random() } else { 0 }));
        let (answer, _) = exchange(&socket, &bytes).expect("an answer to every request");
        assert!(answer == Rlerror::TYPE || answer == kind + 1, "{kind}");
    }
}

#[test]
fn fids_are_bounded() {
    let folder = tempfile::tempdir().unwrap();
    cloister_gofer::sandbox::raise_descriptor_limit();
    let (_server, socket) = serve(folder.path(), Access::ReadWrite);
    version(&socket, b"9P2000.L");
    let attach = cloister_9p::base::attach::Tattach {
        fid: 0,
        afid: cloister_9p::NO_FID,
        uname: b"",
        aname: b"",
        n_uname: 0,
    };
    exchange(&socket, &encode(&attach, 0)).unwrap();
    let clone = |newfid| encode(&Twalk { fid: 0, newfid, names: List(Vec::new()) }, 0);
    let refused = (1..70_000).find_map(|fid| {
        let answer = exchange(&socket, &clone(fid)).unwrap();
        (answer.0 == Rlerror::TYPE).then(|| (fid, error(Some(answer))))
    });
    assert_eq!(refused, Some((65536, Errno::MFILE)));
    // After one is given back there is room for one.
    exchange(&socket, &encode(&Tclunk { fid: 77 }, 0)).unwrap();
    assert_ne!(exchange(&socket, &clone(77)).unwrap().0, Rlerror::TYPE);
}

#[test]
fn requests_can_be_sent_ahead_and_in_pieces() {
    let folder = tempfile::tempdir().unwrap();
    let (_server, socket) = serve(folder.path(), Access::ReadWrite);
    version(&socket, b"9P2000.L");
    let mut bytes: Vec<u8> = (0..2000).flat_map(|tag| encode(&Tclunk { fid: 9 }, tag)).collect();
    let rest = bytes.split_off(15);
    rustix::io::write(&socket, &bytes).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| rustix::io::write(&socket, &rest).unwrap());
        let mut answers = vec![0; 2000 * 11];
        let mut filled = 0;
        while filled < answers.len() {
            filled += rustix::io::read(&socket, &mut answers[filled..]).unwrap();
        }
        let tags = answers.chunks(11).map(|answer| u16::from_le_bytes([answer[5], answer[6]]));
        assert!(tags.eq(0..2000));
    });
}

#[test]
fn a_very_deep_tree_is_let_go() {
    const DEPTH: usize = 10_000;
    let folder = tempfile::tempdir().unwrap();
    cloister_gofer::sandbox::raise_descriptor_limit();
    let (server, socket) = serve(folder.path(), Access::ReadWrite);
    let (mut client, root) = connect(socket);
    let mut dir = root;
    for _ in 0..DEPTH {
        let below = client.mkdir(dir, b"d", crate::common::new_file(0o755)).unwrap().fid;
        client.clunk(dir).unwrap();
        dir = below;
    }
    // The one fid that is left holds all directories above it.
    drop(client);
    drop(server);
    // From the bottom up would need the path, which is too long to be one.
    let status = std::process::Command::new("rm").arg("-rf").arg(folder.path().join("d")).status().unwrap();
    assert!(status.success());
}
