//! What an attempt's end is reported as, and the text that is fit to be stored.

use serde_json::Value;

use super::{
    attempt::Ending,
    handler::{JobError, Manner},
    job::StopCause,
};
use crate::domain::transition::Event;

/// Longest error that is kept, in characters.
const ERROR_CHARS: usize = 2000;

/// What to tell the database about an attempt's end.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Report {
    Event(Event),
    /// Nothing: somebody else decided about the task, or what runs on must not meet a new attempt before the lease ends.
    Nothing,
}

/// How `attempt` ended, as a report. `asked` is why its handler was asked to stop, if it was.
pub(super) fn report(ending: Ending, asked: Option<StopCause>, attempt: i64, log: Option<String>) -> Report {
    let failed = |error: String, retryable: bool| {
        let error = error
            .chars()
            .filter(|char| *char != '\0')
            .take(ERROR_CHARS)
            .collect();
        Report::Event(Event::Fail {
            attempt,
            error,
            retryable,
            log: log.clone(),
        })
    };
    match ending {
        Ending::Finished(Ok(result)) => Report::Event(Event::Succeed {
            attempt,
            result: without_nul(result),
            log: log.clone(),
        }),
        Ending::Finished(Err(JobError {
            message,
            retryable,
            manner: Manner::Failed,
        })) => failed(message, retryable),
        Ending::Finished(Err(JobError {
            message,
            retryable,
            manner: Manner::Terminated,
        })) if asked.is_none() => failed(message, retryable),
        Ending::Panicked(words) => failed(format!("the handler panicked: {words}"), false),
        Ending::LeftBehind => Report::Nothing,
        Ending::Finished(Err(_)) | Ending::Dropped => match asked {
            Some(StopCause::Cancelled) => failed("cancelled".into(), false),
            Some(StopCause::Draining | StopCause::Killed | StopCause::LeaseLost) => {
                Report::Event(Event::Release { attempt })
            }
            Some(StopCause::Disowned) => Report::Nothing,
            None => failed("the handler stopped although nobody asked it to".into(), true),
        },
    }
}

/// Instead of a result that the database refused for itself.
pub(super) fn unstorable(attempt: i64, why: &str) -> Event {
    let error = format!("the attempt ended, but what it reported could not be stored: {why}");
    Event::Fail {
        attempt,
        error,
        retryable: false,
        log: None,
    }
}

/// PostgreSQL can hold no NUL character in a text, nor in a JSON string.
fn without_nul(value: Value) -> Value {
    match value {
        Value::String(text) if text.contains('\0') => Value::String(text.replace('\0', "")),
        Value::Array(items) => items.into_iter().map(without_nul).collect(),
        Value::Object(fields) => fields
            .into_iter()
            .map(|(key, value)| (key.replace('\0', ""), without_nul(value)))
            .collect(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fail(error: &str, retryable: bool) -> Report {
        Report::Event(Event::Fail {
            attempt: 2,
            error: error.into(),
            retryable,
            log: None,
        })
    }

    const RELEASE: Report = Report::Event(Event::Release { attempt: 2 });

    #[test]
    fn a_handler_that_was_stopped_is_reported_by_why_it_was() {
        for ending in [|| Ending::Finished(Err(JobError::stopped())), || Ending::Dropped] {
            for (asked, expected) in [
                (Some(StopCause::Draining), RELEASE),
                (Some(StopCause::Killed), RELEASE),
                (Some(StopCause::LeaseLost), RELEASE),
                (Some(StopCause::Cancelled), fail("cancelled", false)),
                (Some(StopCause::Disowned), Report::Nothing),
                (
                    None,
                    fail("the handler stopped although nobody asked it to", true),
                ),
            ] {
                assert_eq!(report(ending(), asked, 2, None), expected, "{asked:?}");
            }
        }
    }

    #[test]
    fn an_end_of_its_own_is_reported_as_it_is_whatever_was_asked() {
        for asked in [None, Some(StopCause::Draining), Some(StopCause::Disowned)] {
            let succeeded = report(Ending::Finished(Ok(json!({"a\0": ["b\0c"]}))), asked, 2, None);
            let event = Event::Succeed {
                attempt: 2,
                result: json!({"a": ["bc"]}),
                log: None,
            };
            assert_eq!(succeeded, Report::Event(event));
            let failed = report(
                Ending::Finished(Err(JobError::retryable("no\0pe"))),
                asked,
                2,
                None,
            );
            assert_eq!(failed, fail("nope", true));
        }
        assert_eq!(
            report(Ending::Panicked("oh".into()), None, 2, None),
            fail("the handler panicked: oh", false)
        );
    }

    #[test]
    fn what_may_still_run_is_not_handed_to_anybody_before_its_lease_ends() {
        for asked in [None, Some(StopCause::Killed), Some(StopCause::LeaseLost)] {
            assert_eq!(report(Ending::LeftBehind, asked, 2, None), Report::Nothing);
        }
    }

    #[test]
    fn a_program_that_the_whole_service_took_with_it_is_handed_back() {
        let terminated = || Ending::Finished(Err(JobError::failed("killed by SIGTERM").terminated()));
        assert_eq!(report(terminated(), Some(StopCause::Draining), 2, None), RELEASE);
        assert_eq!(
            report(terminated(), None, 2, None),
            fail("killed by SIGTERM", false)
        );
    }
}
