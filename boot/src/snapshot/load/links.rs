//! What files refer to: descriptors, watched files, the other ends of connections, messages.

use std::sync::Arc;

use super::Loader;
use crate::event::Epoll;
use crate::fs::FdTableImage;
use crate::net::SocketByFamily;
use crate::net::image::Files;
use crate::net::inet::{TcpSocket, UdpSocketImage};
use crate::net::netlink::NetlinkSocket;
use crate::net::unix::{UnixLinks, UnixSocket};
use crate::snapshot::failure::{Result, because, damaged};
use crate::snapshot::image::{FileImage, OpsImage, SocketsImage};
use crate::snapshot::registry::find;

impl Loader<'_> {
    /// Makes sockets, without their connections and messages.
    pub(super) fn sockets(&mut self, images: &SocketsImage) -> Result<()> {
        let (net, in_flight) = (&self.net, &self.kernel.in_flight);
        // Descriptors travel by unix sockets only.
        let files = Files { file_of: &|_| None, in_flight };
        let failed = || because(|| "bring a socket back");
        self.unix = images.unix.iter().map(|image| SocketByFamily::Unix(image.restore())).collect();
        self.tcp = images.tcp.iter().map(|image| SocketByFamily::Tcp(image.restore(&net.inet.tcp))).collect();
        for image in images.udp.iter().cloned() {
            let socket = UdpSocketImage::restore(image, &net.inet.udp, files).map_err(failed())?;
            self.udp.push(SocketByFamily::Udp(socket));
        }
        for image in images.netlink.iter().cloned() {
            let socket = NetlinkSocket::from_image(image, files).map_err(failed())?;
            self.netlink.push(SocketByFamily::Netlink(socket));
        }
        Ok(())
    }

    fn unix(&self, id: u64) -> Option<Arc<UnixSocket>> {
        match find(&self.unix, id)? {
            SocketByFamily::Unix(socket) => Some(socket),
            _ => None,
        }
    }

    fn tcp(&self, id: u64) -> Option<Arc<TcpSocket>> {
        match find(&self.tcp, id)? {
            SocketByFamily::Tcp(socket) => Some(socket),
            _ => None,
        }
    }

    /// Connects sockets, and puts back what is on its way between them.
    pub(super) fn connect(&self, images: SocketsImage) -> Result<()> {
        let (net, in_flight) = (&self.net, &self.kernel.in_flight);
        let files = Files { file_of: &|id| self.file(id), in_flight };
        let links = UnixLinks {
            socket_of: &|id| self.unix(id),
            inode_of: &|id| self.inode(id),
            names: &net.unix_names,
            files,
        };
        let failed = || because(|| "connect a socket again");
        for (id, image) in (0..).zip(images.unix) {
            let socket = self.unix(id).ok_or_else(|| damaged("a socket is missing"))?;
            image.restore_links(&socket, links).map_err(failed())?;
        }
        for (id, image) in (0..).zip(images.tcp) {
            let socket = self.tcp(id).ok_or_else(|| damaged("a socket is missing"))?;
            image.restore_links(&socket, &net.inet.tcp, &|id| self.tcp(id), files).map_err(failed())?;
        }
        Ok(())
    }

    /// Fills descriptor tables and epoll instances.
    pub(super) fn fill(&self, tables: &[FdTableImage], files: &[FileImage]) -> Result<()> {
        for (image, table) in tables.iter().zip(&self.tables) {
            image.fill(table, |id| self.file(id)).map_err(|_| damaged("a descriptor refers to nothing"))?;
        }
        for image in files {
            let OpsImage::Epoll(interests) = &image.ops else { continue };
            let file = self.file(image.file.id).ok_or_else(|| damaged("a file is missing"))?;
            let epoll = Epoll::of(&file).ok_or_else(|| damaged("two files have one id"))?;
            epoll
                .restore(&self.kernel.epoll_nesting, interests, |id| self.file(id))
                .map_err(because(|| "watch files again"))?;
        }
        Ok(())
    }
}
