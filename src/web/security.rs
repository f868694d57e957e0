//! What holds for every request and answer, whoever handles it: the Host allow-list, the request id, the security
//! headers, and the refusal of cross-site forms.

use std::{net::IpAddr, net::SocketAddr, sync::Arc};

use axum::{
    body::Body,
    extract::{Request, State},
    http::{Extensions, HeaderMap, HeaderName, HeaderValue, Uri, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use tower_http::csrf::{CsrfLayer, ProtectionError};
use tracing::warn;
use url::Url;
use uuid::Uuid;

use super::{
    error::{AppError, Problem},
    extract::{ClientAddr, Network, RequestId, client_addr},
    layout::Flash,
    session::stays_plain,
};

/// Nothing is inline, nothing comes from elsewhere, nobody frames us.
const CONTENT_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
     connect-src 'self'; font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; object-src 'none'";

/// Where the site is reached, as far as safety hangs on it.
#[derive(Clone, Debug)]
pub struct Origin {
    public_url: Option<Url>,
    listen: SocketAddr,
    machine: Option<String>,
    trusted_proxies: Vec<Network>,
}

impl Origin {
    /// `machine` is this machine's own host name, allowed when no `public_url` is set.
    pub fn new(
        public_url: Option<Url>,
        listen: SocketAddr,
        machine: Option<String>,
        trusted_proxies: Vec<Network>,
    ) -> Self {
        Self {
            public_url,
            listen,
            machine,
            trusted_proxies,
        }
    }

    /// Where a request came from, as far as our own proxies tell.
    pub fn client_addr(&self, headers: &HeaderMap, extensions: &Extensions) -> ClientAddr {
        client_addr(headers, extensions, &self.trusted_proxies)
    }

    /// Whether browsers reach the site over HTTPS, as `PUBLIC_URL` says.
    pub fn is_https(&self) -> bool {
        self.public_url
            .as_ref()
            .is_some_and(|url| url.scheme() == "https")
    }

    /// The site's address for links in messages, without a slash at its end.
    pub fn base(&self) -> String {
        match &self.public_url {
            Some(url) => url.as_str().trim_end_matches('/').to_owned(),
            None => format!("http://{}", self.listen),
        }
    }

    /// Whether the site answers to `host`, a name or address without its port. Ports don't count: they change with
    /// every tunnel, and a page of another port is another origin anyway.
    fn answers_to(&self, host: &str) -> bool {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        if let Some(url) = &self.public_url
            && url.host_str() == Some(host.as_str())
        {
            return true;
        }
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        match bare.parse::<IpAddr>() {
            // A name can be pointed at us by a stranger's DNS, an address can't.
            Ok(addr) => {
                addr.is_loopback()
                    || addr == self.listen.ip()
                    || (self.listen.ip().is_unspecified() && self.public_url.is_none())
            }
            Err(_) => {
                host == "localhost"
                    || (self.public_url.is_none()
                        && self
                            .machine
                            .as_ref()
                            .is_some_and(|name| name.eq_ignore_ascii_case(&host)))
            }
        }
    }
}

/// Refuses a request that names no host, several, or one that is not ours: 400 and 421.
///
/// Health checks and metrics are asked for by address books of their own (a probe, a scraper) and answer to any name.
pub(crate) async fn check_host(State(origin): State<Arc<Origin>>, request: Request, next: Next) -> Response {
    let any_name = matches!(request.uri().path(), "/healthz" | "/readyz" | "/metrics");
    match host_of(request.headers(), request.uri()) {
        None => AppError::new(Problem::BadRequest)
            .detail("the request must have exactly one well-formed Host header")
            .explain("error-host-missing")
            .into_response(),
        Some(host) if any_name || origin.answers_to(&host) => next.run(request).await,
        Some(_) => AppError::new(Problem::WrongHost)
            .detail("this site does not answer to that host name; PUBLIC_URL sets the name it answers to")
            .into_response(),
    }
}

/// The one host that the request names, without its port. A target in absolute form must agree with the header.
fn host_of(headers: &HeaderMap, uri: &Uri) -> Option<String> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let named = hosts.next()?.to_str().ok()?;
    if hosts.next().is_some() || named.contains('@') {
        return None;
    }
    let authority: axum::http::uri::Authority = named.parse().ok()?;
    if let Some(target) = uri.authority()
        && !target.as_str().eq_ignore_ascii_case(named)
    {
        return None;
    }
    let host = authority.host();
    (!host.is_empty()).then(|| host.to_owned())
}

/// Refuses a page's address with U+0000 in it: nothing here has such a name, and PostgreSQL's texts can't hold it. A call
/// of the API says for itself which parameter is wrong.
pub(crate) async fn refuse_nul(request: Request, next: Next) -> Response {
    let has_nul = |part: &str| part.contains("%00");
    let uri = request.uri();
    if uri.path().starts_with("/api/") {
        return next.run(request).await;
    }
    if has_nul(uri.path()) {
        return AppError::new(Problem::NotFound).into_response();
    }
    if uri.query().is_some_and(has_nul) {
        return AppError::new(Problem::BadRequest)
            .detail("the address holds the character U+0000")
            .into_response();
    }
    next.run(request).await
}

/// Gives the request an id, and the answer the same id in `X-Request-Id`.
pub(crate) async fn name_request(mut request: Request, next: Next) -> Response {
    let id = Uuid::new_v4().simple().to_string();
    let value = HeaderValue::try_from(&id).ok();
    request.extensions_mut().insert(RequestId(id));
    let mut response = next.run(request).await;
    if let Some(value) = value {
        response
            .headers_mut()
            .insert(HeaderName::from_static("x-request-id"), value);
    }
    response
}

/// Adds the security headers to every answer. A handler that set one of them knew better.
pub(crate) async fn add_headers(State(origin): State<Arc<Origin>>, request: Request, next: Next) -> Response {
    let flash_shown = Flash::read(request.headers()).is_some() && request.method().is_safe();
    let static_file = request.uri().path().starts_with("/static/");
    let live = request.headers().contains_key("x-live");
    let mut response = next.run(request).await;
    let page = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    if flash_shown && page && !live {
        let forget = format!("{}=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax", Flash::COOKIE);
        if let Ok(value) = HeaderValue::try_from(forget) {
            response.headers_mut().append(header::SET_COOKIE, value);
        }
    }
    if origin.is_https() {
        make_cookies_secure(response.headers_mut());
    }
    let headers = response.headers_mut();
    let mut default = |name: HeaderName, value: &'static str| {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    };
    default(header::CONTENT_SECURITY_POLICY, CONTENT_POLICY);
    default(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    default(header::REFERRER_POLICY, "same-origin");
    default(header::X_FRAME_OPTIONS, "DENY");
    default(
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    );
    default(
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    );
    if !static_file {
        default(header::CACHE_CONTROL, "no-store");
    }
    if origin.is_https() {
        default(
            header::STRICT_TRANSPORT_SECURITY,
            "max-age=31536000; includeSubDomains",
        );
    }
    response
}

/// Adds `Secure` to every cookie but the one that tells whether Secure cookies arrive.
fn make_cookies_secure(headers: &mut HeaderMap) {
    let header::Entry::Occupied(mut lines) = headers.entry(header::SET_COOKIE) else {
        return;
    };
    for line in lines.iter_mut().filter(|line| !stays_plain(line.as_bytes())) {
        let secure = [line.as_bytes(), b"; Secure"].concat();
        if let Ok(secure) = HeaderValue::from_bytes(&secure) {
            *line = secure;
        }
    }
}

/// Refuses a form that another site sent, by `Sec-Fetch-Site`, else by `Origin`. Every browser of the last years sends one
/// of them with a form; what sends neither is a program, which no other site can steer.
///
/// Calls under `/api` carry a bearer token instead of a cookie, which no other site can add, so they may come from
/// anywhere.
pub(crate) fn refuse_cross_site() -> CsrfLayer<impl Fn(ProtectionError) -> Response + Clone> {
    CsrfLayer::new()
        .with_insecure_bypass(|_, uri| uri.path().starts_with("/api/"))
        .with_rejection_response(|error: ProtectionError| -> Response<Body> {
            warn!(error = %error, "a cross-site request was refused");
            AppError::new(Problem::CrossSite).into_response()
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(public_url: Option<&str>, listen: &str) -> Origin {
        Origin::new(
            public_url.map(|url| url.parse().expect("a URL")),
            listen.parse().expect("an address"),
            Some("box7".into()),
            Vec::new(),
        )
    }

    #[test]
    fn the_site_answers_to_its_own_names_only() {
        let local = origin(None, "127.0.0.1:8080");
        let open = origin(None, "0.0.0.0:8080");
        let public = origin(Some("https://unstuck.example/"), "0.0.0.0:8080");
        for (origin, host, answers) in [
            (&local, "localhost", true),
            (&local, "LOCALHOST.", true),
            (&local, "127.0.0.1", true),
            (&local, "[::1]", true),
            (&local, "box7", true),
            (&local, "evil.example", false),
            (&local, "10.0.0.5", false),
            (&open, "10.0.0.5", true),
            (&open, "localhost.evil.example", false),
            (&public, "unstuck.example", true),
            (&public, "box7", false),
            (&public, "10.0.0.5", false),
            (&public, "localhost", true),
        ] {
            assert_eq!(origin.answers_to(host), answers, "{host}");
        }
    }

    #[test]
    fn a_request_names_exactly_one_host() {
        let with = |hosts: &[&'static str], uri: &'static str| {
            let mut headers = HeaderMap::new();
            for host in hosts {
                headers.append(header::HOST, HeaderValue::from_static(host));
            }
            host_of(&headers, &Uri::from_static(uri))
        };
        assert_eq!(with(&["a:80"], "/").as_deref(), Some("a"));
        assert_eq!(with(&["[::1]:80"], "/").as_deref(), Some("[::1]"));
        assert_eq!(with(&["a"], "http://a/x").as_deref(), Some("a"));
        for (hosts, uri) in [
            (&[][..], "/"),
            (&["a", "a"], "/"),
            (&["a"], "http://b/"),
            (&["u@a"], "/"),
            (&[""], "/"),
            (&["a b"], "/"),
        ] {
            assert_eq!(with(hosts, uri), None, "{hosts:?} {uri}");
        }
    }
}
