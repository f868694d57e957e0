//! What a program does with Unstuck, over HTTP alone, against the built binary, a real broker and real workers.

mod ends;
mod lifecycle;
mod order;
mod policy;
mod purged;
mod worker_over_http;

use crate::support::plant::{BOTH, Engine};

/// Every combination of database and queue type.
const KINDS: [(Engine, &str); 4] = [
    (BOTH[0], "quorum"),
    (BOTH[0], "classic"),
    (BOTH[1], "quorum"),
    (BOTH[1], "classic"),
];
