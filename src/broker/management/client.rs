//! One bounded HTTP request.

use std::error::Error as _;
use std::time::Duration;

use reqwest::{Client, Response, StatusCode, redirect};
use serde_json::Value;
use thiserror::Error;
use url::Url;

use crate::broker::config::{BrokerConfig, ManagementTarget};
use crate::broker::tls;

/// From the first packet to the last byte of the body.
const TOTAL: Duration = Duration::from_secs(5);
const CONNECT: Duration = Duration::from_secs(2);
const BODY_BYTES_MAX: usize = 8 << 20;

/// Why the management API gave nothing. No text contains a URL, a user or a password.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ManagementError {
    /// Nothing answers there, or the connection broke.
    #[error("the management API can't be reached: {detail}")]
    Unreachable { detail: String },
    #[error("the management API did not answer within {} s", TOTAL.as_secs())]
    TimedOut,
    /// 401: wrong user or password, or the user lacks the tag `monitoring`. 403: not allowed for this virtual host.
    #[error("the management API refused us (HTTP {status})")]
    Refused { status: u16 },
    /// There is no such queue or virtual host, or another program answers there.
    #[error("the management API does not know what was asked for")]
    NotFound,
    #[error("statistics are disabled on the broker")]
    Disabled,
    #[error("the management API answered with something else than expected: {detail}")]
    Garbage { detail: String },
    #[error("the management API's answer is longer than {} MiB", BODY_BYTES_MAX >> 20)]
    TooLarge,
}

impl ManagementError {
    /// One lower-case word, for metrics and findings.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "unreachable",
            Self::TimedOut => "timed_out",
            Self::Refused { .. } => "refused",
            Self::NotFound => "not_found",
            Self::Disabled => "disabled",
            Self::Garbage { .. } => "garbage",
            Self::TooLarge => "too_large",
        }
    }
}

/// A client of one broker's management API, for one virtual host. Clones share its connections.
#[derive(Clone)]
pub struct Management {
    client: Client,
    target: ManagementTarget,
    vhost: String,
}

impl Management {
    /// No request is made yet. Redirects are not followed and no proxy is used: the credentials go to the configured
    /// address and nowhere else.
    pub fn new(config: &BrokerConfig) -> Self {
        tls::install();
        let client = Client::builder()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT)
            .timeout(TOTAL)
            .pool_max_idle_per_host(4)
            .user_agent("unstuck")
            .build()
            .expect("only an unreadable proxy or certificate setting can fail, and none is set");
        Self {
            client,
            target: config.management().clone(),
            vhost: config.vhost().to_owned(),
        }
    }

    /// The virtual host whose queues are read.
    pub(super) fn vhost(&self) -> &str {
        &self.vhost
    }

    /// The JSON at `/api/<path>`.
    pub(super) async fn get(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Value, ManagementError> {
        let answer = async {
            let response = self.send(path, query).await?;
            match response.status() {
                StatusCode::OK => read_json(response).await,
                _ => Err(explain_status(response).await),
            }
        };
        answer.await.inspect_err(count)
    }

    /// A health check's JSON: a failed check answers 503 and says what failed.
    pub(super) async fn health(&self, path: &[&str]) -> Result<Value, ManagementError> {
        let answer = async {
            let response = self.send(path, &[]).await?;
            match response.status() {
                StatusCode::OK | StatusCode::SERVICE_UNAVAILABLE => read_json(response).await,
                _ => Err(explain_status(response).await),
            }
        };
        answer.await.inspect_err(count)
    }

    async fn send(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Response, ManagementError> {
        let url = self.address(path, query)?;
        let request = self
            .client
            .get(url)
            .basic_auth(&self.target.user, Some(&self.target.password));
        request.send().await.map_err(explain)
    }

    fn address(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Url, ManagementError> {
        let mut url = self.target.base.clone();
        // A URL can't express these names as a part of its path: it would mean the folder, or the one above.
        if path.iter().any(|part| matches!(*part, "" | "." | "..")) {
            return Err(ManagementError::NotFound);
        }
        let mut address = format!("{}/api", url.path().trim_end_matches('/'));
        for part in path {
            address.push('/');
            push_encoded(&mut address, part);
        }
        url.set_path(&address);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        Ok(url)
    }
}

/// Encodes more than a URL needs: RabbitMQ's server answers 400 to a plain `|`, `[` or `\`.
fn push_encoded(address: &mut String, part: &str) {
    for byte in part.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                address.push(char::from(byte))
            }
            _ => address.push_str(&format!("%{byte:02X}")),
        }
    }
}

fn count(error: &ManagementError) {
    metrics::counter!("unstuck_management_errors_total", "kind" => error.kind()).increment(1);
}

async fn read_json(response: Response) -> Result<Value, ManagementError> {
    let body = read(response, BODY_BYTES_MAX).await?;
    // serde_json's own text may quote what it read; where it stopped is enough.
    serde_json::from_slice(&body).map_err(|error| ManagementError::Garbage {
        detail: format!("no JSON (line {}, column {})", error.line(), error.column()),
    })
}

async fn read(mut response: Response, bytes_max: usize) -> Result<Vec<u8>, ManagementError> {
    if response
        .content_length()
        .is_some_and(|length| length > bytes_max as u64)
    {
        return Err(ManagementError::TooLarge);
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(explain)? {
        if body.len() + chunk.len() > bytes_max {
            return Err(ManagementError::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

async fn explain_status(response: Response) -> ManagementError {
    let status = response.status();
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => ManagementError::Refused {
            status: status.as_u16(),
        },
        StatusCode::NOT_FOUND => ManagementError::NotFound,
        StatusCode::BAD_REQUEST => match read(response, 64 * 1024).await {
            // RabbitMQ 3.10: "Stats in management UI are disabled on this node".
            Ok(body) if String::from_utf8_lossy(&body).contains("disabled") => ManagementError::Disabled,
            Ok(_) | Err(_) => ManagementError::Garbage {
                detail: "HTTP 400".to_owned(),
            },
        },
        _ if status.is_redirection() => ManagementError::Garbage {
            detail: format!("a redirect (HTTP {}), which is not followed", status.as_u16()),
        },
        _ => ManagementError::Garbage {
            detail: format!("HTTP {}", status.as_u16()),
        },
    }
}

fn explain(error: reqwest::Error) -> ManagementError {
    if error.is_timeout() {
        return ManagementError::TimedOut;
    }
    // The last cause is the plain one; the first would repeat the URL.
    let mut cause: &(dyn std::error::Error + 'static) = &error;
    while let Some(next) = cause.source() {
        if next
            .downcast_ref::<hyper::Error>()
            .is_some_and(|hyper| hyper.is_parse() || hyper.is_parse_too_large())
        {
            return ManagementError::Garbage {
                detail: "it does not speak HTTP".to_owned(),
            };
        }
        cause = next;
    }
    match error.source() {
        Some(_) => ManagementError::Unreachable {
            detail: cause.to_string(),
        },
        None => ManagementError::Unreachable {
            detail: "the connection failed".to_owned(),
        },
    }
}
