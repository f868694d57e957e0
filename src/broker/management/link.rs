//! How the management API is doing, as of the last pass that asked it.

use std::fmt;

use crate::broker::reading::{BrokerReading, ReadProblem, Source};

/// Whether the management API answers this process. No text in it ever contains a user or a password.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ManagementLink {
    /// Nothing was asked: the process just began, or another one looks at the broker for all.
    #[default]
    Unasked,
    /// The last pass was answered. Statistics may still be switched off on the broker.
    Up,
    Down {
        /// `ManagementError::kind`.
        kind: &'static str,
        /// What happened, one sentence.
        detail: String,
    },
}

impl ManagementLink {
    /// The state that a pass over the broker shows: down when one of its requests got no proper answer.
    pub fn of(reading: &BrokerReading) -> Self {
        let broken = |problem: &&ReadProblem| problem.source != Source::Probe && problem.kind != "disabled";
        match reading.problems.iter().find(broken) {
            Some(ReadProblem { kind, detail, .. }) => Self::Down {
                kind,
                detail: detail.clone(),
            },
            None => Self::Up,
        }
    }
}

impl fmt::Display for ManagementLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unasked => f.write_str("not asked"),
            Self::Up => f.write_str("answers"),
            Self::Down { detail, .. } => f.write_str(detail),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::reading::ReadAt;

    fn after(problems: &[(Source, &'static str)]) -> ManagementLink {
        let problems = problems.iter().map(|(source, kind)| ReadProblem {
            source: *source,
            kind,
            detail: "why".into(),
        });
        ManagementLink::of(&BrokerReading {
            at: ReadAt {
                instant: std::time::Instant::now(),
                wall: std::time::SystemTime::now(),
            },
            queues: Default::default(),
            alarms: None,
            problems: problems.collect(),
            version: None,
            nodes: None,
            statistics_disabled: None,
        })
    }

    #[test]
    fn only_what_the_management_api_did_not_answer_makes_it_down() {
        for (problems, down) in [
            (&[][..], None),
            (&[(Source::Probe, "unavailable")], None),
            (&[(Source::Consumers, "disabled")], None),
            (&[(Source::Totals, "refused")], Some("refused")),
            (
                &[(Source::Consumers, "disabled"), (Source::Alarms, "timed_out")],
                Some("timed_out"),
            ),
        ] {
            let link = after(problems);
            let kind = match &link {
                ManagementLink::Down { kind, .. } => Some(*kind),
                ManagementLink::Up | ManagementLink::Unasked => None,
            };
            assert_eq!(kind, down, "{problems:?}: {link}");
        }
    }
}
