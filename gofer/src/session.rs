//! One client's session: its version, its fids, and the dispatch of its requests.

use std::os::fd::OwnedFd;
use std::rc::Rc;

use cloister_9p::base::lerror::Rlerror;
use cloister_9p::base::version::{Rversion, Tversion};
use cloister_9p::frame::{self, Frame};
use cloister_9p::{
    Encode, MAX_MSIZE, MIN_MSIZE, Malformed, Tmessage, VERSION_CLOISTER, VERSION_PLAIN, VERSION_UNKNOWN,
};
use rustix::io::Errno;

use crate::Result;
use crate::fid::Fids;
use crate::node::Node;
use crate::tree::{Access, Tree};

/// The answer to a request.
#[derive(Debug, Default)]
pub struct Reply {
    /// The whole message.
    pub bytes: Vec<u8>,
    /// The descriptor that goes with it.
    pub fd: Option<OwnedFd>,
}

/// Where a handler puts its answer.
#[derive(Debug)]
pub(crate) struct Answer<'a> {
    reply: &'a mut Reply,
    tag: u16,
    msize: u32,
}

impl Answer<'_> {
    /// Answers with a message.
    ///
    /// # Errors
    ///
    /// `EMSGSIZE` if the client's `msize` has no room for it.
    pub(crate) fn with<M: Encode>(&mut self, message: &M) -> Result<()> {
        frame::encode(message, self.tag, self.msize, &mut self.reply.bytes).map_err(|_| Errno::MSGSIZE)
    }

    /// Answers with a message and a descriptor.
    pub(crate) fn with_fd<M: Encode>(&mut self, message: &M, fd: OwnedFd) -> Result<()> {
        self.with(message)?;
        self.reply.fd = Some(fd);
        Ok(())
    }
}

/// One client's session.
#[derive(Debug)]
pub struct Session {
    pub(crate) tree: Rc<Tree>,
    pub(crate) fids: Fids,
    /// Room for file contents and directory entries on their way.
    pub(crate) scratch: Vec<u8>,
    msize: u32,
    version: Version,
}

/// What was agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    /// Nothing yet.
    None,
    /// The standard.
    Plain,
    /// The standard and the extensions.
    Cloister,
}

impl Session {
    /// A session over `tree` in which nothing was said yet.
    pub fn new(tree: Rc<Tree>) -> Self {
        Self { tree, fids: Fids::default(), scratch: Vec::new(), msize: MAX_MSIZE, version: Version::None }
    }

    /// The largest message of the session.
    pub fn msize(&self) -> u32 {
        self.msize
    }

    /// The bytes of contents or entries that fit a reply, at most `wanted`.
    pub(crate) fn payload(&self, wanted: u32) -> usize {
        /// The header of a message, the counter of the bytes, and the mark of a listing's end.
        const OVERHEAD: u32 = 12;
        wanted.min(self.msize.saturating_sub(OVERHEAD)) as usize
    }

    /// Answers a request; every request has exactly one answer.
    pub fn handle(&mut self, frame: Frame<'_>, reply: &mut Reply) {
        reply.fd = None;
        let mut answer = Answer { reply, tag: frame.tag, msize: self.msize };
        let result = match Tmessage::decode(frame.kind, frame.body) {
            Ok(message) => {
                let result = self.dispatch(&message, &mut answer);
                tracing::trace!(?message, error = ?result.err(), "request");
                result
            }
            Err(Malformed::UnknownType(_)) => Err(Errno::OPNOTSUPP),
            Err(cause) => {
                tracing::warn!(kind = frame.kind, %cause, "a client sent a malformed request");
                Err(Errno::PROTO)
            }
        };
        if let Err(errno) = result {
            answer.reply.fd = None;
            let ecode = errno.raw_os_error().cast_unsigned();
            answer.with(&Rlerror { ecode }).expect("the shortest message fits the smallest msize");
        }
    }

    /// Refuses a modification of what is served read-only.
    pub(crate) fn check_writable(&self) -> Result<()> {
        match self.tree.access() {
            Access::ReadWrite => Ok(()),
            Access::ReadOnly => Err(Errno::ROFS),
        }
    }

    /// The standard's identification of a file.
    pub(crate) fn qid(&self, attr: &cloister_9p::Attr) -> cloister_9p::Qid {
        crate::attr::qid(attr, self.tree.root().id().0)
    }

    /// The file of a fid.
    pub(crate) fn node(&self, fid: u32) -> Result<Rc<Node>> {
        self.fids.node(fid).map(Rc::clone)
    }

    fn dispatch(&mut self, message: &Tmessage<'_>, answer: &mut Answer<'_>) -> Result<()> {
        if let Tmessage::Tversion(request) = message {
            return self.version(request, answer);
        }
        match self.version {
            Version::None => return Err(Errno::PROTO),
            Version::Plain if message.is_extension() => return Err(Errno::OPNOTSUPP),
            Version::Plain | Version::Cloister => {}
        }
        match message {
            Tmessage::Tversion(_) => Err(Errno::PROTO),
            Tmessage::Tauth(request) => Self::auth(request, answer),
            Tmessage::Tattach(request) => self.attach(request, answer),
            Tmessage::Tflush(request) => Self::flush(request, answer),
            Tmessage::Twalk(request) => self.walk(request, answer),
            Tmessage::Tclunk(request) => self.clunk(request, answer),
            Tmessage::Tremove(request) => self.remove(request, answer),
            Tmessage::Tread(request) => self.read(request, answer),
            Tmessage::Twrite(request) => self.write(request, answer),
            Tmessage::Tstatfs(request) => self.statfs(request, answer),
            Tmessage::Tlopen(request) => self.lopen(request, answer),
            Tmessage::Tlcreate(request) => self.lcreate(request, answer),
            Tmessage::Tsymlink(request) => self.symlink(request, answer),
            Tmessage::Tmknod(request) => self.mknod(request, answer),
            Tmessage::Trename(request) => self.rename(request, answer),
            Tmessage::Treadlink(request) => self.readlink(request, answer),
            Tmessage::Tgetattr(request) => self.getattr(request, answer),
            Tmessage::Tsetattr(request) => self.setattr(request, answer),
            Tmessage::Txattrwalk(request) => self.xattrwalk(request, answer),
            Tmessage::Txattrcreate(request) => self.xattrcreate(request, answer),
            Tmessage::Treaddir(request) => self.readdir(request, answer),
            Tmessage::Tfsync(request) => self.fsync(request, answer),
            Tmessage::Tlock(request) => self.lock(request, answer),
            Tmessage::Tgetlock(request) => self.getlock(request, answer),
            Tmessage::Tlink(request) => self.link(request, answer),
            Tmessage::Tmkdir(request) => self.mkdir(request, answer),
            Tmessage::Trenameat(request) => self.renameat(request, answer),
            Tmessage::Tunlinkat(request) => self.unlinkat(request, answer),
            Tmessage::TwalkAttr(request) => self.walk_attr(request, answer),
            Tmessage::TopenFd(request) => self.open_fd(request, answer),
            Tmessage::TcreateFd(request) => self.create_fd(request, answer),
            Tmessage::Tmake(request) => self.make(request, answer),
            Tmessage::TreaddirAttr(request) => self.readdir_attr(request, answer),
            Tmessage::Tstatx(request) => self.statx(request, answer),
            Tmessage::TclunkMany(request) => self.clunk_many(request, answer),
            Tmessage::Trename2(request) => self.rename2(request, answer),
            Tmessage::Tgetxattr(request) => self.getxattr(request, answer),
            Tmessage::Tsetxattr(request) => self.setxattr(request, answer),
            Tmessage::Tlistxattr(request) => self.listxattr(request, answer),
            Tmessage::Tremovexattr(request) => self.removexattr(request, answer),
            Tmessage::Tsyncfs(request) => self.syncfs(request, answer),
            Tmessage::TrunOn(request) => Self::run_on(request, answer),
        }
    }

    /// Settles the version, and starts the session anew (`version(5)`).
    fn version(&mut self, request: &Tversion<'_>, answer: &mut Answer<'_>) -> Result<()> {
        self.fids.clear();
        self.version = Version::None;
        if request.msize < MIN_MSIZE {
            return Err(Errno::INVAL);
        }
        let msize = request.msize.min(MAX_MSIZE);
        // "Everything after a period is ignored" by a server that does not know it.
        let (version, name) = match request.version {
            VERSION_CLOISTER => (Version::Cloister, VERSION_CLOISTER),
            other
                if other.strip_prefix(VERSION_PLAIN).is_some_and(|rest| matches!(rest, [] | [b'.', ..])) =>
            {
                (Version::Plain, VERSION_PLAIN)
            }
            _ => (Version::None, VERSION_UNKNOWN),
        };
        self.version = version;
        self.msize = msize;
        answer.msize = msize;
        answer.with(&Rversion { msize, version: name })
    }
}
