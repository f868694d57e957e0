//! An AMQP client that sends whatever bytes it is told to: no library writes properties that no library can read.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Flags of the properties that tests make up.
pub const HEADERS: u16 = 1 << 13;
pub const KIND: u16 = 1 << 5;

/// Publishes one message to a queue of the default exchange and waits for the broker's confirm.
///
/// `flags` says which properties follow in `properties`, both exactly as they go over the wire.
pub async fn publish(amqp_url: &str, queue: &str, flags: u16, properties: &[u8], body: &[u8]) {
    let url = url::Url::parse(amqp_url).expect("a URL");
    let port = url.port().unwrap_or(5672);
    let mut client = Client(
        TcpStream::connect((url.host_str().expect("a host"), port))
            .await
            .expect("connected"),
    );
    client.0.write_all(b"AMQP\x00\x00\x09\x01").await.expect("sent");
    client.until(10, 10).await;
    let credentials = format!("\0{}\0{}", url.username(), url.password().unwrap_or("guest"));
    client
        .method(
            0,
            10,
            11,
            &[
                &[0; 4][..],
                &short("PLAIN"),
                &long(credentials.as_bytes()),
                &short("en_US"),
            ]
            .concat(),
        )
        .await;
    let tune = client.until(10, 30).await;
    client.method(0, 10, 31, &[&tune[..6], &[0, 0]].concat()).await;
    client
        .method(0, 10, 40, &[&short("/")[..], &[0, 0]].concat())
        .await;
    client.until(10, 41).await;
    client.method(1, 20, 10, &[0]).await;
    client.until(20, 11).await;
    client.method(1, 85, 10, &[0]).await;
    client.until(85, 11).await;
    client
        .method(1, 60, 40, &[&[0, 0, 0][..], &short(queue), &[0]].concat())
        .await;
    let size = (body.len() as u64).to_be_bytes();
    client
        .frame(
            2,
            1,
            &[&[0, 60, 0, 0][..], &size, &flags.to_be_bytes(), properties].concat(),
        )
        .await;
    for part in body.chunks(100_000) {
        client.frame(3, 1, part).await;
    }
    client.until(60, 80).await;
}

pub fn short(text: &str) -> Vec<u8> {
    [
        &[u8::try_from(text.len()).expect("a short text")],
        text.as_bytes(),
    ]
    .concat()
}

pub fn long(bytes: &[u8]) -> Vec<u8> {
    [
        &u32::try_from(bytes.len()).expect("not that long").to_be_bytes()[..],
        bytes,
    ]
    .concat()
}

struct Client(TcpStream);

impl Client {
    async fn frame(&mut self, kind: u8, channel: u16, payload: &[u8]) {
        let frame = [&[kind][..], &channel.to_be_bytes(), &long(payload), &[0xce]].concat();
        self.0.write_all(&frame).await.expect("sent");
    }

    async fn method(&mut self, channel: u16, class: u16, method: u16, arguments: &[u8]) {
        self.frame(
            1,
            channel,
            &[&class.to_be_bytes()[..], &method.to_be_bytes(), arguments].concat(),
        )
        .await;
    }

    /// Skips frames up to that method and returns its arguments.
    async fn until(&mut self, class: u16, method: u16) -> Vec<u8> {
        loop {
            let mut head = [0; 7];
            self.0
                .read_exact(&mut head)
                .await
                .expect("the broker goes on talking");
            let length = u32::from_be_bytes([head[3], head[4], head[5], head[6]]) as usize;
            let mut payload = vec![0; length + 1];
            self.0.read_exact(&mut payload).await.expect("a whole frame");
            payload.truncate(length);
            let found = (
                u16::from_be_bytes([payload[0], payload[1]]),
                u16::from_be_bytes([payload[2], payload[3]]),
            );
            assert!(
                !matches!(found, (10, 50) | (20, 40)),
                "refused: {}",
                String::from_utf8_lossy(&payload)
            );
            if head[0] == 1 && found == (class, method) {
                return payload[4..].to_vec();
            }
        }
    }
}
