//! The command line: parses it, gathers the configuration, and runs one command.

mod settings;
mod worker;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::{app, config::Config, store::Store, telemetry};
use settings::SettingArgs;
use worker::WorkerArgs;

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
    /// Take tasks from queues and run a program for each.
    Worker(WorkerArgs),
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
    let done = runtime.block_on(async {
        let signals = Signals::listen()?;
        let command = cli.command.unwrap_or(Command::Serve);
        // A worker hears the second signal itself: its programs end before it does.
        let halts = !matches!(command, Command::Worker(_));
        let command = async {
            match command {
                Command::Worker(args) => {
                    worker::run(args, config, signals.stop.clone(), signals.halt.clone()).await
                }
                Command::Serve => app::serve(config, signals.stop.clone()).await,
                Command::Migrate => migrate(&config).await,
            }
        };
        tokio::select! {
            done = command => done,
            () = signals.halt.cancelled(), if halts => anyhow::bail!("stopped at once by a second signal"),
        }
    });
    runtime.shutdown_background();
    done
}

async fn migrate(config: &Config) -> anyhow::Result<()> {
    let store = Store::open(&config.database_url).await?;
    println!("the {} database is up to date", store.engine());
    store.close().await;
    Ok(())
}

/// What SIGTERM and SIGINT ask for: the first to stop in good order, the second to stop at once.
struct Signals {
    stop: CancellationToken,
    halt: CancellationToken,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        let (mut terminate, mut interrupt) =
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let signals = Self {
            stop: CancellationToken::new(),
            halt: CancellationToken::new(),
        };
        let (stop, halt) = (signals.stop.clone(), signals.halt.clone());
        tokio::spawn(async move {
            for token in [stop, halt] {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                tracing::info!("stopping");
                token.cancel();
            }
        });
        Ok(signals)
    }
}
