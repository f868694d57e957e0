use super::*;

fn totals(queue_type: &str, ready: Option<u64>, unacknowledged: Option<u64>) -> QueueTotals {
    QueueTotals {
        queue_type: Some(queue_type.to_owned()),
        state: None,
        messages_ready: ready,
        messages_unacknowledged: unacknowledged,
    }
}

fn kept(detail: QueueDetail) -> Kept {
    let details = HashMap::from([("q".to_owned(), Some(Arc::new(detail)))]);
    Kept {
        details: Some((ReadAt::now(), details)),
        ..Kept::default()
    }
}

#[test]
fn each_number_comes_from_the_youngest_source_that_has_it() {
    let at = ReadAt::now();
    let present = Probed::Present {
        messages_ready: 7,
        consumers: 2,
    };
    let statistics = QueueDetail {
        messages_ready: Some(1),
        messages_unacknowledged: Some(1),
        consumers: Some(1),
        ..QueueDetail::default()
    };
    let kept = kept(statistics);
    let all = combine(
        at,
        "q",
        Some(&present),
        Some(&totals("quorum", Some(5), Some(3))),
        &kept,
    );
    assert_eq!(
        (all.ready, all.unacknowledged, all.consumers),
        (Some(7), Some(3), Some(2))
    );
    assert_eq!(all.together, Some((5, 3)));
    assert_eq!(
        all.ready_from.map(|origin| (origin.source, origin.lag)),
        Some((Source::Probe, LAG_LIVE))
    );
    assert_eq!(
        all.unacknowledged_from.map(|origin| (origin.source, origin.lag)),
        Some((Source::Totals, LAG_QUORUM_TOTALS))
    );

    let classic = combine(
        at,
        "q",
        Some(&present),
        Some(&totals("classic", Some(5), Some(3))),
        &kept,
    );
    assert_eq!(
        classic.unacknowledged_from.map(|origin| origin.lag),
        Some(LAG_LIVE)
    );

    let unavailable = Probed::Unavailable {
        detail: "down".to_owned(),
    };
    let without_probe = combine(
        at,
        "q",
        Some(&unavailable),
        Some(&totals("quorum", Some(5), None)),
        &kept,
    );
    assert_eq!(without_probe.state, QueueState::Present);
    assert_eq!(
        (
            without_probe.ready,
            without_probe.unacknowledged,
            without_probe.consumers
        ),
        (Some(5), Some(1), Some(1))
    );
    assert_eq!(
        without_probe
            .unacknowledged_from
            .map(|origin| (origin.source, origin.lag)),
        Some((Source::Details, LAG_STATISTICS))
    );
    assert_eq!(without_probe.together, None);
}

#[test]
fn nothing_and_nobody_on_a_quorum_queue_is_believed_only_with_the_totals() {
    let at = ReadAt::now();
    let empty = Probed::Present {
        messages_ready: 0,
        consumers: 0,
    };
    let read = |totals: Option<&QueueTotals>| combine(at, "q", Some(&empty), totals, &Kept::default());
    let agreed = read(Some(&totals("quorum", Some(0), Some(2))));
    assert_eq!(
        (agreed.ready, agreed.consumers, agreed.unacknowledged),
        (Some(0), Some(0), Some(2))
    );
    let hanging = read(Some(&totals("quorum", Some(9), Some(2))));
    assert_eq!((hanging.ready, hanging.consumers), (Some(9), None));
    assert_eq!(
        hanging.ready_from.map(|origin| origin.source),
        Some(Source::Totals)
    );
    let young = read(Some(&totals("quorum", None, None)));
    assert_eq!(
        (young.state, young.ready, young.consumers),
        (QueueState::Present, None, None)
    );
    let classic = read(Some(&totals("classic", Some(9), Some(0))));
    assert_eq!((classic.ready, classic.consumers), (Some(0), Some(0)));
}

#[test]
fn a_silent_broker_gives_unknown_and_no_number() {
    let unavailable = Probed::Unavailable {
        detail: "down".to_owned(),
    };
    let reading = combine(ReadAt::now(), "q", Some(&unavailable), None, &Kept::default());
    assert_eq!(reading, QueueReading::default());
    assert_eq!(reading.state, QueueState::Unknown);
}

#[test]
fn a_missing_queue_has_no_numbers_left_from_before() {
    let old = QueueDetail {
        messages_ready: Some(9),
        ..QueueDetail::default()
    };
    let reading = combine(ReadAt::now(), "q", Some(&Probed::Missing), None, &kept(old));
    assert_eq!(
        (reading.state, reading.ready, reading.consumers),
        (QueueState::Missing, None, None)
    );
}

#[test]
fn queues_that_share_a_cause_are_one_problem() {
    let down = || Probed::Unavailable {
        detail: "no connection".to_owned(),
    };
    let probed = HashMap::from([("a".to_owned(), down()), ("b".to_owned(), down())]);
    assert_eq!(
        probe_problem(&probed).map(|problem| problem.detail),
        Some("2 queues: no connection".to_owned())
    );
    assert_eq!(
        probe_problem(&HashMap::from([("a".to_owned(), Probed::Missing)])),
        None
    );
}
