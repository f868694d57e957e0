//! The site as a browser or an attacker meets it.

mod login;
mod server;
