//! The guard's own process: one thread that waits for the worker's word, the clock and the program's end.

use std::{
    ffi::OsString,
    io::{self, Read, Write},
    os::{
        fd::AsFd,
        unix::{net::UnixStream, process::CommandExt},
    },
    process::{ChildStdin, Command, ExitCode, Stdio},
    time::Duration,
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        prctl,
        signal::{SigSet, Signal, kill, killpg},
        signalfd::{SfdFlags, SignalFd},
        timerfd::TimerFd,
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};

use super::{
    BootTime, COMMAND, boot_time,
    descendants::descendants,
    program,
    wire::{End, Inbox, Notice, Order, Trust},
};

/// How long what the program left behind may take to die before the program's end is reported all the same.
const CLEARING: Duration = Duration::from_secs(3);
/// Between two rounds of killing.
const ROUND_MS: u8 = 20;

/// Guards `command` until nothing of it is left. What goes wrong here is told the worker, who knows what to do.
pub(super) fn keep(command: &[OsString]) -> ExitCode {
    let outcome = Keeper::new().and_then(|mut keeper| {
        let outcome = keeper.run(command);
        // Whatever happened: nothing of the program may outlive the guard.
        keeper.clear(None);
        outcome
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("unstuck guard: {error}");
            ExitCode::FAILURE
        }
    }
}

struct Keeper {
    worker: UnixStream,
    inbox: Inbox,
    /// Readable when a child ended.
    children: SignalFd,
    /// Readable at the earlier of the two instants below.
    alarm: TimerFd,
    trusted_until: Option<BootTime>,
    kill_at: Option<BootTime>,
    program: Option<Pid>,
    ended: Option<End>,
}

/// What the worker's end of the socket told.
enum Word {
    Orders,
    Closed,
}

impl Keeper {
    fn new() -> io::Result<Self> {
        prctl::set_child_subreaper(true)?;
        prctl::set_name(c"unstuck-guard")?;
        let mut mask = SigSet::empty();
        mask.add(Signal::SIGCHLD);
        let children = SignalFd::with_flags(&mask, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
        // A service manager stops all processes of a unit at once: the worker decides when the guard may go.
        for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT] {
            mask.add(signal);
        }
        mask.thread_block()?;
        let worker = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
        Ok(Self {
            worker,
            inbox: Inbox::default(),
            children,
            alarm: boot_time::timer()?,
            trusted_until: None,
            kill_at: None,
            program: None,
            ended: None,
        })
    }

    fn run(&mut self, command: &[OsString]) -> io::Result<()> {
        loop {
            let [from_worker, alarm, children] = self.wait()?;
            if from_worker && matches!(self.listen(command)?, Word::Closed) {
                return Ok(());
            }
            if alarm && self.trusted_until.is_some_and(BootTime::is_over) {
                return self.finish(Trust::Over);
            }
            if alarm && self.kill_at.is_some_and(BootTime::is_over) {
                return self.finish(Trust::Held);
            }
            if children {
                self.reap();
                if self.ended.is_some() {
                    return self.finish(Trust::Held);
                }
            }
        }
    }

    /// Waits until the worker says something, the alarm rings, or a child ends; tells which.
    fn wait(&self) -> io::Result<[bool; 3]> {
        if let Some(at) = self.trusted_until.into_iter().chain(self.kill_at).min() {
            at.arm(&self.alarm)?;
        }
        let mut watched = [self.worker.as_fd(), self.alarm.as_fd(), self.children.as_fd()]
            .map(|fd| PollFd::new(fd, PollFlags::POLLIN));
        match poll(&mut watched, PollTimeout::NONE) {
            Ok(_) => Ok(watched.map(|fd| fd.any().unwrap_or(true))),
            Err(Errno::EINTR) => Ok([false; 3]),
            Err(error) => Err(error.into()),
        }
    }

    fn listen(&mut self, command: &[OsString]) -> io::Result<Word> {
        let mut bytes = [0; 64 * 1024];
        let read = match self.worker.read(&mut bytes) {
            Ok(0) => return Ok(Word::Closed),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(Word::Orders),
            // The worker died with something unread.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(Word::Closed),
            Err(error) => return Err(error),
        };
        self.inbox.push(&bytes[..read]);
        while let Some(order) = self.inbox.next().map_err(io::Error::other)? {
            match order {
                Order::Trust { until } => self.trusted_until = Some(until),
                Order::Stop { grace } => self.stop(grace),
                Order::Start { payload } => {
                    if self.program.is_none() && !self.start(command, payload)? {
                        return Ok(Word::Closed);
                    }
                }
            }
        }
        Ok(Word::Orders)
    }

    /// False when there is nothing to guard.
    fn start(&mut self, command: &[OsString], payload: Vec<u8>) -> io::Result<bool> {
        if self.trusted_until.is_none_or(BootTime::is_over) {
            let end = End::Killed {
                signal: Signal::SIGKILL as i32,
            };
            self.tell(&Notice::Ended {
                end,
                trust: Trust::Over,
            })?;
            return Ok(false);
        }
        let spawned = Command::new("/proc/self/exe")
            .args([COMMAND, program::FLAG, &Pid::this().to_string()])
            .args(command)
            .stdin(Stdio::piped())
            .process_group(0)
            .spawn();
        let mut child = match spawned {
            Ok(child) => child,
            Err(error) => {
                self.tell(&Notice::NotStarted {
                    error: error.to_string(),
                })?;
                return Ok(false);
            }
        };
        let pid = i32::try_from(child.id()).expect("Linux counts processes up to 2^22");
        self.program = Some(Pid::from_raw(pid));
        if let Some(stdin) = child.stdin.take() {
            feed(stdin, payload)?;
        }
        self.tell(&Notice::Started { group: pid })?;
        Ok(true)
    }

    /// Asks the program's group to end, and sets the alarm for those who don't. A second call may shorten the grace.
    fn stop(&mut self, grace: Duration) {
        let at = BootTime::now() + grace;
        self.kill_at = Some(self.kill_at.map_or(at, |earlier| earlier.min(at)));
        if let Some(program) = self.living_group() {
            // A stopped process must be woken to see that it shall end. A group that is gone needs nothing.
            for signal in [Signal::SIGTERM, Signal::SIGCONT] {
                signal_or_gone(killpg(program, signal));
            }
        }
    }

    /// Kills whatever is left of the program and reports its end.
    fn finish(&mut self, trust: Trust) -> io::Result<()> {
        self.clear(Some(BootTime::now() + CLEARING));
        let end = self.ended.unwrap_or(End::Killed {
            signal: Signal::SIGKILL as i32,
        });
        self.tell(&Notice::Ended { end, trust })
    }

    /// Kills everything below the guard, round by round, until nothing is left or `until` is over.
    fn clear(&mut self, until: Option<BootTime>) {
        loop {
            if let Some(program) = self.living_group() {
                signal_or_gone(killpg(program, Signal::SIGKILL));
            }
            for pid in descendants(Pid::this()) {
                signal_or_gone(kill(pid, Signal::SIGKILL));
            }
            if self.reap() == Left::Nobody || until.is_some_and(BootTime::is_over) {
                return;
            }
            let mut watched = [PollFd::new(self.children.as_fd(), PollFlags::POLLIN)];
            if let Err(error) = poll(&mut watched, ROUND_MS) {
                debug_assert_eq!(error, Errno::EINTR, "waiting for a child");
            }
        }
    }

    /// Collects the children that ended; keeps how the program did.
    fn reap(&mut self) -> Left {
        // One signal may stand for several children: they are asked for below.
        while let Ok(Some(_)) = self.children.read_signal() {}
        loop {
            let (pid, end) = match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, code)) => (pid, End::Exited { code }),
                Ok(WaitStatus::Signaled(pid, signal, _)) => (
                    pid,
                    End::Killed {
                        signal: signal as i32,
                    },
                ),
                Ok(WaitStatus::StillAlive) => return Left::Some,
                Ok(_) | Err(Errno::EINTR) => continue,
                Err(_) => return Left::Nobody,
            };
            if Some(pid) == self.program {
                self.ended = Some(end);
            }
        }
    }

    /// The program's group while its number can't have been given to somebody else: until the program was collected.
    /// What is left of the group then is found by descent.
    fn living_group(&self) -> Option<Pid> {
        self.program.filter(|_| self.ended.is_none())
    }

    fn tell(&mut self, notice: &Notice) -> io::Result<()> {
        match self.worker.write_all(notice.encode().as_bytes()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            told => told,
        }
    }
}

#[derive(PartialEq, Eq)]
enum Left {
    Nobody,
    Some,
}

/// A process that ended first, or that belongs to another user, can't be signalled: neither is ours to mend.
fn signal_or_gone(sent: nix::Result<()>) {
    if let Err(error) = sent {
        debug_assert!(
            matches!(error, Errno::ESRCH | Errno::EPERM),
            "signalling: {error}"
        );
    }
}

/// Writes the payload beside everything else. A program that does not read it is no error.
fn feed(mut stdin: ChildStdin, payload: Vec<u8>) -> io::Result<()> {
    std::thread::Builder::new()
        .name("stdin".into())
        .spawn(move || match stdin.write_all(&payload) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                eprintln!("unstuck guard: the payload could not be written: {error}");
            }
            _ => {}
        })?;
    Ok(())
}
