//! The command line: parses it, gathers the configuration, and runs one command.

mod settings;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tokio_util::sync::CancellationToken;

use crate::{app, config::Config, store::Store, telemetry};
use settings::SettingArgs;

/// Holds your tasks' database against RabbitMQ, says what is stalled and why, and puts it right safely.
#[derive(Debug, Parser)]
#[command(name = "unstuck", version, max_term_width = 120)]
struct Cli {
    #[command(flatten)]
    settings: SettingArgs,
    /// `all` when nothing is named.
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The site, the API, the relay and the detector.
    Serve,
    /// Bring the database's tables up to date, and end.
    Migrate,
}

/// Runs the command that the process was started with.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    match execute(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // One line a cause, no backtrace: whoever reads this is about to mend a setting.
            eprintln!("unstuck: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn execute(cli: Cli) -> anyhow::Result<()> {
    let config = cli.settings.gather()?.check()?;
    telemetry::start_log(&config.log, config.log_format);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match cli.command.unwrap_or(Command::Serve) {
            Command::Serve => app::serve(config, stop_on_signal()?).await,
            Command::Migrate => migrate(&config).await,
        }
    })
}

async fn migrate(config: &Config) -> anyhow::Result<()> {
    let store = Store::open(&config.database_url).await?;
    println!("the {} database is up to date", store.engine());
    store.close().await;
    Ok(())
}

/// Cancelled by the first SIGTERM or SIGINT. A second one ends the process at once.
fn stop_on_signal() -> std::io::Result<CancellationToken> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let stop = CancellationToken::new();
    let token = stop.clone();
    tokio::spawn(async move {
        for round in 0.. {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if round > 0 {
                tracing::warn!("stopping at once");
                std::process::exit(130);
            }
            tracing::info!("stopping");
            token.cancel();
        }
    });
    Ok(stop)
}
