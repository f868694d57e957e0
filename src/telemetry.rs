//! The log, and the numbers behind `/metrics`.

use std::io::IsTerminal;

use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

use crate::config::LogFormat;

/// The AMQP library calls each refused request an error, an expected "no such queue" too; `broker` logs what matters.
const QUIET: &str = "lapin=off";

/// Starts the log on stderr. `filter` is a checked level or filter; it may name `lapin` to hear the AMQP library too.
pub fn start_log(filter: &str, format: LogFormat) {
    let filter = if filter.contains("lapin") {
        filter.to_owned()
    } else {
        format!("{filter},{QUIET}")
    };
    let builder = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(quiet(filter)))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    match format {
        LogFormat::Text => builder.with_target(false).init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
}

/// The AMQP library calls a queue that is not there yet, and every lost connection, an error of its own, beside the line
/// that our code writes about it. It stays silent unless the filter names it.
fn quiet(filter: &str) -> String {
    if filter.contains("lapin") {
        filter.to_owned()
    } else {
        format!("{filter},lapin=off")
    }
}

/// Installs the recorder that `/metrics` reads. Once per process.
pub fn start_metrics() -> Result<PrometheusHandle, BuildError> {
    PrometheusBuilder::new().install_recorder()
}
