//! The integration tests: one binary, so that the crate links once.
