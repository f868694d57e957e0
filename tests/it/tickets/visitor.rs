//! Somebody at a browser: fills in forms, keeps cookies.

use axum::{
    body::Body,
    http::{Request, header},
};
use unstuck::domain::access::Role;
use unstuck::services::accounts::Visitor as Knock;

use crate::support::site::{Answer, TestSite};

pub const BOUNDARY: &str = "----boundary7MA4YWxk";

/// A form with files, in the making.
#[derive(Clone, Default)]
pub struct Form(pub Vec<u8>);

impl Form {
    pub fn text(mut self, name: &str, value: &str) -> Self {
        self.0.extend_from_slice(
            format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
                .as_bytes(),
        );
        self
    }

    pub fn file(mut self, file_name: &str, bytes: &[u8]) -> Self {
        let head = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"attachments\"; filename=\"{file_name}\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n"
        );
        self.0.extend_from_slice(head.as_bytes());
        self.0.extend_from_slice(bytes);
        self.0.extend_from_slice(b"\r\n");
        self
    }

    pub fn end(mut self) -> Vec<u8> {
        self.0.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
        self.0
    }
}

/// A browser at one address, signed in or not.
pub struct Visitor<'a> {
    pub site: &'a TestSite,
    pub peer: String,
    pub cookie: Option<String>,
}

impl<'a> Visitor<'a> {
    pub fn stranger(site: &'a TestSite) -> Self {
        Self {
            site,
            peer: "198.51.100.7:40000".into(),
            cookie: None,
        }
    }

    pub async fn staff(site: &'a TestSite, role: Role) -> Self {
        let email = format!("{role}@staff.example");
        let accounts = &site.site.accounts;
        let added = accounts
            .add_user("system", &email, role, None)
            .await
            .expect("a user");
        let knock = Knock {
            address: [127, 0, 0, 1].into(),
            bucket: [127, 0, 0, 1].into(),
            user_agent: String::new(),
            device: None,
            request_id: String::new(),
        };
        let password = added.password.expect("made");
        let opened = accounts
            .log_in(&email, &password, &knock)
            .await
            .expect("signed in");
        Self {
            site,
            peer: "127.0.0.1:40000".into(),
            cookie: Some(format!("unstuck_session={}", opened.token)),
        }
    }

    async fn send(&self, request: axum::http::request::Builder, body: Body) -> Answer {
        let request = match &self.cookie {
            Some(cookie) => request
                .header(header::COOKIE, cookie)
                .header("sec-fetch-site", "same-origin"),
            None => request,
        };
        self.site
            .send_from(&self.peer, request.body(body).expect("a request"))
            .await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path), Body::empty()).await
    }

    pub async fn post_form(&self, path: &str, form: Form) -> Answer {
        self.post_bytes(path, form.end()).await
    }

    /// A multipart body as it is.
    pub async fn post_bytes(&self, path: &str, body: Vec<u8>) -> Answer {
        let kind = format!("multipart/form-data; boundary={BOUNDARY}");
        self.send(
            Request::post(path).header(header::CONTENT_TYPE, kind),
            Body::from(body),
        )
        .await
    }

    pub async fn post_fields(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        let kind = "application/x-www-form-urlencoded";
        self.send(
            Request::post(path).header(header::CONTENT_TYPE, kind),
            Body::from(body),
        )
        .await
    }

    /// The seal of a fresh form.
    pub async fn seal(&self) -> String {
        let page = self.get("/report").await.text();
        let (_, after) = page.split_once("name=\"seal\" value=\"").expect("a seal");
        after.split('"').next().expect("its end").to_owned()
    }
}

/// Where an answer leads.
pub fn location(answer: &Answer) -> String {
    assert_eq!(answer.status.as_u16(), 303, "{}", answer.text());
    answer.headers[header::LOCATION]
        .to_str()
        .expect("text")
        .to_owned()
}
