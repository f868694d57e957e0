//! The answers of one window, and what they mean.

use std::collections::HashMap;

use lapin::Confirmation;

use super::lane::Envelope;
use super::{PublishFault, PublishOutcome};
use crate::broker::message::PublishKey;

/// The answers of one window as they come in.
///
/// lapin attaches a returned message to whichever confirm resolves next, not to its own, so what was returned is known
/// from the returned messages only. RabbitMQ sends a return before its confirm, and lapin hands a return out with the
/// next confirm: so when all confirms are in, all returns are, and an `Ack` without a return shows that none was waiting.
pub(super) struct Window<'a> {
    envelopes: &'a [&'a Envelope],
    answers: Vec<Answer>,
    returned: HashMap<Option<PublishKey>, (u16, String)>,
}

#[derive(Clone)]
enum Answer {
    None,
    /// Acknowledged with no return waiting.
    Acked,
    /// Acknowledged, but with another message's return: its own may still have been waiting.
    AckedBesideReturn,
    Nacked,
    Failed(PublishFault),
}

impl<'a> Window<'a> {
    pub(super) fn new(envelopes: &'a [&'a Envelope]) -> Self {
        Self {
            envelopes,
            answers: vec![Answer::None; envelopes.len()],
            returned: HashMap::new(),
        }
    }

    pub(super) fn note(&mut self, index: usize, answer: Result<Confirmation, PublishFault>) {
        self.answers[index] = match answer {
            Ok(Confirmation::Ack(None)) => Answer::Acked,
            Ok(Confirmation::Ack(Some(message))) => {
                self.note_return(message);
                Answer::AckedBesideReturn
            }
            Ok(Confirmation::Nack(message)) => {
                if let Some(message) = message {
                    self.note_return(message);
                }
                Answer::Nacked
            }
            Ok(Confirmation::NotRequested) => Answer::Failed(PublishFault::Closed {
                detail: "the channel does not confirm".to_owned(),
            }),
            Err(fault) => Answer::Failed(fault),
        };
    }

    pub(super) fn note_late(&mut self, index: usize, answer: Result<Confirmation, PublishFault>) {
        self.note(index, answer);
        if matches!(self.answers[index], Answer::Acked | Answer::AckedBesideReturn) {
            self.answers[index] = Answer::None;
        }
    }

    fn note_return(&mut self, message: lapin::message::BasicReturnMessage) {
        let key = PublishKey::of_returned(&message.delivery.routing_key, &message.delivery.properties);
        let alone = self.envelopes.len() == 1;
        let key = if alone { self.envelopes[0].key.clone() } else { key };
        self.returned
            .insert(key, (message.reply_code, message.reply_text.as_str().to_owned()));
    }

    pub(super) fn finish(self, fault: Option<PublishFault>) -> (Vec<PublishOutcome>, bool) {
        // The first failure stands for those without an answer: the others mostly echo it.
        let failure = self.answers.iter().find_map(|answer| match answer {
            Answer::Failed(fault) => Some(fault.clone()),
            _ => None,
        });
        let complete = fault.is_none() && failure.is_none();
        let cause = fault.or(failure).unwrap_or(PublishFault::TimedOut);
        let outcomes = self.envelopes.iter().zip(self.answers).map(|(envelope, answer)| {
            if let Some((code, text)) = self.returned.get(&envelope.key) {
                return PublishOutcome::Returned {
                    code: *code,
                    text: text.clone(),
                };
            }
            match answer {
                Answer::Acked => PublishOutcome::Confirmed,
                Answer::AckedBesideReturn if complete => PublishOutcome::Confirmed,
                Answer::Nacked => PublishOutcome::Nacked,
                Answer::AckedBesideReturn | Answer::None => PublishOutcome::Unknown { cause: cause.clone() },
                Answer::Failed(fault) => PublishOutcome::Unknown { cause: fault },
            }
        });
        (outcomes.collect(), complete)
    }
}
