//! `/proc/PID/net`.

use std::sync::Arc;

use crate::error::Errno;
use crate::fs::kernfs::{Content, Directory, StaticDirectory, Text};
use crate::task::Task;

/// Files whose tables are empty, with their heads: the only interface is `lo`, and the kernel keeps no counts.
const FILES: &[(&str, &str)] = &[
    (
        "dev",
        "Inter-|   Receive                                                |  Transmit\n \
         face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n    \
         lo:       0       0    0    0    0     0          0         0        0       0    0    0    0     0       0          0\n",
    ),
    ("arp", "IP address       HW type     Flags       HW address            Mask     Device\n"),
    ("if_inet6", "00000000000000000000000000000001 01 80 10 80       lo\n"),
    ("route", "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"),
    (
        "tcp",
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n",
    ),
    (
        "tcp6",
        "  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n",
    ),
    (
        "udp",
        "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n",
    ),
    (
        "udp6",
        "  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n",
    ),
    ("unix", "Num       RefCount Protocol Flags    Type St Inode Path\n"),
];

#[derive(Debug)]
struct Fixed(&'static str);

impl Text for Fixed {
    fn read(&self, _task: &Arc<Task>) -> Result<Vec<u8>, Errno> {
        Ok(self.0.as_bytes().to_vec())
    }
}

/// Makes the directory.
pub(super) fn directory() -> Arc<dyn Directory> {
    let mut directory = StaticDirectory::default();
    for (inode, (name, text)) in (0x300..).zip(FILES) {
        directory.add(*name, inode, 0o444, Content::Text(Arc::new(Fixed(text))));
    }
    Arc::new(directory)
}
