//! Group commit: whatever is waiting goes into one transaction. Never a timer, so a lone request waits for nobody.

use std::{future::Future, sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use crate::store::StoreError;

/// How many requests may wait before a further one waits for a place.
const WAITING: usize = 4096;
/// Who has waited for so long behind a batch that the database did not take is answered like it: waiting for a batch of its own
/// could take as long again.
const SHARED_FATE: Duration = Duration::from_secs(1);

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
    since: Instant,
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
    /// one fails alone. When it fails because the database is not available, so do those that have waited behind it.
    pub fn spawn<Commit, Done>(largest: usize, commit: Commit) -> Self
    where
        Commit: Fn(Arc<Vec<Request>>) -> Done + Send + Sync + 'static,
        Done: Future<Output = Result<Vec<Answer>, StoreError>> + Send,
    {
        let (sender, mut receiver) = mpsc::channel::<Waiting<Request, Answer>>(WAITING);
        tokio::spawn(async move {
            let mut waiting = Vec::with_capacity(largest);
            while !waiting.is_empty() || receiver.recv_many(&mut waiting, largest).await > 0 {
                let (requests, replies): (Vec<_>, Vec<_>) = waiting
                    .drain(..)
                    .map(|Waiting { request, reply, .. }| (request, reply))
                    .unzip();
                let Err(error) = answer(&commit, requests, replies).await else {
                    continue;
                };
                while let Ok(next) = receiver.try_recv() {
                    if next.since.elapsed() < SHARED_FATE {
                        waiting.push(next);
                        break;
                    }
                    tell(next.reply, Err(error.clone()));
                }
            }
        });
        Self { sender }
    }

    /// Hands `request` in and waits for its answer. Dropping the future does not take the request back.
    pub async fn submit(&self, request: Request) -> Result<Answer, SharedError> {
        let (reply, answer) = oneshot::channel();
        let since = Instant::now();
        let waiting = Waiting {
            request,
            reply,
            since,
        };
        if self.sender.send(waiting).await.is_err() {
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

/// Answers all of them. Errors: the database was not available, as they were told.
async fn answer<Request, Answer, Commit, Done>(
    commit: &Commit,
    requests: Vec<Request>,
    replies: Vec<Reply<Answer>>,
) -> Result<(), SharedError>
where
    Commit: Fn(Arc<Vec<Request>>) -> Done,
    Done: Future<Output = Result<Vec<Answer>, StoreError>>,
{
    let requests = Arc::new(requests);
    match commit(requests.clone()).await {
        Ok(answers) => {
            for (reply, answer) in replies.into_iter().zip(answers) {
                tell(reply, Ok(answer));
            }
            Ok(())
        }
        Err(error @ StoreError::Internal(_)) if replies.len() > 1 => {
            tracing::warn!(%error, batch = replies.len(), "a batch failed; trying its requests one by one");
            let Ok(requests) = Arc::try_unwrap(requests) else {
                tell_all(replies, error);
                return Ok(());
            };
            for (request, reply) in requests.into_iter().zip(replies) {
                let alone = commit(Arc::new(vec![request])).await;
                let first = alone.and_then(|answers| answers.into_iter().next().ok_or_else(unanswered));
                tell(reply, first.map_err(SharedError::from));
            }
            Ok(())
        }
        Err(error @ StoreError::Unavailable { .. }) => Err(tell_all(replies, error)),
        Err(error) => {
            tell_all(replies, error);
            Ok(())
        }
    }
}

fn tell_all<Answer>(replies: Vec<Reply<Answer>>, error: StoreError) -> SharedError {
    let error = SharedError::from(error);
    for reply in replies {
        tell(reply, Err(error.clone()));
    }
    error
}

fn unanswered() -> StoreError {
    StoreError::Internal("a batch answered fewer requests than it was given".into())
}

/// A requester that went away no longer wants its answer.
fn tell<Answer>(reply: Reply<Answer>, answer: Result<Answer, SharedError>) {
    drop(reply.send(answer));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Unavailable;

    fn busy() -> StoreError {
        StoreError::Unavailable {
            cause: Unavailable::Busy,
            source: None,
        }
    }

    /// A batcher whose first batch fails after two seconds, as a database that answers nobody; the others are taken.
    fn behind_a_lock() -> Batcher<u32, u32> {
        let first = std::sync::atomic::AtomicBool::new(true);
        Batcher::spawn(10, move |requests: Arc<Vec<u32>>| {
            let is_first = first.swap(false, std::sync::atomic::Ordering::SeqCst);
            async move {
                if is_first {
                    tokio::time::sleep(Duration::from_secs(2)).await;
                    return Err(busy());
                }
                Ok(requests.to_vec())
            }
        })
    }

    #[tokio::test]
    async fn who_waited_long_behind_a_batch_that_nobody_took_is_refused_like_it() {
        let batcher = behind_a_lock();
        let late = async |after_ms| {
            tokio::time::sleep(Duration::from_millis(after_ms)).await;
            batcher.submit(7).await.is_ok()
        };
        let began = Instant::now();
        let taken = tokio::join!(late(0), late(300), late(600), late(1_400), late(1_800));
        assert_eq!(taken, (false, false, false, true, true));
        assert!(began.elapsed() < Duration::from_secs(3), "nobody waited longer");
    }
}
