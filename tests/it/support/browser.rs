//! A browser without a window: keeps its cookies, follows nothing by itself, sends forms as browsers do.

use std::collections::BTreeMap;

use axum::{
    body::Body,
    http::{Method, Request, header},
};
use unstuck::domain::access::Role;

use super::site::{Answer, TestSite};

/// The password of everybody whom a test lets in.
pub const PASSWORD: &str = "a few words to remember";

pub struct Browser<'a> {
    site: &'a TestSite,
    pub cookies: BTreeMap<String, String>,
    /// Where it sits.
    pub peer: &'static str,
    /// Sent as `Accept-Language`.
    pub language: &'static str,
}

impl<'a> Browser<'a> {
    pub fn new(site: &'a TestSite) -> Self {
        Self {
            site,
            cookies: BTreeMap::new(),
            peer: "127.0.0.1:50000",
            language: "en",
        }
    }

    /// A browser in which somebody of this role has signed in; the account is made when there is none.
    pub async fn signed_in(site: &'a TestSite, role: Role) -> Self {
        let email = format!("{role}@example.org");
        // The account of an earlier browser serves again.
        site.site
            .accounts
            .add_user("system", &email, role, Some(PASSWORD))
            .await
            .ok();
        let mut browser = Self::new(site);
        let answer = browser.log_in(&email, PASSWORD).await;
        assert_eq!(answer.status, 303, "{}", answer.text());
        browser
    }

    pub async fn log_in(&mut self, email: &str, password: &str) -> Answer {
        self.post("/login", &[("email", email), ("password", password)])
            .await
    }

    pub async fn get(&mut self, path: &str) -> Answer {
        self.ask(Method::GET, path, None).await
    }

    /// Sends a form of this site.
    pub async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let form: String = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        self.ask(Method::POST, path, Some(form)).await
    }

    async fn ask(&mut self, method: Method, path: &str, form: Option<String>) -> Answer {
        let request = self.request(method, path, form);
        let answer = self.site.send_from(self.peer, request).await;
        for line in answer.headers.get_all(header::SET_COOKIE) {
            self.keep(line.to_str().expect("a cookie in ASCII"));
        }
        answer
    }

    /// A request as this browser would send it.
    pub fn request(&self, method: Method, path: &str, form: Option<String>) -> Request<Body> {
        let cookies: Vec<String> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::COOKIE, cookies.join("; "))
            .header(header::ACCEPT_LANGUAGE, self.language)
            .header("sec-fetch-site", "same-origin");
        if form.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        }
        request
            .body(Body::from(form.unwrap_or_default()))
            .expect("a request")
    }

    fn keep(&mut self, line: &str) {
        let (pair, attributes) = line.split_once(';').unwrap_or((line, ""));
        let (name, value) = pair.split_once('=').expect("a name and a value");
        if attributes.contains("Max-Age=0") {
            self.cookies.remove(name);
        } else {
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
    }
}
