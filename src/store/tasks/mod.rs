//! Tasks, their attempts, their timeline: written in batches, read by key or in keyset pages.

mod apply;
mod create;
mod list;
mod read;
mod rows;

pub use apply::{Act, Acted, Claimed, Outcome};
pub use create::{Created, Creation, CreationRefused, Idempotency};
pub use list::{TaskFilter, TaskPage};
