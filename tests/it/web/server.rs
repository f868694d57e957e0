//! The accept loop and the layers that every request passes, over real connections.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Bytes,
    http::HeaderMap,
    routing::{any, get, post},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;
use unstuck::web::{
    security::Origin,
    server::{Limits, protect, serve},
};

const PATIENCE: Duration = Duration::from_secs(20);

struct Server {
    address: SocketAddr,
    stop: CancellationToken,
    done: tokio::task::JoinHandle<()>,
}

async fn start(limits: Limits, public_url: Option<&str>) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let public_url = public_url.map(|url| url.parse().expect("a URL"));
    let origin = Origin::new(public_url, address, None, Vec::new());
    let routes = Router::new()
        .route("/", get(|| async { "hello" }))
        .route("/echo", post(|body: Bytes| async move { body }))
        .route("/panic", get(|| async { panic_now() }))
        .route("/never", any(|| async { std::future::pending::<&str>().await }))
        .route("/much", get(|| async { "x".repeat(64 * 1024 * 1024) }))
        .route("/api/v1/things", post(|| async { "made" }))
        .route("/cookie", get(|| async { [("set-cookie", "a=1; Path=/")] }));
    let stop = CancellationToken::new();
    let routes = protect(routes, Arc::new(origin), limits);
    let done = tokio::spawn(serve(listener, routes, limits, stop.clone()));
    Server { address, stop, done }
}

fn panic_now() -> &'static str {
    panic!("on purpose")
}

impl Server {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("a connection")
    }

    /// Sends `request` as it stands and reads until the server closes.
    async fn raw(&self, request: &str) -> String {
        let mut stream = self.connect().await;
        stream.write_all(request.as_bytes()).await.expect("sent");
        read_to_end(stream).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask(&format!("GET {path} HTTP/1.1\r\n")).await
    }

    /// `head` without its Host and Connection lines.
    async fn ask(&self, head: &str) -> Answer {
        let text = self
            .raw(&format!("{head}Host: localhost\r\nConnection: close\r\n\r\n"))
            .await;
        Answer::parse(&text)
    }
}

async fn read_to_end(mut stream: TcpStream) -> String {
    let mut bytes = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut bytes))
        .await
        .expect("the server closes")
        .ok();
    String::from_utf8_lossy(&bytes).into_owned()
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    body: String,
}

impl Answer {
    fn parse(text: &str) -> Self {
        let (head, body) = text
            .split_once("\r\n\r\n")
            .unwrap_or_else(|| panic!("no answer: {text:?}"));
        let mut lines = head.lines();
        let status = lines
            .next()
            .and_then(|line| line.split(' ').nth(1))
            .and_then(|code| code.parse().ok());
        let headers = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| {
                let name: axum::http::HeaderName = name.parse().expect("a name");
                (name, value.parse().expect("a value"))
            });
        Self {
            status: status.expect("a status"),
            headers: headers.collect(),
            body: body.to_owned(),
        }
    }

    fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }
}

#[tokio::test]
async fn a_head_that_never_ends_is_cut_off() {
    let limits = Limits {
        head: Duration::from_millis(300),
        ..Limits::default()
    };
    let server = start(limits, None).await;
    let mut slow = server.connect().await;
    slow.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
        .await
        .expect("sent");
    let began = Instant::now();
    let answer = read_to_end(slow).await;
    assert!(!answer.contains("hello"), "{answer}");
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    let silent = server.connect().await;
    assert_eq!(
        read_to_end(silent).await,
        "",
        "a connection that asks for nothing is closed, too"
    );
}

#[tokio::test]
async fn a_handler_that_never_answers_is_given_up() {
    let never = Duration::from_secs(3600);
    let soon = Duration::from_millis(200);
    for (method, answer, read) in [("GET", never, soon), ("POST", soon, never)] {
        let limits = Limits {
            answer,
            read,
            ..Limits::default()
        };
        let server = start(limits, None).await;
        let head = format!("{method} /never HTTP/1.1\r\nContent-Length: 0\r\n");
        let given_up = server.ask(&head).await;
        assert_eq!(given_up.status, 503, "{method}");
        assert_eq!(given_up.header("retry-after"), "2", "{method}");
    }
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_cut_off() {
    let limits = Limits {
        unread: Duration::from_millis(300),
        connections: 1,
        ..Limits::default()
    };
    let server = start(limits, None).await;
    let mut deaf = server.connect().await;
    deaf.write_all(b"GET /much HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await
        .expect("sent");
    // There is one place: this is answered only when the deaf one has lost it.
    assert_eq!(server.get("/").await.status, 200);
}

#[tokio::test]
async fn connections_beyond_the_cap_wait_for_a_place() {
    let server = start(
        Limits {
            connections: 2,
            ..Limits::default()
        },
        None,
    )
    .await;
    let (one, two) = (server.connect().await, server.connect().await);
    let third = server.get("/");
    tokio::pin!(third);
    assert!(
        timeout(Duration::from_millis(300), &mut third).await.is_err(),
        "no place yet"
    );
    drop((one, two));
    assert_eq!(timeout(PATIENCE, third).await.expect("a place").status, 200);
}

#[tokio::test]
async fn a_panic_is_answered_with_a_request_id() {
    let server = start(Limits::default(), None).await;
    let answer = server.get("/panic").await;
    assert_eq!(answer.status, 500);
    let id = answer.header("x-request-id");
    assert_eq!(id.len(), 32);
    assert!(
        answer.body.contains(id) && !answer.body.contains("on purpose"),
        "{}",
        answer.body
    );
}

#[tokio::test]
async fn a_request_names_one_host_and_that_is_ours() {
    let server = start(Limits::default(), Some("https://unstuck.example")).await;
    for (request, status) in [
        ("GET / HTTP/1.1\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: \r\n", "400"),
        ("GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: evil.example\r\n", "421"),
        ("GET / HTTP/1.1\r\nHost: unstuck.example.evil.example\r\n", "421"),
        ("GET / HTTP/1.0\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: unstuck.example\r\n", "200"),
        ("GET / HTTP/1.1\r\nHost: localhost:9000\r\n", "200"),
    ] {
        let answer = server.raw(&format!("{request}Connection: close\r\n\r\n")).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}"))
                || answer.starts_with(&format!("HTTP/1.0 {status}")),
            "{request}{answer}"
        );
    }
}

#[tokio::test]
async fn a_request_that_two_servers_could_read_differently_is_refused() {
    let server = start(Limits::default(), None).await;
    let post = "POST /echo HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n";
    for framing in [
        "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
        "Content-Length: +3\r\n\r\nabc",
        "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        "Content-Length : 3\r\n\r\nabc",
        "X-Folded: a\r\n b\r\nContent-Length: 0\r\n\r\n",
    ] {
        let answer = server.raw(&format!("{post}{framing}")).await;
        assert!(!answer.contains(" 200 "), "{framing}{answer}");
    }
    // Both lengths: chunked counts, and the connection ends, so nothing can hide behind it (RFC 9112, 6.3).
    let both = "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    let hidden = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let answer = server
        .raw(&format!(
            "POST /echo HTTP/1.1\r\nHost: localhost\r\n{both}{hidden}"
        ))
        .await;
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
}

#[tokio::test]
async fn every_answer_carries_the_security_headers() {
    let server = start(Limits::default(), Some("https://unstuck.example")).await;
    for head in [
        "GET / HTTP/1.1\r\n",
        "GET /nothing HTTP/1.1\r\n",
        "GET /panic HTTP/1.1\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 0\r\n",
    ] {
        let answer = server.ask(head).await;
        let policy = answer.header("content-security-policy");
        assert!(
            policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
            "{head}"
        );
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{head}");
        assert_eq!(answer.header("referrer-policy"), "same-origin", "{head}");
        assert_eq!(
            answer.header("cross-origin-opener-policy"),
            "same-origin",
            "{head}"
        );
        assert_eq!(
            answer.header("cross-origin-resource-policy"),
            "same-origin",
            "{head}"
        );
        assert_eq!(answer.header("cache-control"), "no-store", "{head}");
        assert!(
            answer
                .header("strict-transport-security")
                .contains("max-age=31536000"),
            "{head}"
        );
        assert_eq!(answer.header("server"), "", "{head}");
    }
}

#[tokio::test]
async fn cookies_are_secure_where_the_site_has_https_only() {
    for (public_url, line) in [
        (None, "a=1; Path=/"),
        (Some("https://unstuck.example"), "a=1; Path=/; Secure"),
    ] {
        let server = start(Limits::default(), public_url).await;
        assert_eq!(server.get("/cookie").await.header("set-cookie"), line);
    }
}

#[tokio::test]
async fn a_form_of_another_site_is_refused() {
    let server = start(Limits::default(), None).await;
    let post = |path: &str, headers: &str| format!("POST {path} HTTP/1.1\r\nContent-Length: 0\r\n{headers}");
    for (headers, status) in [
        ("Sec-Fetch-Site: cross-site\r\n", 403),
        ("Sec-Fetch-Site: same-site\r\n", 403),
        ("Origin: https://evil.example\r\n", 403),
        ("Origin: null\r\n", 403),
        ("Content-Type: text/plain\r\nSec-Fetch-Site: cross-site\r\n", 403),
        ("Sec-Fetch-Site: same-origin\r\n", 200),
        ("Sec-Fetch-Site: none\r\n", 200),
        ("Origin: http://localhost\r\n", 200),
        ("", 200),
    ] {
        assert_eq!(
            server.ask(&post("/echo", headers)).await.status,
            status,
            "{headers}"
        );
    }
    let api = server
        .ask(&post("/api/v1/things", "Sec-Fetch-Site: cross-site\r\n"))
        .await;
    assert_eq!(
        api.status, 200,
        "a bearer token is no cookie: another site can't add it"
    );
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_in_the_reader_s_form() {
    let server = start(
        Limits {
            body_bytes: 10,
            ..Limits::default()
        },
        None,
    )
    .await;
    let head = "Content-Length: 11\r\nAccept-Language: zh\r\n";
    let text = server
        .raw(&format!(
            "POST /echo HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{head}\r\n12345678901"
        ))
        .await;
    let answer = Answer::parse(&text);
    assert_eq!(answer.status, 413);
    assert!(
        answer.body.contains("内容过大") && answer.body.contains("lang=\"zh-CN\""),
        "{}",
        answer.body
    );
}

#[tokio::test]
async fn the_api_s_errors_are_problem_documents() {
    let server = start(Limits::default(), None).await;
    for (head, status, kind) in [
        ("GET /api/v1/nothing HTTP/1.1\r\n", 404, "not-found"),
        ("GET /api/v1/things HTTP/1.1\r\n", 405, "method-not-allowed"),
    ] {
        let answer = server.ask(head).await;
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (status, "application/problem+json")
        );
        let document: serde_json::Value = serde_json::from_str(&answer.body).expect("JSON");
        assert_eq!(document["type"], format!("urn:unstuck:problem:{kind}"));
        assert_eq!(document["status"], status);
        assert_eq!(document["request_id"], answer.header("x-request-id"));
        assert!(
            document["title"].is_string() && document["detail"].is_string(),
            "{document}"
        );
    }
}

#[tokio::test]
async fn a_stop_lets_a_running_answer_finish() {
    let server = start(Limits::default(), None).await;
    let mut stream = server.connect().await;
    stream
        .write_all(b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\n12")
        .await
        .expect("sent");
    // The head has arrived when another request has been answered after it on its own connection.
    assert_eq!(server.get("/").await.status, 200);
    server.stop.cancel();
    stream.write_all(b"34").await.expect("sent");
    let answer = read_to_end(stream).await;
    assert!(answer.ends_with("1234"), "{answer}");
    timeout(PATIENCE, server.done)
        .await
        .expect("the server ends")
        .expect("no panic");
}
