//! Group commit: whatever is waiting goes into one transaction. Never a timer, so a lone request waits for nobody.

use std::{future::Future, sync::Arc};

use tokio::sync::{mpsc, oneshot};

use crate::store::StoreError;

/// How many requests may wait before a further one waits for a place.
const WAITING: usize = 4096;

/// An error that every request of a failed batch shares.
#[derive(Clone, Debug, thiserror::Error)]
#[error(transparent)]
pub struct SharedError(Arc<StoreError>);

impl SharedError {
    pub fn store(&self) -> &StoreError {
        &self.0
    }
}

impl From<StoreError> for SharedError {
    fn from(error: StoreError) -> Self {
        Self(Arc::new(error))
    }
}

/// A queue of requests in front of one function that answers many at once. Cheap to clone.
pub struct Batcher<Request, Answer> {
    sender: mpsc::Sender<Waiting<Request, Answer>>,
}

impl<Request, Answer> Clone for Batcher<Request, Answer> {
    fn clone(&self) -> Self {
        Self {
            sender: self.sender.clone(),
        }
    }
}

type Reply<Answer> = oneshot::Sender<Result<Answer, SharedError>>;

struct Waiting<Request, Answer> {
    request: Request,
    reply: Reply<Answer>,
}

impl<Request, Answer> Batcher<Request, Answer>
where
    Request: Send + Sync + 'static,
    Answer: Send + 'static,
{
    /// Starts the batcher on the current runtime. `commit` gets up to `largest` requests, in the order of their
    /// arrival, and answers each in the same order. It ends when the last clone is dropped.
    ///
    /// When a batch fails for a reason that may lie in one request, its requests are tried one by one, so that a bad
    /// one fails alone.
    pub fn spawn<Commit, Done>(largest: usize, commit: Commit) -> Self
    where
        Commit: Fn(Arc<Vec<Request>>) -> Done + Send + Sync + 'static,
        Done: Future<Output = Result<Vec<Answer>, StoreError>> + Send,
    {
        let (sender, mut receiver) = mpsc::channel::<Waiting<Request, Answer>>(WAITING);
        tokio::spawn(async move {
            let mut waiting = Vec::with_capacity(largest);
            while receiver.recv_many(&mut waiting, largest).await > 0 {
                let (requests, replies): (Vec<_>, Vec<_>) = waiting
                    .drain(..)
                    .map(|Waiting { request, reply }| (request, reply))
                    .unzip();
                answer(&commit, requests, replies).await;
            }
        });
        Self { sender }
    }

    /// Hands `request` in and waits for its answer. Dropping the future does not take the request back.
    pub async fn submit(&self, request: Request) -> Result<Answer, SharedError> {
        let (reply, answer) = oneshot::channel();
        if self.sender.send(Waiting { request, reply }).await.is_err() {
            return Err(stopped());
        }
        answer.await.unwrap_or_else(|_| Err(stopped()))
    }
}

fn stopped() -> SharedError {
    StoreError::Unavailable {
        cause: crate::store::Unavailable::Unreachable,
        source: None,
    }
    .into()
}

async fn answer<Request, Answer, Commit, Done>(
    commit: &Commit,
    requests: Vec<Request>,
    replies: Vec<Reply<Answer>>,
) where
    Commit: Fn(Arc<Vec<Request>>) -> Done,
    Done: Future<Output = Result<Vec<Answer>, StoreError>>,
{
    let requests = Arc::new(requests);
    match commit(requests.clone()).await {
        Ok(answers) => {
            for (reply, answer) in replies.into_iter().zip(answers) {
                tell(reply, Ok(answer));
            }
        }
        Err(error @ StoreError::Internal(_)) if replies.len() > 1 => {
            tracing::warn!(%error, batch = replies.len(), "a batch failed; trying its requests one by one");
            let Ok(requests) = Arc::try_unwrap(requests) else {
                let error = SharedError::from(error);
                replies
                    .into_iter()
                    .for_each(|reply| tell(reply, Err(error.clone())));
                return;
            };
            for (request, reply) in requests.into_iter().zip(replies) {
                let alone = commit(Arc::new(vec![request])).await;
                let first = alone.and_then(|answers| answers.into_iter().next().ok_or_else(unanswered));
                tell(reply, first.map_err(SharedError::from));
            }
        }
        Err(error) => {
            let error = SharedError::from(error);
            replies
                .into_iter()
                .for_each(|reply| tell(reply, Err(error.clone())));
        }
    }
}

fn unanswered() -> StoreError {
    StoreError::Internal("a batch answered fewer requests than it was given".into())
}

/// A requester that went away no longer wants its answer.
fn tell<Answer>(reply: Reply<Answer>, answer: Result<Answer, SharedError>) {
    drop(reply.send(answer));
}
