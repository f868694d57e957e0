//! Whether a request comes from this machine itself.

use std::net::{IpAddr, SocketAddr};

use axum::{
    extract::ConnectInfo,
    http::{HeaderName, header, request::Parts, uri::Authority},
};

/// Headers that a proxy adds: behind one on this machine, everybody comes from this machine.
const FORWARDED: [HeaderName; 4] = [
    header::FORWARDED,
    header::VIA,
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-real-ip"),
];

/// Whether a program on this machine asks, by this machine's own name: a web page whose name somebody points at this
/// machine asks by that name.
pub(super) fn is_local(parts: &Parts) -> bool {
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
    let near = peer.is_some_and(|ConnectInfo(peer)| peer.ip().to_canonical().is_loopback());
    let direct = FORWARDED.iter().all(|name| !parts.headers.contains_key(name));
    let host = parts
        .headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let named = host
        .and_then(|host| host.parse::<Authority>().ok())
        .is_some_and(|authority| {
            let name = authority.host().trim_start_matches('[').trim_end_matches(']');
            name.eq_ignore_ascii_case("localhost")
                || name.parse().is_ok_and(|addr: IpAddr| addr.is_loopback())
        });
    near && direct && named
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(peer: &str, headers: &[(&str, &str)]) -> bool {
        let mut request = axum::http::Request::builder();
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (mut parts, _) = request
            .body(axum::body::Body::empty())
            .expect("a request")
            .into_parts();
        let peer: SocketAddr = peer.parse().expect("an address");
        parts.extensions.insert(ConnectInfo(peer));
        is_local(&parts)
    }

    #[test]
    fn only_this_machine_itself_reads_metrics_without_a_token() {
        assert!(asked("127.0.0.1:4", &[("host", "localhost:8080")]));
        assert!(asked("[::1]:4", &[("host", "[::1]:8080")]));
        for (peer, headers) in [
            ("10.0.0.9:4", &[("host", "localhost")][..]),
            ("127.0.0.1:4", &[("host", "evil.example")]),
            ("127.0.0.1:4", &[]),
            (
                "127.0.0.1:4",
                &[("host", "localhost"), ("x-forwarded-for", "1.2.3.4")],
            ),
            ("127.0.0.1:4", &[("host", "127.0.0.1"), ("via", "1.1 proxy")]),
        ] {
            assert!(!asked(peer, headers), "{peer} {headers:?}");
        }
    }
}
