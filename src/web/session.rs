//! Who is asking: a person by the session's cookie, a program by its token. Extractors for handlers.

use std::{ops::Deref, sync::Arc};

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderName, HeaderValue, Method, header, request::Parts},
    response::{IntoResponse, Response},
};
use url::form_urlencoded;

use super::{
    Site,
    error::{AppError, Problem},
    extract::{ClientAddr, RequestId, cookie, lang},
    i18n::Lang,
    layout::{Chrome, Nav, Who},
    security::Origin,
    see_other,
};
use crate::{
    domain::{
        access::{Role, Scope},
        audit::AuditEntry,
    },
    services::accounts::{Caller, Visitor},
    store::{Sight, User},
};

/// The cookie that an earlier login left: strangers' failures don't count against this browser.
const DEVICE: &str = "unstuck_device";
/// Set for a moment by a login, never Secure: where it arrives and the session does not, the browser dropped the latter.
const ENTERED: &str = "unstuck_entered";

/// The session cookie's name. `__Host-` needs Secure, and Secure needs HTTPS.
pub(crate) fn session_cookie(origin: &Origin) -> &'static str {
    if origin.is_https() {
        "__Host-unstuck"
    } else {
        "unstuck_session"
    }
}

/// The cookies of somebody who just signed in. `add_headers` makes them Secure where the site has HTTPS.
pub(crate) fn remember(origin: &Origin, headers: &mut HeaderMap, token: &str, device: &str) {
    let session = session_cookie(origin);
    set_cookie(
        headers,
        format!("{session}={token}; Path=/; HttpOnly; SameSite=Lax"),
    );
    set_cookie(
        headers,
        format!("{DEVICE}={device}; Path=/login; Max-Age=31536000; HttpOnly; SameSite=Lax"),
    );
    set_cookie(
        headers,
        format!("{ENTERED}=1; Path=/; Max-Age=30; HttpOnly; SameSite=Lax"),
    );
}

/// Takes the session's cookie back.
pub(crate) fn forget(origin: &Origin, headers: &mut HeaderMap) {
    for name in [session_cookie(origin), ENTERED] {
        set_cookie(
            headers,
            format!("{name}=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax"),
        );
    }
    headers.insert(
        HeaderName::from_static("clear-site-data"),
        HeaderValue::from_static("\"cache\""),
    );
}

/// Whether the browser came from a login a moment ago: then it did not keep the session's cookie.
pub(crate) fn just_entered(headers: &HeaderMap) -> bool {
    cookie(headers, ENTERED).is_some()
}

/// Whether a `Set-Cookie` line may go over plain HTTP on a site that has HTTPS.
pub(crate) fn stays_plain(line: &[u8]) -> bool {
    line.starts_with(ENTERED.as_bytes())
}

fn set_cookie(headers: &mut HeaderMap, line: String) {
    if let Ok(value) = HeaderValue::try_from(line) {
        headers.append(header::SET_COOKIE, value);
    }
}

/// Whoever knocks at the login.
pub(crate) fn visitor(origin: &Origin, parts: &Parts) -> Visitor {
    let addr = origin.client_addr(&parts.headers, &parts.extensions);
    let agent = parts
        .headers
        .get(header::USER_AGENT)
        .and_then(|agent| agent.to_str().ok());
    Visitor {
        address: addr.0,
        bucket: addr.bucket(),
        user_agent: agent.unwrap_or_default().to_owned(),
        device: cookie(&parts.headers, DEVICE).map(str::to_owned),
        request_id: request_id(parts),
    }
}

fn request_id(parts: &Parts) -> String {
    parts
        .extensions
        .get::<RequestId>()
        .map(|id| id.0.clone())
        .unwrap_or_default()
}

/// A signed-in person and their request.
#[derive(Clone, Debug)]
pub struct Session {
    pub user: User,
    pub lang: Lang,
    pub addr: ClientAddr,
    pub request_id: String,
    pub(crate) token: String,
    frame: Chrome,
}

impl Session {
    /// The person as actor of what they do: `user:<email>`.
    pub fn actor(&self) -> String {
        format!("user:{}", self.user.email)
    }

    /// The frame of a page under the navigation entry `nav`.
    pub fn chrome(&self, nav: Nav) -> Chrome {
        Chrome {
            nav,
            ..self.frame.clone()
        }
    }

    /// An audit entry by this person in this request.
    pub fn audit(&self, action: &str, target: &str, target_id: impl Into<String>) -> AuditEntry {
        let mut entry = AuditEntry::new(self.actor(), action, target, target_id);
        entry.request_id = Some(self.request_id.clone());
        entry.address = Some(self.addr.0.to_string());
        entry
    }
}

/// Whether anybody is signed in; for pages that are for everybody.
pub(crate) async fn find(parts: &Parts, site: &Site) -> Result<Option<Session>, AppError> {
    let Some(token) = cookie(&parts.headers, session_cookie(&site.origin)) else {
        return Ok(None);
    };
    // A page that renews itself says whether its reader has touched anything lately.
    let sight = match parts.headers.get("x-live") {
        Some(value) if value != "active" => Sight::Page,
        _ => Sight::Person,
    };
    let Some((_, user, now)) = site.accounts.session(token, sight).await? else {
        return Ok(None);
    };
    let mut frame = Chrome::bare(&parts.headers, &parts.uri, Nav::None);
    frame.l = lang(&parts.headers, user.lang.as_deref().and_then(Lang::from_tag));
    frame.now = now;
    frame.who = Some(Who {
        email: user.email.clone(),
        role: user.role,
    });
    frame.links = (site.links)();
    frame.counts = *site.counts.borrow();
    Ok(Some(Session {
        lang: frame.l,
        addr: site.origin.client_addr(&parts.headers, &parts.extensions),
        request_id: request_id(parts),
        token: token.to_owned(),
        user,
        frame,
    }))
}

/// The session, if its role is enough. A GET without a session is sent to the login and comes back; anything else is
/// refused: what was sent is not done later in somebody else's name.
async fn demand(parts: &Parts, site: &Site, role: Role) -> Result<Session, Response> {
    match find(parts, site).await.map_err(IntoResponse::into_response)? {
        Some(session) if session.user.role >= role => Ok(session),
        Some(_) => Err(AppError::new(Problem::Forbidden).into_response()),
        None if matches!(parts.method, Method::GET | Method::HEAD) => {
            let path = parts.uri.path_and_query().map_or("/admin", |path| path.as_str());
            let next: String = form_urlencoded::byte_serialize(path.as_bytes()).collect();
            Err(see_other(&format!("/login?next={next}"), None))
        }
        None => Err(AppError::new(Problem::Forbidden)
            .explain("error-session-over")
            .into_response()),
    }
}

macro_rules! role_extractors {
    ($($(#[$meta:meta])* $name:ident = $role:ident),+) => {$(
        $(#[$meta])*
        #[derive(Clone, Debug)]
        pub struct $name(pub Session);

        impl Deref for $name {
            type Target = Session;
            fn deref(&self) -> &Session {
                &self.0
            }
        }

        impl FromRequestParts<Arc<Site>> for $name {
            type Rejection = Response;
            async fn from_request_parts(parts: &mut Parts, site: &Arc<Site>) -> Result<Self, Response> {
                demand(parts, site, Role::$role).await.map(Self)
            }
        }
    )+};
}
role_extractors!(
    /// Anybody who is signed in.
    Viewer = Viewer,
    /// An operator or administrator.
    Operator = Operator,
    /// An administrator.
    Admin = Admin
);

/// A program, by its bearer token. Call `require` before anything else.
#[derive(Clone, Debug)]
pub struct ApiCaller(pub Caller);

impl ApiCaller {
    /// Refuses a token without `scope`, naming it.
    pub fn require(&self, scope: Scope) -> Result<(), AppError> {
        if self.0.may(scope) {
            return Ok(());
        }
        Err(AppError::new(Problem::Forbidden)
            .detail(format!("this token has no scope {scope}"))
            .member("scope", scope.as_str()))
    }

    /// The actor of what the program does.
    pub fn actor(&self) -> &str {
        &self.0.actor
    }
}

impl FromRequestParts<Arc<Site>> for ApiCaller {
    type Rejection = AppError;
    async fn from_request_parts(parts: &mut Parts, site: &Arc<Site>) -> Result<Self, AppError> {
        let refuse = |challenge: &'static str, detail: &'static str| {
            AppError::new(Problem::Unauthenticated)
                .detail(detail)
                .header(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge))
        };
        let Some(token) = bearer(&parts.headers) else {
            return Err(refuse(
                "Bearer realm=\"unstuck\"",
                "send a token: Authorization: Bearer …",
            ));
        };
        match site.accounts.caller(token).await? {
            Some(caller) => Ok(Self(caller)),
            None => Err(refuse(
                "Bearer realm=\"unstuck\", error=\"invalid_token\"",
                "this token is unknown, expired or revoked",
            )),
        }
    }
}

/// The bearer token; `None` without exactly one `Authorization: Bearer …`.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut lines = headers.get_all(header::AUTHORIZATION).iter();
    let line = lines.next()?.to_str().ok()?;
    let (scheme, token) = line.split_once(' ')?;
    let token = token.trim();
    let fine = lines.next().is_none() && scheme.eq_ignore_ascii_case("bearer") && !token.is_empty();
    fine.then_some(token)
}
