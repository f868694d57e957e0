//! The accept loop and the layers that every request passes.
//!
//! `axum::serve` (0.8) waits for ever for a slow request head, so the connections are served here: HTTP/1 only, with
//! an end to every wait, a cap on connections, and a shutdown that lets running answers finish.

use std::{
    any::Any,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, DefaultBodyLimit, Request, State},
    middleware::{Next, from_fn, from_fn_with_state},
    response::{IntoResponse, Response},
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{Instant, Sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use tower_http::{catch_panic::CatchPanicLayer, compression::CompressionLayer};
use tracing::{debug, error, info, warn};

use super::{
    error::{self, AppError, Problem},
    security::{self, Origin},
};

/// Bounds of the server. Each is far above what an honest client needs.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at once; further ones wait in the kernel's queue.
    pub connections: usize,
    /// From the first byte of a request head (or the end of the answer before it) to the head's end.
    pub head: Duration,
    /// From a request's head to its answer's head, its body included.
    pub answer: Duration,
    /// The same of a request that changes nothing: it can be broken off at any moment.
    pub read: Duration,
    /// How long a client may take nothing of what is being sent.
    pub unread: Duration,
    /// How long running answers may finish at shutdown.
    pub drain: Duration,
    /// A body, unless its route allows another size.
    pub body_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 2048,
            head: Duration::from_secs(30),
            answer: Duration::from_secs(60),
            read: Duration::from_millis(4_800),
            unread: Duration::from_secs(30),
            drain: Duration::from_secs(10),
            body_bytes: 1024 * 1024,
        }
    }
}

/// Puts the layers that every request passes around `routes`: the outermost comes last.
pub fn protect(routes: Router, origin: Arc<Origin>, limits: Limits) -> Router {
    routes
        .fallback(error::not_found)
        .layer(DefaultBodyLimit::max(limits.body_bytes))
        .layer(from_fn_with_state(limits, give_up))
        .layer(from_fn(security::refuse_nul))
        .layer(security::refuse_cross_site())
        .layer(from_fn_with_state(origin.clone(), security::check_host))
        .layer(CatchPanicLayer::custom(answer_panic))
        .layer(from_fn(error::render))
        .layer(CompressionLayer::new().gzip(true))
        .layer(from_fn_with_state(origin, security::add_headers))
        .layer(from_fn(security::name_request))
}

/// Answers in the place of a handler that takes too long.
async fn give_up(State(limits): State<Limits>, request: Request, next: Next) -> Response {
    let limit = match request.method().is_safe() {
        true => limits.read,
        false => limits.answer,
    };
    let answered = timeout(limit, next.run(request)).await;
    answered.unwrap_or_else(|_| {
        warn!(after = ?limit, "no answer in time");
        AppError::unavailable().into_response()
    })
}

/// A handler that panicked: the connection would just close, so it is answered. The panic hook has logged where.
fn answer_panic(_: Box<dyn Any + Send>) -> Response {
    error!("a handler panicked");
    AppError::new(Problem::Internal).into_response()
}

/// Serves `routes` on `listener` until `stop`, then lets running answers finish for `limits.drain`.
///
/// An accept that fails (too many open files) is tried again after a pause; nothing ends the loop but `stop`.
pub async fn serve(listener: TcpListener, routes: Router, limits: Limits, stop: CancellationToken) {
    let free = Arc::new(Semaphore::new(limits.connections));
    let graceful = GracefulShutdown::new();
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_headers(100)
        .max_buf_size(64 * 1024);
    loop {
        let accepted = async {
            let permit = free.clone().acquire_owned().await.ok()?;
            Some((listener.accept().await, permit))
        };
        let (accepted, permit) = tokio::select! {
            () = stop.cancelled() => break,
            accepted = accepted => match accepted {
                Some(accepted) => accepted,
                None => break,
            },
        };
        let (stream, peer) = match accepted {
            Ok(connection) => connection,
            Err(error) => {
                warn!(error = %error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let routes = routes.clone();
        let service = service_fn(move |request| answer(routes.clone(), peer, request));
        let io = TokioIo::new(Patient::new(stream, limits.unread));
        let connection = graceful.watch(http.serve_connection(io, service));
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                debug!(error = %error, "a connection ended early");
            }
            drop(permit);
        });
    }
    drop(listener);
    if timeout(limits.drain, graceful.shutdown()).await.is_err() {
        info!("some answers were cut off at shutdown");
    }
}

async fn answer(
    routes: Router,
    peer: SocketAddr,
    request: hyper::Request<Incoming>,
) -> Result<Response, std::convert::Infallible> {
    let mut request: Request = request.map(Body::new);
    request.extensions_mut().insert(ConnectInfo(peer));
    routes.oneshot(request).await
}

/// A connection whose other side must go on reading: a write that gets nowhere for `unread` fails.
struct Patient {
    stream: TcpStream,
    unread: Duration,
    deadline: Pin<Box<Sleep>>,
    waiting: bool,
}

impl Patient {
    fn new(stream: TcpStream, unread: Duration) -> Self {
        Self {
            stream,
            unread,
            deadline: Box::pin(tokio::time::sleep(unread)),
            waiting: false,
        }
    }

    fn within_patience<T>(&mut self, cx: &mut Context<'_>, poll: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if poll.is_ready() {
            self.waiting = false;
            return poll;
        }
        if !self.waiting {
            self.waiting = true;
            self.deadline.as_mut().reset(Instant::now() + self.unread);
        }
        ready!(self.deadline.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Patient {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Patient {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.within_patience(cx, poll)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.within_patience(cx, poll)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
