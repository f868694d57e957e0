//! A bad network: a TCP proxy before the broker that cuts, swallows and counts, and knows AMQP frames.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Lives as long as the test.
#[derive(Clone)]
pub struct Chaos {
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    target: String,
    refusing: watch::Sender<bool>,
    swallowing: watch::Sender<bool>,
    /// The broker's bytes alone.
    muting: watch::Sender<bool>,
    /// In milliseconds, each way.
    delay_ms: AtomicU32,
    /// Changed to cut every connection.
    cut: watch::Sender<u32>,
    confirms_to_drop: AtomicU32,
    confirms_to_cut: AtomicU32,
    acks_to_cut: AtomicU32,
    publishes_to_cut: AtomicU32,
    connections: AtomicU32,
}

#[derive(Clone, Copy, PartialEq)]
enum Way {
    ToBroker,
    ToClient,
}

impl Chaos {
    /// A proxy to the broker of `amqp_url` that does no harm yet.
    pub async fn before(amqp_url: &str) -> Self {
        let url = url::Url::parse(amqp_url).expect("a URL");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let shared = Arc::new(Shared {
            target: format!(
                "{}:{}",
                url.host_str().expect("a host"),
                url.port().unwrap_or(5672)
            ),
            refusing: watch::Sender::new(false),
            swallowing: watch::Sender::new(false),
            muting: watch::Sender::new(false),
            delay_ms: AtomicU32::new(0),
            cut: watch::Sender::new(0),
            confirms_to_drop: AtomicU32::new(0),
            confirms_to_cut: AtomicU32::new(0),
            acks_to_cut: AtomicU32::new(0),
            publishes_to_cut: AtomicU32::new(0),
            connections: AtomicU32::new(0),
        });
        let chaos = Self { port, shared };
        tokio::spawn(chaos.clone().accept(listener));
        chaos
    }

    /// The broker's URL by way of this proxy.
    pub fn url(&self, amqp_url: &str) -> String {
        let mut url = url::Url::parse(amqp_url).expect("a URL");
        url.set_host(Some("127.0.0.1")).expect("a host");
        url.set_port(Some(self.port)).expect("a port");
        url.to_string()
    }

    /// Resets every connection.
    pub fn cut(&self) {
        self.shared.cut.send_modify(|count| *count += 1);
    }

    /// Hangs up on new connections, or stops doing so.
    pub fn refuse(&self, refusing: bool) {
        self.shared.refusing.send_replace(refusing);
    }

    /// Swallows every byte both ways while keeping connections open, old and new; what came meanwhile follows later.
    pub fn swallow(&self, swallowing: bool) {
        self.shared.swallowing.send_replace(swallowing);
    }

    /// Holds back what the broker says, on connections old and new, while it goes on hearing us; it follows later.
    pub fn mute(&self, muting: bool) {
        self.shared.muting.send_replace(muting);
    }

    /// Passes everything on so much later, each way, and no more than one read at a time.
    pub fn delay(&self, delay: Duration) {
        let ms = u32::try_from(delay.as_millis()).expect("a short delay");
        self.shared.delay_ms.store(ms, Ordering::SeqCst);
    }

    /// Keeps the broker's next confirms to itself.
    pub fn drop_confirms(&self, count: u32) {
        self.shared.confirms_to_drop.store(count, Ordering::SeqCst);
    }

    /// Resets the connection instead of passing the broker's next confirm on.
    pub fn cut_on_confirm(&self) {
        self.shared.confirms_to_cut.store(1, Ordering::SeqCst);
    }

    /// Resets the connection instead of passing the client's next acknowledgement on.
    pub fn cut_on_client_ack(&self) {
        self.shared.acks_to_cut.store(1, Ordering::SeqCst);
    }

    /// Resets the connection instead of passing the client's next message on: it never arrives.
    pub fn cut_on_publish(&self) {
        self.shared.publishes_to_cut.store(1, Ordering::SeqCst);
    }

    /// Whether everything that was to be dropped or cut has been.
    pub fn is_spent(&self) -> bool {
        let shared = &self.shared;
        [
            &shared.confirms_to_drop,
            &shared.confirms_to_cut,
            &shared.acks_to_cut,
            &shared.publishes_to_cut,
        ]
        .iter()
        .all(|left| left.load(Ordering::SeqCst) == 0)
    }

    /// Hangs up on every connection, old and new, until `come_back`.
    pub fn go_away(&self) {
        self.refuse(true);
        self.cut();
    }

    pub fn come_back(&self) {
        self.refuse(false);
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> u32 {
        self.shared.connections.load(Ordering::SeqCst)
    }

    async fn accept(self, listener: TcpListener) {
        while let Ok((client, _)) = listener.accept().await {
            self.shared.connections.fetch_add(1, Ordering::SeqCst);
            if *self.shared.refusing.borrow() {
                reset(&client);
                continue;
            }
            tokio::spawn(self.clone().serve(client));
        }
    }

    async fn serve(self, client: TcpStream) {
        let Ok(broker) = TcpStream::connect(&self.shared.target).await else {
            return reset(&client);
        };
        reset(&client);
        reset(&broker);
        let (from_client, to_client) = client.into_split();
        let (from_broker, to_broker) = broker.into_split();
        let mut cut = self.shared.cut.subscribe();
        tokio::select! {
            _ = self.pump(from_client, to_broker, Way::ToBroker) => {}
            _ = self.pump(from_broker, to_client, Way::ToClient) => {}
            _ = cut.changed() => {}
        }
    }

    /// Ends when either side hung up or the connection is to be cut.
    async fn pump(&self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf, way: Way) -> std::io::Result<()> {
        let mut swallowing = self.shared.swallowing.subscribe();
        let mut muting = self.shared.muting.subscribe();
        let mut waiting = Vec::new();
        let mut greeted = way == Way::ToClient;
        loop {
            if from.read_buf(&mut waiting).await? == 0 {
                return Ok(());
            }
            let delay_ms = self.shared.delay_ms.load(Ordering::SeqCst);
            if delay_ms > 0 {
                tokio::time::sleep(Duration::from_millis(delay_ms.into())).await;
            }
            swallowing
                .wait_for(|swallowing| !swallowing)
                .await
                .expect("the sender lives as long as we do");
            if way == Way::ToClient {
                muting
                    .wait_for(|muting| !muting)
                    .await
                    .expect("the sender lives as long as we do");
            }
            while let Some(length) = whole_frame(&waiting, greeted) {
                greeted = true;
                let frame: Vec<u8> = waiting.drain(..length).collect();
                match self.verdict(&frame, way) {
                    Verdict::Pass => to.write_all(&frame).await?,
                    Verdict::Drop => {}
                    Verdict::Cut => return Ok(()),
                }
            }
        }
    }

    fn verdict(&self, frame: &[u8], way: Way) -> Verdict {
        let is = |method: u8| frame[0] == 1 && frame[7..11] == [0, 60, 0, method];
        let (publish, ack) = (is(40), is(80));
        match way {
            Way::ToClient if ack && take(&self.shared.confirms_to_cut) => Verdict::Cut,
            Way::ToClient if ack && take(&self.shared.confirms_to_drop) => Verdict::Drop,
            Way::ToBroker if ack && take(&self.shared.acks_to_cut) => Verdict::Cut,
            Way::ToBroker if publish && take(&self.shared.publishes_to_cut) => Verdict::Cut,
            Way::ToClient | Way::ToBroker => Verdict::Pass,
        }
    }
}

enum Verdict {
    Pass,
    Drop,
    Cut,
}

fn take(left: &AtomicU32) -> bool {
    left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1))
        .is_ok()
}

/// Length of the first frame, or of the client's greeting, once it is there as a whole.
fn whole_frame(bytes: &[u8], greeted: bool) -> Option<usize> {
    let length = match bytes {
        _ if !greeted => 8,
        [_, _, _, a, b, c, d, ..] => u32::from_be_bytes([*a, *b, *c, *d]) as usize + 8,
        _ => return None,
    };
    (bytes.len() >= length).then_some(length)
}

/// Makes the socket's end a reset instead of a farewell.
fn reset(socket: &TcpStream) {
    socket.set_zero_linger().expect("an open socket");
}
