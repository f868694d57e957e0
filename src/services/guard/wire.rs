//! What a worker and a guard say to each other: lines of text, over a socket pair.

use std::time::Duration;

use super::BootTime;

/// Worker to guard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// The program may run until then. An absolute instant: an order that was held up on its way grants nothing more.
    Trust { until: BootTime },
    /// Starts the program with this on its standard input. Only the first one counts.
    Start { payload: Vec<u8> },
    /// SIGTERM now, SIGKILL after `grace`.
    Stop { grace: Duration },
}

/// Guard to worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    /// The program runs, in the process group of this number.
    Started { group: i32 },
    /// The program could not be started.
    NotStarted { error: String },
    /// The program and everything it started is gone.
    Ended { end: End, trust: Trust },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Exited { code: i32 },
    Killed { signal: i32 },
}

/// Whether the worker's word still held when the program ended, or the guard killed it for want of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    Held,
    Over,
}

/// The other side spoke another language.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("a garbled line")]
pub(crate) struct Garbled;

impl Order {
    pub(crate) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Trust { until } => format!("trust {}\n", until.ns()).into_bytes(),
            Self::Stop { grace } => format!("stop {}\n", grace.as_millis()).into_bytes(),
            Self::Start { payload } => {
                let mut bytes = format!("start {}\n", payload.len()).into_bytes();
                bytes.extend_from_slice(payload);
                bytes
            }
        }
    }
}

impl Notice {
    pub(crate) fn encode(&self) -> String {
        match self {
            Self::Started { group } => format!("started {group}\n"),
            Self::NotStarted { error } => format!("not-started {}\n", error.replace('\n', " ")),
            Self::Ended { end, trust } => {
                let (how, number) = match end {
                    End::Exited { code } => ("exited", code),
                    End::Killed { signal } => ("killed", signal),
                };
                let trust = match trust {
                    Trust::Held => "held",
                    Trust::Over => "over",
                };
                format!("{how} {number} {trust}\n")
            }
        }
    }

    /// Reads one line, without its end.
    pub(crate) fn decode(line: &str) -> Result<Self, Garbled> {
        let (word, rest) = line.split_once(' ').ok_or(Garbled)?;
        Ok(match word {
            "started" => Self::Started {
                group: rest.parse().map_err(|_| Garbled)?,
            },
            "not-started" => Self::NotStarted {
                error: rest.to_owned(),
            },
            "exited" | "killed" => {
                let (number, trust) = rest.split_once(' ').ok_or(Garbled)?;
                let number = number.parse().map_err(|_| Garbled)?;
                let end = if word == "exited" {
                    End::Exited { code: number }
                } else {
                    End::Killed { signal: number }
                };
                let trust = match trust {
                    "held" => Trust::Held,
                    "over" => Trust::Over,
                    _ => return Err(Garbled),
                };
                Self::Ended { end, trust }
            }
            _ => return Err(Garbled),
        })
    }
}

/// The orders' bytes as they come, cut into orders.
#[derive(Default)]
pub(super) struct Inbox(Vec<u8>);

/// No order's first line is longer.
const LONGEST_LINE: usize = 64;

impl Inbox {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// The next whole order; `None` until more bytes have come.
    pub(super) fn next(&mut self) -> Result<Option<Order>, Garbled> {
        let Some(length) = self.0.iter().take(LONGEST_LINE).position(|byte| *byte == b'\n') else {
            return if self.0.len() < LONGEST_LINE {
                Ok(None)
            } else {
                Err(Garbled)
            };
        };
        let line = std::str::from_utf8(&self.0[..length]).map_err(|_| Garbled)?;
        let (word, number) = line.split_once(' ').ok_or(Garbled)?;
        let number: u64 = number.parse().map_err(|_| Garbled)?;
        let body = length + 1;
        let (order, taken) = match word {
            "trust" => (
                Order::Trust {
                    until: BootTime::from_ns(number),
                },
                body,
            ),
            "stop" => (
                Order::Stop {
                    grace: Duration::from_millis(number),
                },
                body,
            ),
            "start" => {
                let end = usize::try_from(number)
                    .ok()
                    .and_then(|size| body.checked_add(size))
                    .ok_or(Garbled)?;
                if self.0.len() < end {
                    return Ok(None);
                }
                (
                    Order::Start {
                        payload: self.0[body..end].to_vec(),
                    },
                    end,
                )
            }
            _ => return Err(Garbled),
        };
        self.0.drain(..taken);
        Ok(Some(order))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn order() -> impl Strategy<Value = Order> {
        prop_oneof![
            any::<u64>().prop_map(|ns| Order::Trust {
                until: BootTime::from_ns(ns)
            }),
            proptest::collection::vec(any::<u8>(), 0..300).prop_map(|payload| Order::Start { payload }),
            any::<u32>().prop_map(|ms| Order::Stop {
                grace: Duration::from_millis(ms.into())
            }),
        ]
    }

    proptest! {
        #[test]
        fn orders_arrive_as_they_were_sent_however_the_bytes_are_cut(
            orders in proptest::collection::vec(order(), 1..6),
            piece in 1usize..40,
        ) {
            let sent: Vec<u8> = orders.iter().flat_map(Order::encode).collect();
            let (mut inbox, mut arrived) = (Inbox::default(), Vec::new());
            for bytes in sent.chunks(piece) {
                inbox.push(bytes);
                while let Some(order) = inbox.next().unwrap() {
                    arrived.push(order);
                }
            }
            prop_assert_eq!(arrived, orders);
        }

        #[test]
        fn notices_arrive_as_they_were_sent(number in any::<i32>(), error in "[^\n]{0,80}") {
            for notice in [
                Notice::Started { group: number },
                Notice::NotStarted { error },
                Notice::Ended { end: End::Exited { code: number }, trust: Trust::Held },
                Notice::Ended { end: End::Killed { signal: number }, trust: Trust::Over },
            ] {
                let line = notice.encode();
                prop_assert_eq!(Notice::decode(line.trim_end_matches('\n')).unwrap(), notice);
            }
        }

        #[test]
        fn garbage_is_refused_or_waited_on_and_never_kept_for_ever(bytes in proptest::collection::vec(any::<u8>(), 65..200)) {
            let mut inbox = Inbox::default();
            inbox.push(&bytes);
            while let Ok(Some(_)) = inbox.next() {}
        }
    }
}
