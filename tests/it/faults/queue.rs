//! Queues that somebody purges or deletes under load.

use super::{PAIRS, all_succeed, load, requeue_what_is_lost};
use crate::support::{load::promised_at_last, plant::Plant};

#[tokio::test]
async fn what_a_purge_and_a_deletion_under_load_took_is_shown_and_finishes_once_requeued() {
    for (engine, queue_type) in PAIRS {
        let plant = Plant::new(engine).await.set("QUEUE_TYPE", queue_type);
        let serve = plant.serve().await;
        let queue = plant.queue("purge");
        let outside = plant.outside().await;
        // Slower than the load, so that messages wait.
        let _worker = plant.worker(&queue, 1);
        let load = load((0..4).map(|_| plant.client()).collect(), &queue);
        load.until_more(50).await;
        outside.purge(&queue).await;
        load.until_more(50).await;
        outside.delete_only(&queue).await;
        load.until_more(50).await;
        let ids = promised_at_last(&serve.client, load.stop().await).await;
        let _helper = plant.worker(&queue, 4);
        let requeued = requeue_what_is_lost(&plant, &serve.client, &queue).await;
        eprintln!("{requeued} of {} had to be requeued", ids.len());
        assert!(requeued > 0, "the purge and the deletion took something");
        all_succeed(&plant, &ids).await;
        plant.close().await;
    }
}
