//! Waiting for something to become true: tests never sleep for a fixed time and hope.

use std::time::{Duration, Instant};

/// Asks `probe` again and again until it gives something, and returns it. Panics after `deadline`, naming `what`.
pub async fn eventually<T>(deadline: Duration, what: &str, mut probe: impl AsyncFnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = probe().await {
            return found;
        }
        assert!(began.elapsed() < deadline, "not within {deadline:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
