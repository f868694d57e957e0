//! Something between a process and a server that can be taken away: the management API or the database goes, the rest
//! of the world stays.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy, copy_bidirectional},
    net::{TcpListener, TcpStream},
    sync::watch,
};

use super::stub_http::{Answer, give};

/// What a connection meets. Whenever it changes, every connection is cut.
#[derive(Clone)]
pub enum Mode {
    /// The server itself.
    Through,
    /// Hangs up at once.
    Refuse,
    /// Something else answers in the server's place.
    Answer(Answer),
    /// The server itself, with this text of its answers replaced by one as long.
    Retold(String, String),
}

/// Lives as long as the runtime it was made in.
pub struct Veil {
    port: u16,
    mode: watch::Sender<Mode>,
}

impl Veil {
    /// A way to the server of `url` that does no harm yet.
    pub async fn before(url: &str) -> Self {
        let url = url::Url::parse(url).expect("a URL");
        let host = url.host_str().expect("a host");
        let port = url.port_or_known_default().expect("a port");
        let target = format!("{host}:{port}");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let (mode, seen) = watch::channel(Mode::Through);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(serve(client, target.clone(), seen.clone()));
            }
        });
        Self { port, mode }
    }

    /// The server's URL by this way.
    pub fn url(&self, url: &str) -> String {
        let mut url = url::Url::parse(url).expect("a URL");
        url.set_host(Some("127.0.0.1")).expect("a host");
        url.set_port(Some(self.port)).expect("a port");
        url.to_string()
    }

    pub fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }
}

async fn serve(mut client: TcpStream, target: String, mut seen: watch::Receiver<Mode>) {
    let mode = seen.borrow_and_update().clone();
    let serving = async {
        match mode {
            Mode::Through => {
                if let Ok(mut server) = TcpStream::connect(target).await {
                    copy_bidirectional(&mut client, &mut server).await.ok();
                }
            }
            Mode::Retold(said, told) => {
                if let Ok(server) = TcpStream::connect(target).await {
                    retell(client, server, &said, &told).await.ok();
                }
            }
            Mode::Refuse => {}
            Mode::Answer(answer) => {
                give(client, answer).await.ok();
            }
        }
    };
    tokio::select! {
        () = serving => {}
        _ = seen.changed() => {}
    }
}

/// Passes everything on, with `told` in place of `said` on the way back. A text that two reads tear apart is let through:
/// what is retold stands near the beginning of short answers.
async fn retell(client: TcpStream, server: TcpStream, said: &str, told: &str) -> std::io::Result<()> {
    assert_eq!(said.len(), told.len(), "the answer's length was sent before");
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let answers = async {
        let mut bytes = vec![0; 65_536];
        loop {
            let read = from_server.read(&mut bytes).await?;
            if read == 0 {
                return Ok::<(), std::io::Error>(());
            }
            let answer = &mut bytes[..read];
            for at in 0..read.saturating_sub(said.len() - 1) {
                if answer[at..].starts_with(said.as_bytes()) {
                    answer[at..at + said.len()].copy_from_slice(told.as_bytes());
                }
            }
            to_client.write_all(answer).await?;
        }
    };
    tokio::select! {
        asked = copy(&mut from_client, &mut to_server) => asked.map(drop),
        answered = answers => answered,
    }
}
