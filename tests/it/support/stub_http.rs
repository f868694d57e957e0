//! Servers that answer everything the same wrong way.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What the server does once a request is there.
#[derive(Clone)]
pub enum Answer {
    /// Sends these bytes and closes.
    Bytes(Vec<u8>),
    /// Sends these bytes, then one more every 100 ms for ever.
    Drip(Vec<u8>),
    /// Sends these bytes, then blanks as fast as they are taken.
    Flood(Vec<u8>),
    /// Nothing.
    Silence,
}

impl Answer {
    pub fn http(status: &str, headers: &str, body: &str) -> Self {
        let length = body.len();
        Self::Bytes(
            format!("HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\n\r\n{body}").into_bytes(),
        )
    }
}

/// Starts the server on a free port of 127.0.0.1, for as long as the test runs, and returns its URL.
pub async fn serve(answer: Answer) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(give(socket, answer.clone()));
        }
    });
    url
}

/// Ends when the client hangs up.
pub(super) async fn give(mut socket: TcpStream, answer: Answer) -> std::io::Result<()> {
    let mut request = [0; 8192];
    let _asked = socket.read(&mut request).await?;
    match answer {
        Answer::Bytes(bytes) => socket.write_all(&bytes).await?,
        Answer::Drip(bytes) => {
            socket.write_all(&bytes).await?;
            loop {
                socket.write_all(b" ").await?;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        Answer::Flood(bytes) => {
            socket.write_all(&bytes).await?;
            loop {
                socket.write_all(&[b' '; 65536]).await?;
            }
        }
        Answer::Silence => while socket.read(&mut request).await? > 0 {},
    }
    socket.shutdown().await
}
