//! The site as a browser or an attacker meets it.

mod live;
mod login;
mod server;
