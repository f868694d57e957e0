//! The log, and the numbers behind `/metrics`.

use std::{
    io::{self, IsTerminal, Write},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    time::Duration,
};

use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::{EnvFilter, fmt::MakeWriter};

use crate::config::LogFormat;

/// lapin is silent unless the filter names it: it logs whole messages, and each failure that our links explain better.
const QUIET: &str = "lapin=off";

/// So many lines wait for whoever reads the log.
const WAITING_LINES: usize = 1_024;
/// How long the end of the process waits for them to be taken.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Starts the log on stderr. `filter` is a checked level or filter. Errors: no thread could be started for it.
///
/// A log that is not read, full or closed stops nobody: what does not fit is dropped, and a later line says how much was.
pub fn start_log(filter: &str, format: LogFormat) -> io::Result<Log> {
    let (lines, taken) = sync_channel(WAITING_LINES);
    let dropped = Arc::new(AtomicU64::new(0));
    let log = Log { lines: lines.clone() };
    let counted = dropped.clone();
    std::thread::Builder::new()
        .name("log".into())
        .spawn(move || write_lines(&taken, &counted, &mut io::stderr()))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(format!("{QUIET},{filter}")))
        .with_writer(Queue { lines, dropped })
        .with_ansi(std::io::stderr().is_terminal());
    match format {
        LogFormat::Text => builder.with_target(false).init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
    Ok(log)
}

enum Entry {
    Line(Vec<u8>),
    /// Everything before it is written.
    Flush(SyncSender<()>),
}

/// The running log. When it is dropped its last lines are written, if somebody takes them within a second.
pub struct Log {
    lines: SyncSender<Entry>,
}

impl Drop for Log {
    fn drop(&mut self) {
        let (done, written) = sync_channel(1);
        // Full: nobody reads the log.
        if self.lines.try_send(Entry::Flush(done)).is_ok() {
            written.recv_timeout(LAST_LINES).ok();
        }
    }
}

/// Where the lines of every thread go in; none of them ever waits.
#[derive(Clone)]
struct Queue {
    lines: SyncSender<Entry>,
    dropped: Arc<AtomicU64>,
}

impl<'a> MakeWriter<'a> for Queue {
    type Writer = Self;

    fn make_writer(&'a self) -> Self::Writer {
        self.clone()
    }
}

impl Write for Queue {
    /// Takes one whole line, as the formatter writes it.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match self.lines.try_send(Entry::Line(line.to_vec())) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes until every sender is gone. There is nobody to tell that the log itself can't be written.
fn write_lines(lines: &Receiver<Entry>, dropped: &AtomicU64, out: &mut impl Write) {
    let mut told = 0;
    while let Ok(entry) = lines.recv() {
        match entry {
            Entry::Line(line) => {
                out.write_all(&line).ok();
                let lost = dropped.load(Ordering::Relaxed);
                if lost > told {
                    told = lost;
                    tracing::warn!(
                        lines = lost,
                        "the log was not read in time; so many were dropped so far"
                    );
                }
            }
            Entry::Flush(done) => {
                done.send(()).ok();
            }
        }
    }
}

/// Installs the recorder that `/metrics` reads. Once per process.
pub fn start_metrics() -> Result<PrometheusHandle, BuildError> {
    PrometheusBuilder::new().install_recorder()
}
