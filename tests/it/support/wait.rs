//! Waiting for something to become true: tests never sleep for a fixed time and hope.

use std::time::{Duration, Instant};

/// Asks `probe` again and again until it gives something, and returns it. Panics after `deadline`, naming `what`; also
/// when a probe itself does not come back.
pub async fn eventually<T>(deadline: Duration, what: &str, mut probe: impl AsyncFnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        let patience = deadline
            .saturating_sub(began.elapsed())
            .max(Duration::from_secs(1));
        match tokio::time::timeout(patience, probe()).await {
            Ok(Some(found)) => return found,
            Ok(None) => {}
            Err(_) => panic!("a look did not come back: {what}"),
        }
        assert!(began.elapsed() < deadline, "not within {deadline:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
