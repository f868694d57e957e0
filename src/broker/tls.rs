//! Which cryptography TLS uses.

use std::sync::Once;

static INSTALLED: Once = Once::new();

/// Makes ring the process's TLS provider. Needed before the first HTTPS client or `amqps` connection is made; every
/// constructor in this module's siblings calls it. Nothing happens the second time, nor when the process chose before.
pub fn install() {
    INSTALLED.call_once(|| {
        if rustls::crypto::ring::default_provider()
            .install_default()
            .is_err()
        {
            tracing::debug!("a TLS provider was already installed");
        }
    });
}
