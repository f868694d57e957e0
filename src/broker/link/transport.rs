//! The network under lapin: a socket that can be cut, its bytes screened.

use std::io;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, AsRawFd};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use async_rs::traits::{Executor, Reactor, RuntimeKit};
use async_rs::util::Task;
use async_rs::{Runtime, Tokio};
use futures_util::Stream;
use futures_util::io::{AsyncRead, AsyncWrite};
use lapin::tcp::OwnedTLSConfig;
use lapin::uri::{AMQPScheme, AMQPUri};
use lapin::{AsyncTcpStream, Connection, ConnectionProperties};
use tokio::time::timeout;

use super::screen::{Oversized, Screen};
use crate::broker::config::BrokerConfig;

/// Read from the socket at once.
const READ_BYTES: usize = 32 * 1024;

/// Cuts the connection under lapin, whose thread would otherwise wait for ever for a broker that never answers, and
/// would send what it had buffered on a blocked connection after all.
#[derive(Clone, Default)]
pub(super) struct Cutter(Arc<Mutex<Option<std::net::TcpStream>>>);

impl Cutter {
    fn hold(&self, socket: std::net::TcpStream) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(socket);
    }

    pub(super) fn cut(&self) {
        if let Some(socket) = self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
            && let Err(error) = socket.shutdown(Shutdown::Both)
        {
            tracing::debug!(%error, "the connection was already closed");
        }
    }
}

/// When the broker was heard last on a connection.
#[derive(Clone)]
pub(super) struct Heard {
    since: Instant,
    at_ms: Arc<AtomicU64>,
}

impl Default for Heard {
    fn default() -> Self {
        Self {
            since: Instant::now(),
            at_ms: Arc::default(),
        }
    }
}

impl Heard {
    fn now_ms(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn note(&self) {
        self.at_ms.store(self.now_ms(), Ordering::Relaxed);
    }

    pub(super) fn silent_for(&self) -> Duration {
        Duration::from_millis(self.now_ms().saturating_sub(self.at_ms.load(Ordering::Relaxed)))
    }
}

/// Connects and logs in. Every step before the AMQP handshake takes at most `patience`; the handshake has no end of its
/// own, so the caller needs a timeout, and cuts when it strikes.
pub(super) async fn connect(
    config: &BrokerConfig,
    cutter: Cutter,
    heard: Heard,
    patience: Duration,
) -> lapin::Result<Connection> {
    let properties = ConnectionProperties::default().with_connection_name(config.connection_name().into());
    let runtime = Runtime::new(Kit(Tokio::current()));
    let open = async move |uri: AMQPUri, runtime: Runtime<Kit>| {
        let socket = dial(&uri, &runtime, &cutter, patience).await?;
        Ok(AsyncTcpStream::Plain(Screened::new(socket, heard.clone())))
    };
    Connection::connector(config.amqp().clone(), runtime, open, properties).await
}

async fn dial(
    uri: &AMQPUri,
    runtime: &Runtime<Kit>,
    cutter: &Cutter,
    patience: Duration,
) -> io::Result<Socket> {
    let late = |_| io::Error::from(io::ErrorKind::TimedOut);
    let addresses = runtime.to_socket_addrs((uri.authority.host.clone(), uri.authority.port));
    let tokio = Tokio::current();
    let socket = timeout(patience, Socket::connect(&tokio, addresses))
        .await
        .map_err(late)??;
    if let AsyncTcpStream::Plain(plain) = &socket {
        plain.get_ref().set_nodelay(true)?;
        cutter.hold(plain.get_ref().as_fd().try_clone_to_owned()?.into());
    }
    match uri.scheme {
        AMQPScheme::AMQP => Ok(socket),
        AMQPScheme::AMQPS => {
            let tls = OwnedTLSConfig::default();
            timeout(patience, socket.into_tls(&uri.authority.host, tls.as_ref()))
                .await
                .map_err(late)?
        }
    }
}

type Socket = AsyncTcpStream<<Tokio as Reactor>::TcpStream>;

/// A socket, plain or TLS, whose incoming bytes go through a `Screen`.
pub(super) struct Screened {
    socket: Socket,
    screen: Screen,
    heard: Heard,
    scratch: Box<[u8]>,
    /// Screened bytes, of which the first `taken` are already handed out.
    ready: Vec<u8>,
    taken: usize,
}

impl Screened {
    fn new(socket: Socket, heard: Heard) -> Self {
        Self {
            socket,
            screen: Screen::default(),
            heard,
            scratch: vec![0; READ_BYTES].into(),
            ready: Vec::new(),
            taken: 0,
        }
    }
}

impl AsyncRead for Screened {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        loop {
            let waiting = &this.ready[this.taken..];
            if !waiting.is_empty() {
                let length = waiting.len().min(buffer.len());
                buffer[..length].copy_from_slice(&waiting[..length]);
                this.taken += length;
                return Poll::Ready(Ok(length));
            }
            this.ready.clear();
            this.taken = 0;
            let read = ready!(Pin::new(&mut this.socket).poll_read(context, &mut this.scratch))?;
            if read == 0 {
                return Poll::Ready(Ok(0));
            }
            this.heard.note();
            if let Err(Oversized) = this.screen.feed(&this.scratch[..read], &mut this.ready) {
                return Poll::Ready(Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "an AMQP frame of absurd size",
                )));
            }
        }
    }
}

impl AsyncWrite for Screened {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().socket).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(context)
    }

    fn poll_close(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_close(context)
    }
}

/// Tokio, with `Screened` as its kind of stream: lapin takes its streams from a runtime kit only.
#[derive(Clone, Debug)]
struct Kit(Tokio);

impl RuntimeKit for Kit {}

impl Executor for Kit {
    type Task<T: Send + 'static> = <Tokio as Executor>::Task<T>;

    fn block_on<T, F: Future<Output = T>>(&self, future: F) -> T {
        self.0.block_on(future)
    }

    fn spawn<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
        &self,
        future: F,
    ) -> Task<Self::Task<T>> {
        self.0.spawn(future)
    }

    fn spawn_blocking<T: Send + 'static, F: FnOnce() -> T + Send + 'static>(
        &self,
        work: F,
    ) -> Task<Self::Task<T>> {
        self.0.spawn_blocking(work)
    }
}

impl Reactor for Kit {
    type TcpStream = Screened;
    type Sleep = <Tokio as Reactor>::Sleep;

    fn register<H: io::Read + io::Write + AsFd + AsRawFd + Send + 'static>(
        &self,
        socket: H,
    ) -> io::Result<impl AsyncRead + AsyncWrite + Send + Unpin + 'static> {
        self.0.register(socket)
    }

    fn sleep(&self, duration: Duration) -> Self::Sleep {
        self.0.sleep(duration)
    }

    fn interval(&self, every: Duration) -> impl Stream<Item = Instant> + Send + 'static {
        self.0.interval(every)
    }

    fn tcp_connect_addr(
        &self,
        address: SocketAddr,
    ) -> impl Future<Output = io::Result<Screened>> + Send + 'static {
        let connecting = self.0.tcp_connect_addr(address);
        async move {
            connecting
                .await
                .map(|socket| Screened::new(AsyncTcpStream::Plain(socket), Heard::default()))
        }
    }
}
