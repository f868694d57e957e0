//! Tickets, their messages and the rows of their attachments. The files themselves are `services::attachments`' care.

mod read;
mod rows;
mod task;
mod write;

pub use read::{TicketFilter, TicketLine, TicketPage};
pub use task::{TicketStall, TicketTask};
pub use write::{Filed, NewFile, NewMessage, NewTicket, Posted, ReportKey, TicketChange, Updated};
