//! `unstuck worker`: a program per task.

use std::{ffi::OsString, time::Duration};

use clap::Args;
use tokio_util::sync::CancellationToken;

use crate::{
    config::Config,
    services::{
        exec::Exec,
        worker::{Shutdown, Worker, WorkerConfig},
    },
};

/// Takes tasks from queues and runs a program for each: the payload on its standard input as JSON, its standard
/// output as the result. Exit status 0 is success, 75 is tried again later, any other is a failure.
#[derive(Debug, Args)]
#[group(id = "work", multiple = true, requires_all = ["queue", "exec"])]
pub(super) struct WorkerArgs {
    /// Queue to take tasks from; may be given several times.
    #[arg(long, value_name = "NAME")]
    queue: Vec<String>,
    /// Only kind of task to run; every kind when not given. Messages of other kinds are dead-lettered.
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,
    /// Most tasks that run at once.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    concurrency: u16,
    /// Seconds that running programs may go on after SIGTERM, before they are asked to end.
    #[arg(long, value_name = "SECONDS", default_value_t = 20)]
    drain_s: u32,
    /// The program and its arguments: the rest of the line, as it is. No shell reads it.
    #[arg(long, num_args = 1.., allow_hyphen_values = true, value_names = ["CMD", "ARG"])]
    exec: Vec<OsString>,
}

/// Works until `stop`, then drains; `halt` ends it at once.
pub(super) async fn run(
    args: WorkerArgs,
    config: Config,
    stop: CancellationToken,
    halt: CancellationToken,
) -> anyhow::Result<()> {
    let exec = Exec::new(args.exec)?;
    let config = WorkerConfig {
        database_url: config.database_url,
        broker: config.broker,
        lease: config.lease,
        queue_type: config.queue_type,
        open_queues: config.open_queues,
    };
    let mut builder = Worker::builder(config)
        .concurrency(args.concurrency)
        .drain_within(Duration::from_secs(args.drain_s.into()));
    for queue in args.queue {
        builder = builder.queue(queue);
    }
    builder = match args.kind {
        Some(kind) => builder.handle(kind, exec),
        None => builder.handle_every_kind(exec),
    };
    Ok(builder.build()?.run(Shutdown::by(stop, halt)).await?)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: WorkerArgs,
    }

    fn parse(line: &[&str]) -> Result<WorkerArgs, clap::Error> {
        Line::try_parse_from([&["worker"], line].concat()).map(|line| line.args)
    }

    #[test]
    fn exec_takes_the_rest_of_the_line_as_it_is() {
        let line = [
            "--queue", "a", "--queue", "b", "--exec", "prog", "--queue", "-x", "--", "--help", "a b",
        ];
        let args = parse(&line).unwrap();
        assert_eq!(args.queue, ["a", "b"]);
        assert_eq!(args.exec, ["prog", "--queue", "-x", "--", "--help", "a b"]);
        assert_eq!((args.concurrency, args.drain_s, args.kind), (1, 20, None));
    }

    #[test]
    fn a_worker_without_queue_or_program_is_refused() {
        for line in [
            &["--queue", "a"][..],
            &["--exec", "true"],
            &["--queue", "a", "--exec"],
        ] {
            assert!(parse(line).is_err(), "{line:?}");
        }
        assert!(parse(&["--queue", "a", "--concurrency", "0", "--exec", "true"]).is_err());
    }
}
