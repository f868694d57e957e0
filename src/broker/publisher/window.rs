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

#[cfg(test)]
mod tests {
    use std::collections::{HashSet, VecDeque};

    use lapin::message::{BasicReturnMessage, Delivery};
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::broker::message::TaskMessage;

    fn message(number: usize) -> TaskMessage {
        TaskMessage {
            task_id: Uuid::from_u128(number as u128),
            dispatch: 1,
            queue: format!("queue-{}", number % 3),
            kind: "test".to_owned(),
            priority: 0,
            traceparent: None,
        }
    }

    fn returned(message: &TaskMessage) -> BasicReturnMessage {
        let queue = message.queue.as_str().into();
        let mut delivery = Delivery::mock(0, "".into(), queue, false, message.body().into_bytes());
        delivery.properties = message.properties().unwrap();
        BasicReturnMessage {
            delivery,
            reply_code: 312,
            reply_text: "NO_ROUTE".into(),
        }
    }

    #[derive(Debug, Clone)]
    enum Step {
        /// The broker returns a message; its confirm follows later.
        Return(usize),
        Confirm(usize),
    }

    /// What the broker could send: confirms in `order`, and the return of each unroutable message somewhere before its
    /// confirm: `early[number]` says how far.
    fn script(bad: &HashSet<usize>, order: &[usize], early: &[f64]) -> Vec<Step> {
        let mut steps: Vec<(f64, Step)> = Vec::new();
        for (position, number) in (1u32..).zip(order) {
            let at = f64::from(position);
            steps.push((at, Step::Confirm(*number)));
            if bad.contains(number) {
                steps.push((at * early[*number], Step::Return(*number)));
            }
        }
        steps.sort_by(|(one, _), (other, _)| one.total_cmp(other));
        steps.into_iter().map(|(_, step)| step).collect()
    }

    proptest! {
        /// lapin as it is: a return goes out with whichever confirm is resolved next.
        #[test]
        fn no_returned_message_counts_as_confirmed_wherever_the_answers_stop(
            order in Just((0..40).collect::<Vec<usize>>()).prop_shuffle(),
            bad in proptest::collection::hash_set(0usize..40, 0..20),
            early in proptest::collection::vec(0.0f64..0.999, 40),
            stop in 0usize..80,
        ) {
            let messages: Vec<TaskMessage> = (0..40).map(message).collect();
            let envelopes: Vec<Envelope> = messages.iter().map(|one| Envelope::of(one).unwrap()).collect();
            let envelopes: Vec<&Envelope> = envelopes.iter().collect();
            let steps = script(&bad, &order, &early);
            let whole = stop >= steps.len();
            let mut window = Window::new(&envelopes);
            let mut waiting = VecDeque::new();
            for step in steps.iter().take(stop) {
                match step {
                    Step::Return(number) => waiting.push_back(returned(&messages[*number])),
                    Step::Confirm(number) => window.note(*number, Ok(Confirmation::Ack(waiting.pop_front()))),
                }
            }
            let (outcomes, complete) = window.finish((!whole).then_some(PublishFault::TimedOut));
            prop_assert_eq!(complete, whole);
            for (number, outcome) in outcomes.iter().enumerate() {
                match outcome {
                    PublishOutcome::Confirmed => prop_assert!(!bad.contains(&number), "{number} was returned"),
                    PublishOutcome::Returned { .. } => prop_assert!(bad.contains(&number), "{number} was not returned"),
                    PublishOutcome::Unknown { .. } => prop_assert!(!whole),
                    PublishOutcome::Nacked | PublishOutcome::NotSent { .. } => prop_assert!(false, "{outcome:?}"),
                }
            }
        }
    }

    #[test]
    fn an_answer_seen_after_the_end_names_returns_and_proves_no_confirm() {
        let messages: Vec<TaskMessage> = (0..4).map(message).collect();
        let envelopes: Vec<Envelope> = messages.iter().map(|one| Envelope::of(one).unwrap()).collect();
        let envelopes: Vec<&Envelope> = envelopes.iter().collect();
        let mut window = Window::new(&envelopes);
        window.note(0, Ok(Confirmation::Ack(None)));
        window.note_late(1, Ok(Confirmation::Ack(Some(returned(&messages[2])))));
        window.note_late(3, Ok(Confirmation::Ack(None)));
        let (outcomes, complete) = window.finish(Some(PublishFault::TimedOut));
        assert!(!complete);
        assert_eq!(outcomes[0], PublishOutcome::Confirmed);
        for unproven in [&outcomes[1], &outcomes[3]] {
            assert!(
                matches!(
                    unproven,
                    PublishOutcome::Unknown {
                        cause: PublishFault::TimedOut
                    }
                ),
                "{unproven:?}"
            );
        }
        assert!(matches!(outcomes[2], PublishOutcome::Returned { code: 312, .. }));
    }
}
