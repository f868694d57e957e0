//! What handlers take from a request: the language, the caller's address, the request id, a local path.

use std::{
    convert::Infallible,
    net::{IpAddr, Ipv6Addr, SocketAddr},
};

use axum::{
    extract::{ConnectInfo, FromRequestParts},
    http::{Extensions, HeaderMap, header, request::Parts},
};

use super::i18n::Lang;
use crate::domain::time::Time;

/// The cookie that holds the chosen language.
pub(crate) const LANG_COOKIE: &str = "unstuck_lang";

/// This request's id, in the log, on an error's page and in the `X-Request-Id` header. Ours, never the caller's.
#[derive(Clone, Debug, Default)]
pub struct RequestId(pub String);

impl<S: Sync> FromRequestParts<S> for RequestId {
    type Rejection = Infallible;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or_default())
    }
}

/// The value of the cookie `name`; the first one when a request brings several.
pub(crate) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .find_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('='))
}

/// The reader's language: its cookie, else the account's setting, else what the browser accepts, else English.
pub(crate) fn lang(headers: &HeaderMap, setting: Option<Lang>) -> Lang {
    let chosen = cookie(headers, LANG_COOKIE).and_then(Lang::from_tag);
    let accepted = || Lang::accepted(headers.get(header::ACCEPT_LANGUAGE)?.to_str().ok()?);
    chosen.or(setting).or_else(accepted).unwrap_or(Lang::En)
}

impl<S: Sync> FromRequestParts<S> for Lang {
    type Rejection = Infallible;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(lang(&parts.headers, None))
    }
}

/// The machine's own clock: for what no lease or schedule hangs on.
pub(crate) fn wall_clock() -> Time {
    Time::from_ms(jiff::Timestamp::now().as_millisecond())
}

/// The address a request came from; of a configured proxy, the one it was forwarded for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddr(pub IpAddr);

impl ClientAddr {
    /// What limits count by: an IPv4 address, or the /64 that one IPv6 customer has.
    pub fn bucket(self) -> IpAddr {
        match self.0.to_canonical() {
            IpAddr::V4(v4) => IpAddr::V4(v4),
            IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
        }
    }
}

/// The caller's address. The rightmost entry of `X-Forwarded-For` that is no proxy of ours counts, and only when the
/// connection itself comes from a proxy of ours: everything to its left was written by the caller.
pub(crate) fn client_addr(
    headers: &HeaderMap,
    extensions: &Extensions,
    trusted_proxies: &[Network],
) -> ClientAddr {
    let peer = match extensions.get::<ConnectInfo<SocketAddr>>() {
        Some(ConnectInfo(peer)) => peer.ip().to_canonical(),
        None => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let trusted = |addr: IpAddr| trusted_proxies.iter().any(|network| network.contains(addr));
    if !trusted(peer) {
        return ClientAddr(peer);
    }
    let lines: Vec<&str> = headers
        .get_all("x-forwarded-for")
        .iter()
        .filter_map(|line| line.to_str().ok())
        .collect();
    let mut last = peer;
    for entry in lines.iter().rev().flat_map(|line| line.rsplit(',')) {
        let Ok(addr) = entry.trim().parse::<IpAddr>() else {
            break;
        };
        last = addr.to_canonical();
        if !trusted(last) {
            break;
        }
    }
    ClientAddr(last)
}

/// A range of addresses such as `10.0.0.0/8`, or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    addr: IpAddr,
    prefix: u8,
}

/// A text that is no address and no range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no address and no range such as 10.0.0.0/8")]
pub struct NotANetwork(String);

impl std::str::FromStr for Network {
    type Err = NotANetwork;
    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        let wrong = || NotANetwork(text.to_owned());
        let (addr, prefix) = match text.split_once('/') {
            Some((addr, prefix)) => (addr, Some(prefix)),
            None => (text, None),
        };
        let addr: IpAddr = addr.trim().parse().map_err(|_| wrong())?;
        let widest = if addr.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            Some(prefix) => prefix.trim().parse().map_err(|_| wrong())?,
            None => widest,
        };
        if prefix > widest {
            return Err(wrong());
        }
        Ok(Self { addr, prefix })
    }
}

impl Network {
    pub fn contains(&self, addr: IpAddr) -> bool {
        match (self.addr, addr.to_canonical()) {
            (IpAddr::V4(net), IpAddr::V4(addr)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0);
                net.to_bits() & mask == addr.to_bits() & mask
            }
            (IpAddr::V6(net), IpAddr::V6(addr)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix)).unwrap_or(0);
                net.to_bits() & mask == addr.to_bits() & mask
            }
            _ => false,
        }
    }
}

/// `next` when it is a path of this site, else `fallback`: no other host, scheme or control character gets through.
pub fn local_path(next: Option<&str>, fallback: &str) -> String {
    let fine = next.filter(|path| {
        path.starts_with('/')
            && !path.starts_with("//")
            && path.len() <= 2000
            && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
    });
    // Parsed once more as a browser would: dots and tabs must not turn a path into a host.
    let base = url::Url::parse("http://local.invalid").ok();
    let parsed = fine.and_then(|path| base?.join(path).ok());
    match parsed {
        Some(url) if url.host_str() == Some("local.invalid") && !url.path().starts_with("//") => {
            match url.query() {
                Some(query) => format!("{}?{query}", url.path()),
                None => url.path().to_owned(),
            }
        }
        _ => fallback.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn from(peer: &str, forwarded: &[&str], trusted: &[&str]) -> IpAddr {
        let mut extensions = Extensions::new();
        let peer: IpAddr = peer.parse().expect("an address");
        extensions.insert(ConnectInfo(SocketAddr::new(peer, 4000)));
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append("x-forwarded-for", HeaderValue::try_from(*line).expect("a header"));
        }
        let trusted: Vec<Network> = trusted
            .iter()
            .map(|one| one.parse().expect("a network"))
            .collect();
        client_addr(&headers, &extensions, &trusted).0
    }

    #[test]
    fn a_forwarded_address_counts_only_from_our_own_proxy() {
        for (peer, forwarded, trusted, is) in [
            ("9.9.9.9", &["1.1.1.1"][..], &[][..], "9.9.9.9"),
            ("10.0.0.1", &["1.1.1.1"], &["10.0.0.0/8"], "1.1.1.1"),
            (
                "10.0.0.1",
                &["6.6.6.6, 1.1.1.1, 10.2.2.2"],
                &["10.0.0.0/8"],
                "1.1.1.1",
            ),
            ("10.0.0.1", &["6.6.6.6", "1.1.1.1"], &["10.0.0.1"], "1.1.1.1"),
            ("10.0.0.1", &["nonsense"], &["10.0.0.0/8"], "10.0.0.1"),
            ("::ffff:10.0.0.1", &["1.1.1.1"], &["10.0.0.0/8"], "1.1.1.1"),
            ("10.0.0.1", &[], &["0.0.0.0/0"], "10.0.0.1"),
        ] {
            assert_eq!(
                from(peer, forwarded, trusted).to_string(),
                is,
                "{peer} {forwarded:?}"
            );
        }
    }

    #[test]
    fn an_ipv6_customer_is_one_caller() {
        let one = ClientAddr("2001:db8:1:2:3:4:5:6".parse().expect("an address"));
        assert_eq!(one.bucket().to_string(), "2001:db8:1:2::");
    }

    #[test]
    fn a_network_with_a_wrong_prefix_is_refused() {
        for text in ["", "10.0.0.0/33", "::/129", "host", "10.0.0.0/x", "10.0.0.0/-1"] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }

    #[test]
    fn only_a_path_of_this_site_is_a_next() {
        for path in [
            "/admin",
            "/admin/tasks?state=failed&q=a%20b",
            "/t/1?key=x",
            "/a?u=http://b",
        ] {
            assert_eq!(local_path(Some(path), "/admin"), path);
        }
        for other in [
            "",
            "admin",
            "//evil.example",
            "/\\evil.example",
            "\\/evil",
            "https://evil.example",
            "/\t/evil",
            "/%0d%0a\r\nSet-Cookie: a",
            "javascript:alert(1)",
            "/ /evil",
            "/.//evil.example",
            "/a/..//evil.example",
            "http:/evil",
            "/\u{0}",
            "/é",
            "///evil",
        ] {
            assert_eq!(local_path(Some(other), "/admin"), "/admin", "{other:?}");
        }
        assert_eq!(local_path(None, "/admin"), "/admin");
    }
}
