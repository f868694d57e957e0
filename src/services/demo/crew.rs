//! The demo's workers: real processes of this same binary, each running a small program.

use std::{collections::HashMap, ffi::OsString, io, path::PathBuf, process::Stdio, time::Duration};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::process::{Child, Command};

use super::{MAIL, REPORTS, VIDEO};
use crate::domain::words::words;

/// Between the two signals of the end; two that are closer than half a second count as one.
const A_MOMENT: Duration = Duration::from_secs(1);

/// How worker processes are started.
#[derive(Clone, Debug)]
pub struct CrewConfig {
    /// This binary.
    pub program: PathBuf,
    /// The settings as environment, so that workers use the same database and broker.
    pub environment: Vec<(String, String)>,
}

words! {
    /// A worker's place in the demo.
    pub enum Post {
        Reports = "reports",
        Mail = "mail",
        VideoOne = "video-1",
        VideoTwo = "video-2",
    }
}

/// Some seconds of work with progress, then a result.
const REPORT: &str = r#"
read -r payload
for step in 1 2 3 4 5; do
  sleep 0.6
  echo "::progress $((step * 20)) page $step of 5" >&2
done
echo "{\"pages\": 5, \"attempt\": $UNSTUCK_ATTEMPT}"
"#;

/// Mail goes out at once; a full mailbox may be empty later, an address without @ never works.
const LETTER: &str = r#"
read -r payload
sleep 1
case "$payload" in
  *no-such-address*) echo "550 no such address" >&2; exit 1 ;;
  *mailbox-full*) [ "$UNSTUCK_ATTEMPT" -ge 2 ] || { echo "452 mailbox full, try later" >&2; exit 75; } ;;
esac
echo '{"delivered": true}'
"#;

/// Up to a minute of work.
const RENDER: &str = r#"
read -r payload
step=0
while [ "$step" -lt 40 ]; do
  sleep 1
  step=$((step + 1))
  echo "::progress $((step * 100 / 40)) frame $((step * 25)) of 1000" >&2
done
echo "rendered 1000 frames" >&2
echo '{"frames": 1000}'
"#;

impl Post {
    fn queue(self) -> &'static str {
        match self {
            Self::Reports => REPORTS,
            Self::Mail => MAIL,
            Self::VideoOne | Self::VideoTwo => VIDEO,
        }
    }

    fn script(self) -> &'static str {
        match self {
            Self::Reports => REPORT,
            Self::Mail => LETTER,
            Self::VideoOne | Self::VideoTwo => RENDER,
        }
    }

    fn concurrency(self) -> &'static str {
        match self {
            Self::Reports => "3",
            Self::Mail | Self::VideoOne | Self::VideoTwo => "2",
        }
    }
}

/// The worker processes that run now, by post.
pub(super) struct Crew {
    config: CrewConfig,
    workers: HashMap<Post, Child>,
}

impl Crew {
    pub(super) fn new(config: CrewConfig) -> Self {
        Self {
            config,
            workers: HashMap::new(),
        }
    }

    /// Starts a worker at its post; one that is there already stays.
    pub(super) fn start(&mut self, post: Post) -> io::Result<()> {
        if self
            .workers
            .get_mut(&post)
            .is_some_and(|child| matches!(child.try_wait(), Ok(None)))
        {
            return Ok(());
        }
        let arguments: [OsString; 10] = [
            "worker",
            "--queue",
            post.queue(),
            "--concurrency",
            post.concurrency(),
            "--exec",
            "sh",
            "-c",
            post.script(),
            "demo",
        ]
        .map(OsString::from);
        let child = Command::new(&self.config.program)
            .args(arguments)
            .envs(self.config.environment.iter().cloned())
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        self.workers.insert(post, child);
        Ok(())
    }

    /// Ends a worker in good order: it finishes or hands back what it runs.
    pub(super) async fn dismiss(&mut self, post: Post) {
        self.signal(post, Signal::SIGTERM);
        self.gone(post).await;
    }

    /// Kills a worker in the middle of its work.
    pub(super) async fn kill(&mut self, post: Post) {
        self.signal(post, Signal::SIGKILL);
        self.gone(post).await;
    }

    /// Stops a worker's clock; it goes on at `thaw`, long after its leases ended.
    pub(super) fn freeze(&self, post: Post) {
        self.signal(post, Signal::SIGSTOP);
    }

    pub(super) fn thaw(&self, post: Post) {
        self.signal(post, Signal::SIGCONT);
    }

    /// Ends every worker, frozen ones too. Whoever stops the demo does not want to wait for a minute's work: what takes
    /// longer than a moment is handed back at the second signal.
    pub(super) async fn end(&mut self) {
        for post in Post::ALL {
            self.thaw(*post);
            self.signal(*post, Signal::SIGTERM);
        }
        tokio::time::sleep(A_MOMENT).await;
        for post in Post::ALL {
            self.signal(*post, Signal::SIGTERM);
        }
        for post in Post::ALL {
            self.gone(*post).await;
        }
    }

    fn signal(&self, post: Post, signal: Signal) {
        let id = self
            .workers
            .get(&post)
            .and_then(Child::id)
            .and_then(|id| i32::try_from(id).ok());
        if let Some(id) = id
            && let Err(error) = kill(Pid::from_raw(id), signal)
        {
            tracing::debug!(%error, %post, "the worker is gone already");
        }
    }

    /// Waits for a worker's end, and kills it when that takes too long.
    async fn gone(&mut self, post: Post) {
        let Some(mut child) = self.workers.remove(&post) else {
            return;
        };
        if tokio::time::timeout(Duration::from_secs(30), child.wait())
            .await
            .is_err()
            && let Err(error) = child.kill().await
        {
            tracing::warn!(%error, %post, "the worker could not be ended");
        }
    }
}
