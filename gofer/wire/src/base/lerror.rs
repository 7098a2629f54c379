//! The answer to any request that failed.

use crate::message::message;

message! {
    'r
    /// Says why the request failed.
    Rlerror = 7 {
        /// Linux' error number.
        ecode: u32,
    }
}
