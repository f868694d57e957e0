//! Configuration: flags over environment over an optional TOML file. Every setting is one row of `SETTINGS`.

mod settings;
mod sources;

use std::{fmt, net::SocketAddr, num::NonZeroU32, path::PathBuf, str::FromStr, time::Duration};

use url::Url;

pub use self::{
    settings::{SETTINGS, Setting, variable},
    sources::Sources,
};
use crate::{
    broker::{BrokerConfig, QueueType},
    web::extract::Network,
};

/// How the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

/// Checked settings. `Debug` shows no secret.
#[derive(Clone)]
pub struct Config {
    pub database_url: String,
    pub broker: BrokerConfig,
    pub listen: SocketAddr,
    pub data_dir: PathBuf,
    pub public_url: Option<Url>,
    pub trusted_proxies: Vec<Network>,
    pub retention_days: NonZeroU32,
    pub admin_email: Option<String>,
    pub admin_password: Option<String>,
    pub api_token: Option<String>,
    pub queue_type: QueueType,
    pub open_queues: bool,
    pub detect_every: Duration,
    pub lease: Duration,
    pub outbox_max: u32,
    pub webhook_url: Option<Url>,
    pub webhook_secret: Option<String>,
    pub log: String,
    pub log_format: LogFormat,
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("listen", &self.listen)
            .field("data_dir", &self.data_dir)
            .field("broker", &self.broker.redacted())
            .field("lease", &self.lease)
            .finish_non_exhaustive()
    }
}

/// A setting that can't be used. Names it, what it was (unless secret) and what it may be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    #[error("{name} is {given}: {allowed}")]
    Wrong {
        name: String,
        given: String,
        allowed: String,
    },
    #[error("{file}: {problem}")]
    File { file: String, problem: String },
    #[error("unknown setting {name} in {place}: the settings are {known}")]
    Unknown {
        name: String,
        place: String,
        known: String,
    },
}

impl Sources {
    /// Checks everything at once.
    pub fn check(&self) -> Result<Config, ConfigError> {
        let any = |text: &str| Some(text.to_owned());
        let amqp_url = self.required("amqp_url", "an AMQP URL", any)?;
        let management_url = self.optional("management_url", "a URL", any)?;
        let broker = BrokerConfig::parse(&amqp_url, management_url.as_deref()).map_err(|error| {
            let key = match error {
                crate::broker::BrokerConfigError::Amqp(_) => "amqp_url",
                crate::broker::BrokerConfigError::Management(_) => "management_url",
            };
            ConfigError::Wrong {
                name: variable(key),
                given: "not usable".into(),
                allowed: error.to_string(),
            }
        })?;
        Ok(Config {
            database_url: self.required(
                "database_url",
                "sqlite://path or postgres://user@host/name",
                |text| {
                    ["sqlite:", "postgres://", "postgresql://"]
                        .iter()
                        .any(|scheme| text.starts_with(scheme))
                        .then(|| text.to_owned())
                },
            )?,
            broker,
            listen: self.required("listen", "an address and port such as 127.0.0.1:8080", |text| {
                SocketAddr::from_str(text).ok()
            })?,
            data_dir: self.required("data_dir", "a folder", any)?.into(),
            public_url: self.web_address("public_url")?,
            trusted_proxies: self
                .optional(
                    "trusted_proxies",
                    "addresses or networks such as 10.0.0.0/8, comma-separated",
                    |text| text.split(',').map(|part| part.trim().parse().ok()).collect(),
                )?
                .unwrap_or_default(),
            retention_days: NonZeroU32::new(self.number("retention_days", 1, 36_500)?)
                .unwrap_or(NonZeroU32::MIN),
            admin_email: self.optional("admin_email", "an e-mail address", |text| {
                (text.contains('@') && text.len() <= 254).then(|| text.to_owned())
            })?,
            admin_password: self.optional("admin_password", "at least 8 characters", |text| {
                (text.chars().count() >= 8).then(|| text.to_owned())
            })?,
            api_token: self.optional("api_token", "at least 16 characters without spaces", |text| {
                (text.len() >= 16 && !text.contains(char::is_whitespace)).then(|| text.to_owned())
            })?,
            queue_type: self.required("queue_type", "quorum or classic", |text| match text {
                "quorum" => Some(QueueType::Quorum),
                "classic" => Some(QueueType::Classic),
                _ => None,
            })?,
            open_queues: self.required("open_queues", "true or false", |text| text.parse().ok())?,
            detect_every: Duration::from_secs(self.number("detect_every_s", 1, 300)?.into()),
            lease: Duration::from_secs(self.number("lease_s", 5, 3600)?.into()),
            outbox_max: self.number("outbox_max", 1, 10_000_000)?,
            webhook_url: self.web_address("webhook_url")?,
            webhook_secret: self.optional("webhook_secret", "a text", any)?,
            log: self.required("log", "a level or filter", |text| {
                text.parse::<tracing_subscriber::EnvFilter>()
                    .ok()
                    .map(|_| text.to_owned())
            })?,
            log_format: self.required("log_format", "text or json", |text| match text {
                "text" => Some(LogFormat::Text),
                "json" => Some(LogFormat::Json),
                _ => None,
            })?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(flags: &[(&str, &str)], env: &[(&str, &str)], file: Option<&str>) -> Result<Config, ConfigError> {
        let find = |pairs: &[(&str, &str)], name: &str| {
            pairs
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, text)| text.to_string())
        };
        let file = file.map(|text| ("unstuck.toml", text));
        Sources::gather(|key| find(flags, key), |name| find(env, name), file)?.check()
    }

    #[test]
    fn a_flag_goes_over_the_environment_and_that_over_the_file() {
        let file = Some("lease_s = 60\nlisten = \"127.0.0.1:1\"\nretention_days = 7");
        let config = from(
            &[("listen", "127.0.0.1:3")],
            &[("UNSTUCK_LISTEN", "127.0.0.1:2"), ("UNSTUCK_LEASE_S", "45")],
            file,
        )
        .expect("valid");
        assert_eq!(
            (
                config.listen.port(),
                config.lease.as_secs(),
                config.retention_days.get()
            ),
            (3, 45, 7)
        );
    }

    #[test]
    fn without_anything_the_defaults_hold() {
        let config = from(&[], &[], None).expect("valid");
        assert_eq!(
            (config.listen.to_string().as_str(), config.open_queues),
            ("127.0.0.1:8080", true)
        );
    }

    #[test]
    fn a_wrong_value_is_named_with_what_it_was_and_what_it_may_be() {
        let error = from(&[], &[("UNSTUCK_LEASE_S", "4")], None)
            .expect_err("too short")
            .to_string();
        assert_eq!(
            error,
            "UNSTUCK_LEASE_S is \"4\": it must be a whole number from 5 to 3600"
        );
        let error = from(&[], &[], Some("leese_s = 5"))
            .expect_err("unknown")
            .to_string();
        assert!(
            error.starts_with("unknown setting leese_s in unstuck.toml"),
            "{error}"
        );
    }

    #[test]
    fn the_readme_has_every_setting_as_the_code_has_it() {
        let readme = include_str!("../../README.md");
        for Setting {
            key, default, about, ..
        } in SETTINGS
        {
            let default = if default.is_empty() {
                "–".to_owned()
            } else {
                format!("`{default}`")
            };
            let row = format!("| `{}` | {default} | {about} |", variable(key));
            assert!(readme.contains(&row), "README.md lacks the row {row}");
        }
        let rows = readme
            .lines()
            .filter(|line| line.starts_with("| `UNSTUCK_"))
            .count();
        assert_eq!(
            rows,
            SETTINGS.len(),
            "README.md has rows of settings that do not exist"
        );
    }

    #[test]
    fn a_secret_is_not_repeated() {
        for (name, text) in [
            ("UNSTUCK_DATABASE_URL", "mysql://u:hunter2@h/x"),
            ("UNSTUCK_AMQP_URL", "http://u:hunter2@h"),
            ("UNSTUCK_API_TOKEN", "hunter2"),
        ] {
            let error = from(&[], &[(name, text)], None).expect_err("wrong").to_string();
            assert!(error.contains(name) && !error.contains("hunter2"), "{error}");
        }
    }
}
