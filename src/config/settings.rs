//! Every setting there is.

/// One setting: flag `--listen`, variable `UNSTUCK_LISTEN` and TOML key `listen` are the same thing.
#[derive(Debug)]
pub struct Setting {
    pub key: &'static str,
    /// As the README shows it; empty when there is none.
    pub default: &'static str,
    pub about: &'static str,
    pub secret: bool,
}

const fn setting(key: &'static str, default: &'static str, about: &'static str) -> Setting {
    Setting {
        key,
        default,
        about,
        secret: false,
    }
}

const fn secret(key: &'static str, default: &'static str, about: &'static str) -> Setting {
    Setting {
        key,
        default,
        about,
        secret: true,
    }
}

/// Every setting there is, in the README's order.
pub const SETTINGS: &[Setting] = &[
    secret(
        "database_url",
        "sqlite://unstuck.db",
        "sqlite://path or postgres://user:password@host/name",
    ),
    secret(
        "amqp_url",
        "amqp://guest:guest@127.0.0.1:5672/%2f",
        "RabbitMQ; amqps:// for TLS",
    ),
    secret(
        "management_url",
        "",
        "RabbitMQ's management API; derived from amqp_url when absent (same host and credentials, port 15672)",
    ),
    setting("listen", "127.0.0.1:8080", "address and port of the site"),
    setting("data_dir", "./data", "folder for attachments"),
    setting(
        "public_url",
        "",
        "the site's address as people reach it: links, allowed Host, Secure cookies when https",
    ),
    setting(
        "trusted_proxies",
        "",
        "addresses or networks, comma-separated, whose X-Forwarded-For counts",
    ),
    setting(
        "retention_days",
        "90",
        "finished tasks are deleted after so many days; 1 to 36500",
    ),
    setting(
        "admin_email",
        "",
        "first administrator, made at the first start when no user exists",
    ),
    secret(
        "admin_password",
        "",
        "its password; without both, a one-time password is printed once",
    ),
    secret(
        "api_token",
        "",
        "a token with every scope, valid while set; at least 16 characters",
    ),
    setting(
        "queue_type",
        "quorum",
        "type of the queues that Unstuck declares: quorum or classic",
    ),
    setting(
        "open_queues",
        "true",
        "whether naming an unknown queue makes it; false closes the list",
    ),
    setting(
        "detect_every_s",
        "5",
        "seconds between two looks of the detector; 1 to 300",
    ),
    setting(
        "lease_s",
        "30",
        "seconds that a heartbeat keeps an attempt alive; 5 to 3600",
    ),
    setting(
        "outbox_max",
        "100000",
        "messages that may wait for the broker; past it starts are refused with 503; 1 to 10000000",
    ),
    setting("webhook_url", "", "told of each incident that opens and closes"),
    secret(
        "webhook_secret",
        "",
        "signs the webhook (Standard Webhooks: whsec_ and base64, or any text)",
    ),
    setting("log", "info", "level, or a filter such as unstuck=debug,warn"),
    setting("log_format", "text", "text or json"),
];

/// `UNSTUCK_` and the key in capitals.
pub fn variable(key: &str) -> String {
    format!("UNSTUCK_{}", key.to_ascii_uppercase())
}
