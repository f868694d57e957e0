//! Where RabbitMQ is and who we are there.

use std::fmt;

use lapin::uri::{AMQPScheme, AMQPUri};
use thiserror::Error;
use url::{Host, Url};

/// Longest time between two signs of life on an AMQP connection, in seconds. A URL may ask for less.
const HEARTBEAT_S: u16 = 10;

/// The addresses and credentials of one broker. Neither `Debug` nor `Display` shows a user or a password.
#[derive(Clone)]
pub struct BrokerConfig {
    amqp: AMQPUri,
    management: ManagementTarget,
    connection_name: String,
}

/// The management API's base address, without credentials, and the credentials.
#[derive(Clone)]
pub(crate) struct ManagementTarget {
    pub(crate) base: Url,
    pub(crate) user: String,
    pub(crate) password: String,
}

/// Why a URL can't be used. The text never contains the URL's user or password.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum BrokerConfigError {
    #[error("the AMQP URL {0}; it looks like amqp://user:password@host:5672/%2f (amqps:// for TLS)")]
    Amqp(String),
    #[error("the management URL {0}; it looks like http://host:15672 or https://user:password@host:15671")]
    Management(String),
}

impl BrokerConfig {
    /// Reads the AMQP URL and, when given, the management URL.
    ///
    /// The management URL defaults to the same host and credentials: `http` on port 15672, or `https` on 15671 for
    /// `amqps`. One without credentials uses those of the AMQP URL. A missing or empty virtual host means `/`, a missing
    /// user or password `guest`. Errors name what is wrong without repeating the URL.
    pub fn parse(amqp_url: &str, management_url: Option<&str>) -> Result<Self, BrokerConfigError> {
        let amqp = parse_amqp(amqp_url)?;
        let management = match management_url {
            Some(url) => parse_management(url, &amqp)?,
            None => derive_management(&amqp)?,
        };
        Ok(Self {
            amqp,
            management,
            connection_name: "unstuck".to_owned(),
        })
    }

    /// The same broker under another connection name, which RabbitMQ shows beside each connection.
    #[must_use]
    pub fn named(mut self, connection_name: impl Into<String>) -> Self {
        self.connection_name = connection_name.into();
        self
    }

    pub fn connection_name(&self) -> &str {
        &self.connection_name
    }

    /// Whether the user everybody knows is used for a broker on another machine.
    pub fn is_guest_over_network(&self) -> bool {
        let host = self.amqp.authority.host.as_str();
        let here = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
        self.amqp.authority.userinfo.username == "guest" && !here
    }

    pub fn vhost(&self) -> &str {
        &self.amqp.vhost
    }

    /// `amqp://host:port/vhost` without user and password, fit for logs and pages.
    pub fn redacted(&self) -> String {
        let AMQPUri {
            scheme,
            authority,
            vhost,
            ..
        } = &self.amqp;
        format!(
            "{scheme}://{}:{}/{}",
            authority.host,
            authority.port,
            if vhost == "/" { "%2f" } else { vhost }
        )
    }

    /// The management API's address without user and password, fit for logs and pages.
    pub fn management_redacted(&self) -> &str {
        self.management.base.as_str()
    }

    pub(crate) fn amqp(&self) -> &AMQPUri {
        &self.amqp
    }

    pub(crate) fn management(&self) -> &ManagementTarget {
        &self.management
    }

    /// A text of the broker's fit to be shown: the user's name is taken out of it.
    pub(crate) fn scrub(&self, text: &str) -> String {
        text.replace(&format!("'{}'", self.amqp.authority.userinfo.username), "'…'")
    }
}

impl fmt::Debug for BrokerConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BrokerConfig")
            .field("amqp", &self.redacted())
            .field("management", &self.management_redacted())
            .field("connection_name", &self.connection_name)
            .finish()
    }
}

impl fmt::Display for BrokerConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.redacted())
    }
}

fn parse_amqp(text: &str) -> Result<AMQPUri, BrokerConfigError> {
    let wrong = |what: &str| BrokerConfigError::Amqp(what.to_owned());
    let url =
        Url::parse(text).map_err(|error| BrokerConfigError::Amqp(format!("can't be read ({error})")))?;
    if !matches!(url.scheme(), "amqp" | "amqps") {
        return Err(wrong("must start with amqp:// or amqps://"));
    }
    let host = match url.host() {
        None | Some(Host::Domain("")) => return Err(wrong("names no host")),
        Some(Host::Domain(name)) => name.to_owned(),
        // lapin takes an IPv6 host for a missing one and connects to localhost.
        Some(Host::Ipv6(address)) => address.to_string(),
        Some(Host::Ipv4(address)) => address.to_string(),
    };
    for (key, _) in url.query_pairs() {
        if !matches!(
            key.as_ref(),
            "heartbeat" | "frame_max" | "channel_max" | "connection_timeout" | "auth_mechanism"
        ) {
            return Err(BrokerConfigError::Amqp(format!(
                "has the parameter {key}, which is not supported"
            )));
        }
    }
    if url.path().matches('/').count() > 1 {
        return Err(wrong(
            "has more than one part in its path; write the virtual host / as %2f",
        ));
    }
    let mut amqp: AMQPUri = text.parse().map_err(|_| wrong("can't be read"))?;
    amqp.authority.host = host;
    if amqp.vhost.is_empty() {
        amqp.vhost = "/".to_owned();
    }
    amqp.query.heartbeat = Some(match amqp.query.heartbeat {
        Some(asked) if (1..HEARTBEAT_S).contains(&asked) => asked,
        _ => HEARTBEAT_S,
    });
    Ok(amqp)
}

fn parse_management(text: &str, amqp: &AMQPUri) -> Result<ManagementTarget, BrokerConfigError> {
    let wrong = |what: &str| BrokerConfigError::Management(what.to_owned());
    let mut base = Url::parse(text)
        .map_err(|error| BrokerConfigError::Management(format!("can't be read ({error})")))?;
    if !matches!(base.scheme(), "http" | "https") {
        return Err(wrong("must start with http:// or https://"));
    }
    if base.query().is_some() || base.fragment().is_some() {
        return Err(wrong("must not have a query or a fragment"));
    }
    let decoded = |part: &str| decode(part).ok_or_else(|| wrong("has a user or password that is not UTF-8"));
    let (user, password) = match (base.username(), base.password()) {
        ("", None) => (
            amqp.authority.userinfo.username.clone(),
            amqp.authority.userinfo.password.clone(),
        ),
        (user, password) => (decoded(user)?, decoded(password.unwrap_or_default())?),
    };
    let no_credentials = "an http URL can always lose its credentials";
    base.set_username("").expect(no_credentials);
    base.set_password(None).expect(no_credentials);
    Ok(ManagementTarget { base, user, password })
}

fn derive_management(amqp: &AMQPUri) -> Result<ManagementTarget, BrokerConfigError> {
    let host = &amqp.authority.host;
    let host = if host.contains(':') {
        format!("[{host}]")
    } else {
        host.clone()
    };
    let address = match amqp.scheme {
        AMQPScheme::AMQP => format!("http://{host}:15672"),
        AMQPScheme::AMQPS => format!("https://{host}:15671"),
    };
    parse_management(&address, amqp)
}

/// Undoes percent-encoding. `+` stays `+`: this is the user part of a URL, not a form.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = (*first == b'%').then(|| tail.get(..2)).flatten();
        match hex.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(amqp: &str, management: Option<&str>) -> BrokerConfig {
        BrokerConfig::parse(amqp, management).unwrap()
    }

    #[test]
    fn the_management_address_is_derived_from_the_amqp_one() {
        let plain = parsed("amqp://ann:p%40ss@mq.example:5673/tasks", None);
        assert_eq!(plain.management_redacted(), "http://mq.example:15672/");
        assert_eq!(
            (
                plain.management().user.as_str(),
                plain.management().password.as_str()
            ),
            ("ann", "p@ss")
        );
        assert_eq!(
            parsed("amqps://mq.example", None).management_redacted(),
            "https://mq.example:15671/"
        );
        assert_eq!(
            parsed("amqp://[::1]:5672", None).management_redacted(),
            "http://[::1]:15672/"
        );
    }

    #[test]
    fn a_management_url_brings_its_own_credentials_or_borrows_those_of_amqp() {
        let own = parsed("amqp://a:b@h", Some("https://m%2Bn:x%2Fy+z@api/prefix"));
        assert_eq!(
            (own.management().user.as_str(), own.management().password.as_str()),
            ("m+n", "x/y+z")
        );
        assert_eq!(own.management_redacted(), "https://api/prefix");
        let borrowed = parsed("amqp://a:b@h", Some("http://api:15672"));
        assert_eq!(
            (
                borrowed.management().user.as_str(),
                borrowed.management().password.as_str()
            ),
            ("a", "b")
        );
    }

    #[test]
    fn no_text_shows_the_credentials() {
        let config = parsed(
            "amqp://someuser:hunter2@mq:5672/%2f",
            Some("http://other:sesame@mq:15672"),
        );
        for text in [
            format!("{config:?}"),
            format!("{config}"),
            config.redacted(),
            config.management_redacted().to_owned(),
        ] {
            for secret in ["someuser", "hunter2", "other", "sesame"] {
                assert!(!text.contains(secret), "{text} shows {secret}");
            }
        }
        assert_eq!(
            config.scrub("refused for user 'someuser'"),
            "refused for user '…'"
        );
        for wrong in [
            "amqp://someuser:hunter2@:99999999/",
            "http://someuser:hunter2@h",
            "amqp://someuser:hunter2@h/?verify=1",
        ] {
            let error = BrokerConfig::parse(wrong, None).unwrap_err().to_string();
            assert!(
                !error.contains("hunter2") && !error.contains("someuser"),
                "{error}"
            );
        }
    }

    #[test]
    fn the_virtual_host_is_decoded_and_defaults_to_the_slash() {
        for (url, vhost) in [
            ("amqp://h", "/"),
            ("amqp://h/", "/"),
            ("amqp://h/%2f", "/"),
            ("amqp://h/%2Fteam%2fa", "/team/a"),
            ("amqp://h/tasks", "tasks"),
        ] {
            assert_eq!(parsed(url, None).vhost(), vhost, "{url}");
        }
        assert!(BrokerConfig::parse("amqp://h/a/b", None).is_err());
    }

    #[test]
    fn an_ipv6_host_is_kept() {
        let config = parsed("amqp://[fd00::7]:5672/%2f", None);
        assert_eq!(config.amqp().authority.host, "fd00::7");
    }

    #[test]
    fn a_heartbeat_may_only_be_shortened() {
        for (url, heartbeat) in [
            ("amqp://h", 10),
            ("amqp://h?heartbeat=2", 2),
            ("amqp://h?heartbeat=60", 10),
            ("amqp://h?heartbeat=0", 10),
        ] {
            assert_eq!(parsed(url, None).amqp().query.heartbeat, Some(heartbeat), "{url}");
        }
    }

    #[test]
    fn wrong_urls_are_refused_with_the_reason() {
        for (url, reason) in [
            ("redis://h", "must start with amqp://"),
            ("amqp:///tasks", "names no host"),
            ("amqp://h?cacertfile=x", "cacertfile"),
            ("nonsense", "can't be read"),
        ] {
            let error = BrokerConfig::parse(url, None).unwrap_err().to_string();
            assert!(error.contains(reason), "{url}: {error}");
        }
        let error = BrokerConfig::parse("amqp://h", Some("ftp://h"))
            .unwrap_err()
            .to_string();
        assert!(error.contains("must start with http://"), "{error}");
    }
}
