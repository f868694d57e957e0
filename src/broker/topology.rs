//! The queues that carry task ids, and how they are declared.

use lapin::options::QueueDeclareOptions;
use lapin::types::{AMQPValue, FieldTable, ShortString};
use thiserror::Error;

use super::link::{RequestError, Session};
use crate::domain::queue_spec::{DELIVERY_LIMIT, QueueSpec, QueueType};

/// RabbitMQ: a name is at most 255 bytes, and `.dead` must still fit.
const NAME_BYTES_MAX: usize = 250;

/// What the queue is declared with.
fn arguments(spec: &QueueSpec) -> FieldTable {
    let mut arguments = FieldTable::default();
    let text = |text: &str| AMQPValue::LongString(text.into());
    arguments.insert("x-queue-type".into(), text(spec.queue_type.as_str()));
    arguments.insert("x-dead-letter-exchange".into(), text(""));
    arguments.insert("x-dead-letter-routing-key".into(), text(&spec.dead_name()));
    match spec.queue_type {
        QueueType::Quorum => {
            arguments.insert(
                "x-delivery-limit".into(),
                AMQPValue::LongUInt(spec.delivery_limit),
            );
        }
        QueueType::Classic => {
            if let Some(highest) = spec.max_priority {
                arguments.insert("x-max-priority".into(), AMQPValue::ShortShortUInt(highest));
            }
        }
    }
    arguments
}

/// What its dead-letter queue is declared with.
fn dead_arguments(spec: &QueueSpec) -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert(
        "x-queue-type".into(),
        AMQPValue::LongString(spec.queue_type.as_str().into()),
    );
    // From RabbitMQ 4.0 on a quorum queue drops a message after 20 deliveries unless told otherwise; to be looked at
    // is one.
    if spec.queue_type == QueueType::Quorum {
        arguments.insert("x-delivery-limit".into(), AMQPValue::LongUInt(DELIVERY_LIMIT));
    }
    arguments
}

/// Why a queue could not be declared.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DeclareError {
    /// It exists with another argument; RabbitMQ refuses to change one.
    #[error(
        "queue {queue} exists with {argument} = {actual}, not {expected}: delete it or set up its migration"
    )]
    Mismatch {
        queue: String,
        argument: String,
        expected: String,
        actual: String,
    },
    /// The broker answered no: no permission, an exclusive queue of somebody else, a name it does not take.
    #[error("the broker refused queue {queue}: {detail}")]
    Refused { queue: String, detail: String },
    /// No answer: there is no connection, or it broke.
    #[error("queue {queue} could not be declared: {detail}")]
    Unavailable { queue: String, detail: String },
}

/// Makes sure that the queue and its dead-letter queue exist.
///
/// A queue that exists is taken as it is, whatever its arguments: one made by somebody else stays usable. A missing one
/// is declared with the arguments of `spec`. Calling it twice, or from two processes at once, does no harm.
pub(crate) async fn ensure(session: &Session, spec: &QueueSpec) -> Result<(), DeclareError> {
    if spec.name.is_empty() || spec.name.len() > NAME_BYTES_MAX {
        let detail = format!(
            "its name must have 1 to {NAME_BYTES_MAX} bytes, it has {}",
            spec.name.len()
        );
        return Err(DeclareError::Refused {
            queue: spec.name.clone(),
            detail,
        });
    }
    // The dead-letter queue first: what the queue gives up is dropped for good while that one is missing.
    ensure_one(session, &spec.dead_name(), dead_arguments(spec)).await?;
    ensure_one(session, &spec.name, arguments(spec)).await
}

async fn ensure_one(session: &Session, name: &str, arguments: FieldTable) -> Result<(), DeclareError> {
    let failed = |error| explain(name, error);
    let queue = ShortString::from(name);
    let channel = session.channel().await.map_err(failed)?;
    let passive = QueueDeclareOptions {
        passive: true,
        ..QueueDeclareOptions::default()
    };
    match session
        .request(channel.queue_declare(queue.clone(), passive, FieldTable::default()))
        .await
    {
        Ok(_) => return Ok(()),
        Err(RequestError::Refused { code: 404, text }) if text.contains("no queue") => {}
        Err(error) => return Err(failed(error)),
    }
    // The refusal has closed the channel.
    let channel = session.channel().await.map_err(failed)?;
    session
        .request(channel.queue_declare(queue, QueueDeclareOptions::durable(), arguments))
        .await
        .map_err(failed)?;
    tracing::info!(queue = name, "declared");
    Ok(())
}

fn explain(queue: &str, error: RequestError) -> DeclareError {
    let queue = queue.to_owned();
    match error {
        RequestError::Refused { code: 406, text } => match parse_mismatch(&text) {
            Some((argument, expected, actual)) => DeclareError::Mismatch {
                queue,
                argument,
                expected,
                actual,
            },
            None => DeclareError::Refused { queue, detail: text },
        },
        RequestError::Refused { text, .. } => DeclareError::Refused { queue, detail: text },
        RequestError::Broken { detail } => DeclareError::Unavailable { queue, detail },
    }
}

/// Reads argument, asked and actual value from RabbitMQ's text, which has two forms:
/// `inequivalent arg 'durable' for queue 'q' in vhost '/': received 'true' but current is 'false'` and
/// `… received the value '10' of type 'signedint' but current is none` (or `the value '5' of type …`).
fn parse_mismatch(text: &str) -> Option<(String, String, String)> {
    let (_, rest) = text.split_once("inequivalent arg ")?;
    let (argument, _) = rest.strip_prefix('\'')?.split_once('\'')?;
    let (_, values) = rest.split_once(": received ")?;
    let (expected, actual) = values.split_once(" but current is ")?;
    let value = |part: &str| match part.split('\'').nth(1) {
        Some(quoted) => quoted.to_owned(),
        None => part.trim().to_owned(),
    };
    Some((argument.to_owned(), value(expected), value(actual)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_the_brokers_mismatch_text_are_read() {
        for (text, argument, expected, actual) in [
            (
                "PRECONDITION_FAILED - inequivalent arg 'durable' for queue 'q' in vhost '/': received 'true' but current is 'false'",
                "durable",
                "true",
                "false",
            ),
            (
                "PRECONDITION_FAILED - inequivalent arg 'x-max-priority' for queue 'q' in vhost '/': received the value '10' of type 'signedint' but current is none",
                "x-max-priority",
                "10",
                "none",
            ),
            (
                "PRECONDITION_FAILED - inequivalent arg 'x-queue-type' for queue 'it's' in vhost '/': received the value 'quorum' of type 'longstr' but current is the value 'classic' of type 'longstr'",
                "x-queue-type",
                "quorum",
                "classic",
            ),
        ] {
            let parsed = parse_mismatch(text).unwrap();
            assert_eq!(
                (parsed.0.as_str(), parsed.1.as_str(), parsed.2.as_str()),
                (argument, expected, actual)
            );
        }
        assert_eq!(parse_mismatch("PRECONDITION_FAILED - something else"), None);
    }
}
