//! A way to PostgreSQL that can lose an answer: the worst moment to be cut off is between a commit and its word.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_util::task::AbortOnDropHandle;
use url::Url;

pub struct Proxy {
    to_lose: Arc<AtomicUsize>,
    _accepting: AbortOnDropHandle<()>,
}

/// A port that is free now, and the same database's URL through it.
pub async fn detour(database_url: &str) -> (u16, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let mut url = Url::parse(database_url).expect("a URL");
    url.set_port(Some(port)).expect("it has ports");
    (port, url.into())
}

impl Proxy {
    /// Listens on `port` and forwards to the database at `database_url`.
    pub async fn open(port: u16, database_url: &str) -> Self {
        let database = Url::parse(database_url).expect("a URL").port().expect("a port");
        let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("still free");
        let to_lose = Arc::<AtomicUsize>::default();
        let losing = to_lose.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(("127.0.0.1", database))
                    .await
                    .expect("PostgreSQL answers");
                tokio::spawn(forward(client, server, losing.clone()));
            }
        });
        Self {
            to_lose,
            _accepting: AbortOnDropHandle::new(accepting),
        }
    }

    /// Cuts the next connection that commits, after the commit and before its answer.
    pub fn lose_next_commit(&self) {
        self.to_lose.store(1, Ordering::SeqCst);
    }

    pub fn has_lost_it(&self) -> bool {
        self.to_lose.load(Ordering::SeqCst) == 0
    }
}

async fn forward(mut client: TcpStream, mut server: TcpStream, to_lose: Arc<AtomicUsize>) {
    let (mut up, mut down) = (vec![0; 65_536], vec![0; 65_536]);
    loop {
        tokio::select! {
            read = client.read(&mut up) => {
                let Ok(read @ 1..) = read else { return };
                if server.write_all(&up[..read]).await.is_err() {
                    return;
                }
                let commits = up[..read].windows(6).any(|bytes| bytes == b"COMMIT");
                if commits && to_lose.compare_exchange(1, 0, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
                    // Its answer says that it happened; nobody else hears it.
                    let answered = server.read(&mut down).await.expect("the commit's answer");
                    assert!(answered > 0, "PostgreSQL answers a commit");
                    return;
                }
            }
            read = server.read(&mut down) => {
                let Ok(read @ 1..) = read else { return };
                if client.write_all(&down[..read]).await.is_err() {
                    return;
                }
            }
        }
    }
}
