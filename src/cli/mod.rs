//! The command line: parses it, gathers the configuration, and runs one command.

mod accounts;
mod doctor;
mod settings;
mod worker;

use std::{
    io::Write,
    process::ExitCode,
    time::{Duration, Instant},
};

use accounts::{TokenCommand, UserCommand};
use clap::{Args, Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::{
    app::{self, App},
    config::Config,
    store::Store,
    telemetry,
    web::api::openapi_json,
};
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
    /// `serve`, and a worker in the same process when a queue and a program are given.
    All(AllArgs),
    /// `serve` with a lively sample workload, its workers, and troubles to look at.
    Demo,
    /// Add, list, disable people; make a new password.
    #[command(subcommand)]
    User(UserCommand),
    /// Create, list, revoke the tokens of programs.
    #[command(subcommand)]
    Token(TokenCommand),
    /// Bring the database's tables up to date, and end.
    Migrate,
    /// Look at database, broker and queues, and say what to mend. Changes nothing; fails when something is wrong.
    Doctor,
    /// Print the OpenAPI document of the HTTP API.
    Openapi,
}

#[derive(Debug, Default, Args)]
struct AllArgs {
    #[command(flatten)]
    worker: Option<WorkerArgs>,
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
    let command = cli.command.unwrap_or_else(|| Command::All(AllArgs::default()));
    if matches!(command, Command::Openapi) {
        // Needs no settings: a build server without any may ask for it.
        return Ok(writeln!(std::io::stdout(), "{}", openapi_json())?);
    }
    let mut sources = cli.settings.gather()?;
    match command {
        Command::Demo => sources.or_default("database_url", "sqlite://unstuck-demo.db"),
        // What it has to say stands alone.
        Command::Doctor => sources.or_default("log", "error"),
        _ => {}
    }
    let config = sources.check()?;
    let _log = telemetry::start_log(&config.log, config.log_format)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let done = runtime.block_on(async {
        let signals = Signals::listen()?;
        // A worker hears the second signal itself: its programs end before it does.
        let halts = !matches!(command, Command::Worker(_));
        let command = async {
            match command {
                Command::Worker(args) => {
                    worker::run(args, config, signals.stop.clone(), signals.halt.clone()).await
                }
                Command::Serve => App::start(&config, signals.stop.clone()).await?.run().await,
                Command::All(args) => all(args, config, &signals).await,
                Command::Demo => app::demo(&config, sources.environment(), signals.stop.clone()).await,
                Command::User(command) => accounts::run_user(command, &config).await,
                Command::Token(command) => accounts::run_token(command, &config).await,
                Command::Migrate => migrate(&config).await,
                Command::Doctor => doctor::run(&config).await,
                Command::Openapi => unreachable!("answered before any setting was read"),
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

async fn all(args: AllArgs, config: Config, signals: &Signals) -> anyhow::Result<()> {
    let mut app = App::start(&config, signals.stop.clone()).await?;
    match args.worker {
        Some(worker) => app.add_fallible(worker::run(
            worker,
            config,
            signals.stop.clone(),
            signals.halt.clone(),
        )),
        None => {
            tracing::info!("no worker runs here: give `all` a --queue and --exec, or start `unstuck worker`")
        }
    }
    app.run().await
}

async fn migrate(config: &Config) -> anyhow::Result<()> {
    let store = Store::open(&config.database_url).await?;
    println!("the {} database is up to date", store.engine());
    store.close().await;
    Ok(())
}

/// Signals so close together are one wish: whoever signals a process and its group sends two.
const SAME_WISH: Duration = Duration::from_millis(500);

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
            let mut first: Option<Instant> = None;
            loop {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                match first {
                    None => {
                        tracing::info!("stopping");
                        stop.cancel();
                        first = Some(Instant::now());
                    }
                    Some(first) if first.elapsed() < SAME_WISH => {}
                    Some(_) => return halt.cancel(),
                }
            }
        });
        Ok(signals)
    }
}
