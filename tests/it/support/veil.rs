//! Something between a process and a server that can be taken away: the management API or the database goes, the rest
//! of the world stays.

use tokio::{
    io::copy_bidirectional,
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
