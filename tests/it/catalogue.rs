//! The message catalogues: English and Chinese have the same texts with the same variables, every text that the code
//! asks for exists, and none is left over.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use unstuck::domain::lint::{Grade, What};
use unstuck::domain::{
    access::Role,
    finding::{About, CloseReason, Confidence, Verdict, phrase_keys},
    ledger::Health,
    policy::PolicyAction,
    report::Fault,
    rules::thresholds::{Setting, Unit},
    snooze::Span,
    task::{AttemptOutcome, State},
    ticket::TicketStatus,
    tracer::Obstacle,
    transition::RefusalCode,
};
use unstuck::services::backtest::{Sight, Way};
use unstuck::store::webhooks::WebhookEvent;
use unstuck::web::{
    error::Problem,
    links::{LinkCause, LinkHealth, LinkName},
};

/// A text's variables, by its key.
type Catalogue = BTreeMap<String, BTreeSet<String>>;

/// The families of texts that are asked for by a word of the domain: `of("state", …)`. Every word needs its text.
fn families() -> Vec<(&'static str, Vec<&'static str>)> {
    fn words<T: AsRef<str>>(all: &'static [T]) -> Vec<&'static str> {
        all.iter().map(AsRef::as_ref).collect()
    }
    let mut outcomes = words(AttemptOutcome::ALL);
    outcomes.push("running");
    vec![
        ("doctor", words(What::ALL)),
        ("grade", words(Grade::ALL)),
        (
            "overview-status",
            vec!["blind", "fine", "nothing", "snoozed", "trouble", "unlinked"],
        ),
        (
            "link-means",
            vec!["consumer", "database", "management", "outbox", "publisher"],
        ),
        ("scope", vec!["broker", "queue", "worker"]),
        (
            "fact",
            vec![
                "ack_left",
                "ack_timeout",
                "attempt",
                "beat_at",
                "blind_since",
                "broker",
                "cancel_requested_at",
                "clear_at",
                "consumers",
                "dead_letters",
                "detail",
                "died_at",
                "dispatch",
                "due_at",
                "ended",
                "ended_per_hour",
                "expected_wait",
                "factor",
                "head_at",
                "kind",
                "last_seen_at",
                "lease_expires_at",
                "longest",
                "lost_attempts",
                "max_attempts",
                "messages_ready",
                "messages_unacknowledged",
                "missing",
                "moved_on",
                "next_attempt",
                "next_started_at",
                "next_worker",
                "oldest_wait",
                "overtaken_by",
                "p99",
                "prefetch",
                "published_at",
                "queue",
                "queued",
                "readings",
                "redelivered",
                "reported_at",
                "resent_at",
                "running",
                "samples",
                "second_tracer_delivered_at",
                "second_tracer_id",
                "second_tracer_sent_at",
                "span",
                "stalled",
                "started_at",
                "surplus",
                "tracer_delivered_at",
                "tracer_id",
                "tracer_sent_at",
                "tries",
                "worker",
            ],
        ),
        (
            "threshold",
            vec![
                "ack_deadline_percent",
                "alarm_readings",
                "backlog_target_ms",
                "blind_ms",
                "cancel_grace_ms",
                "crash_loop",
                "dead_margin_ms",
                "head_margin_ms",
                "lease_grace_ms",
                "lost_stable_ms",
                "mismatch_stable_ms",
                "missing_stable_ms",
                "next_attempt",
                "no_consumers_ms",
                "over_stable_ms",
                "overtaken_margin_ms",
                "publish_grace_ms",
                "stuck_samples",
                "timeout_ms",
                "traced_margin_ms",
                "unusual_ms",
            ],
        ),
        (
            "source",
            vec![
                "alarms_check",
                "database",
                "passive_declare",
                "publish_link",
                "statistics",
                "totals_list",
            ],
        ),
        ("obstacle", words(Obstacle::ALL)),
        ("confidence-means", vec!["likely", "proven"]),
        ("measure", vec!["run", "wait"]),
        ("delivery-budget", vec!["undescribed", "untold"]),
        (
            "delivery-deadline",
            vec!["of_node", "old_broker", "undescribed", "untold"],
        ),
        ("range", vec!["1h", "24h", "7d"]),
        ("stalls-view", vec!["closed", "incidents", "open", "snoozed"]),
        ("consequence", words(Verdict::ALL)),
        ("finding-back", vec!["over", "worse"]),
        ("snooze-span", words(Span::ALL)),
        ("rule-about", words(About::ALL)),
        ("setting", words(Setting::ALL)),
        ("setting-means", words(Setting::ALL)),
        ("unit-of", words(Unit::ALL)),
        ("backtest-sight", words(Sight::ALL)),
        ("backtest-way", words(Way::ALL)),
        ("actor", vec!["system", "token", "user", "worker"]),
        (
            "audit-action",
            vec![
                "any",
                "cancel",
                "false_alarm",
                "false_alarm_withdraw",
                "login",
                "logout",
                "policy_reset",
                "policy_set",
                "policy_trip",
                "requeue",
                "rerun",
                "resend",
                "retry",
                "snooze",
                "snooze_end",
                "start",
                "thresholds_set",
                "token_create",
                "token_revoke",
                "trace",
                "user_add",
                "user_disable",
                "user_reset_password",
            ],
        ),
        (
            "audit-target",
            vec![
                "id",
                "incident",
                "queue",
                "stall",
                "task",
                "thresholds",
                "ticket",
                "token",
                "user",
            ],
        ),
        ("policy-action", words(PolicyAction::ALL)),
        ("policy-does", words(PolicyAction::ALL)),
        (
            "policy-number",
            vec!["breaker_percent", "breaker_tasks", "per_minute"],
        ),
        ("state", words(State::ALL)),
        ("outcome", outcomes),
        ("role", words(Role::ALL)),
        ("link", words(LinkName::ALL)),
        ("link-health", words(LinkHealth::ALL)),
        ("link-cause", words(LinkCause::ALL)),
        ("error-title", words(Problem::ALL)),
        ("error-text", words(Problem::ALL)),
        ("error-next", words(Problem::ALL)),
        ("health", words(Health::ALL)),
        ("confidence", words(Confidence::ALL)),
        ("verdict", words(Verdict::ALL)),
        ("closed", words(CloseReason::ALL)),
        ("ticket-status", words(TicketStatus::ALL)),
        ("follow-now", words(TicketStatus::ALL)),
        ("ticket-tab", vec!["todo", "waiting", "resolved", "closed", "all"]),
        (
            "tickets-none",
            vec!["todo", "waiting", "resolved", "closed", "all"],
        ),
        ("fault", words(Fault::ALL)),
        ("delivery", vec!["waiting", "retrying", "delivered", "given-up"]),
        (
            "webhook-event",
            WebhookEvent::ALL.iter().map(|event| event.word()).collect(),
        ),
        (
            "nav",
            vec![
                "overview", "stalls", "tasks", "queues", "tickets", "rules", "audit",
            ],
        ),
        ("nav-count", vec!["stalls", "tickets"]),
        ("reason", vec!["required", "optional"]),
        (
            "action",
            vec!["retry", "requeue", "requeue-force", "cancel", "rerun"],
        ),
        ("bulk-will", vec!["retry", "requeue", "cancel"]),
        ("outcome-title", vec!["retry", "requeue", "cancel", "rerun"]),
        ("refused", words(RefusalCode::ALL)),
        (
            "task-tab",
            vec![
                "all",
                "unfinished",
                "queued",
                "running",
                "failed",
                "succeeded",
                "cancelled",
            ],
        ),
        ("task-since", vec!["waiting", "due", "running", "ended"]),
        (
            "task-will",
            vec![
                "retry",
                "requeue-queued",
                "requeue-lost",
                "requeue-alive",
                "cancel-waiting",
                "cancel-running",
                "cancel-lost",
                "rerun",
            ],
        ),
        (
            "event",
            vec![
                "created",
                "started",
                "claimed",
                "taken_over",
                "attempt_lost",
                "republished",
                "resent",
                "retry_scheduled",
                "released",
                "requeued",
                "retried",
                "rerun",
                "cancel_requested",
                "cancelled",
                "succeeded",
                "failed",
            ],
        ),
        ("event-later", vec!["started", "retry_scheduled", "requeued"]),
        ("event-late", vec!["succeeded", "failed", "released"]),
        ("time-ago", vec!["second", "minute", "hour", "day"]),
        ("time-in", vec!["second", "minute", "hour", "day"]),
    ]
}

fn files(folder: &Path, ending: &str) -> Vec<String> {
    let mut texts = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            texts.extend(files(&path, ending));
        } else if path.to_string_lossy().ends_with(ending) {
            texts.push(fs::read_to_string(&path).expect("a text"));
        }
    }
    texts
}

fn root(folder: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)
}

/// Reads `key = text` lines and their indented continuations.
fn catalogue(language: &str) -> Catalogue {
    let mut catalogue = Catalogue::new();
    for text in files(&root("locales").join(language), ".ftl") {
        let mut key = String::new();
        for line in text.lines() {
            if line.starts_with('#') || line.is_empty() {
                continue;
            }
            let mut value = line;
            if !line.starts_with([' ', '}']) {
                let (name, rest) = line
                    .split_once('=')
                    .unwrap_or_else(|| panic!("no text in: {line}"));
                key = name.trim().to_owned();
                value = rest;
                assert!(
                    catalogue.insert(key.clone(), BTreeSet::new()).is_none(),
                    "{key} is in {language} twice"
                );
            }
            let variables = value
                .split('$')
                .skip(1)
                .map(|after| after.split(|c: char| !c.is_alphanumeric() && c != '_').next());
            let known = catalogue.get_mut(&key).expect("a key before its continuation");
            known.extend(variables.flatten().map(str::to_owned));
        }
    }
    catalogue
}

/// Everything written in double quotes in templates and code that could be a key.
fn literals() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for text in files(&root("templates"), ".html")
        .into_iter()
        .chain(files(&root("src"), ".rs"))
    {
        for part in text.split('"') {
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
            if part.starts_with(|c: char| c.is_ascii_lowercase()) && part.chars().all(plain) {
                found.insert(part.to_owned());
            }
        }
    }
    found
}

/// What follows `opening` up to the next quote, wherever it is in templates and code.
fn asked_for(opening: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for text in files(&root("templates"), ".html")
        .into_iter()
        .chain(files(&root("src/web"), ".rs"))
    {
        // Examples in comments and test modules ask for keys of their own making.
        let code: String = text
            .split("#[cfg(test)]")
            .next()
            .unwrap_or_default()
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
            .flat_map(|line| [line, "\n"])
            .collect();
        for after in code.split(opening).skip(1) {
            if let Some((key, _)) = after.split_once('"') {
                found.insert(key.to_owned());
            }
        }
    }
    found
}

#[test]
fn both_catalogues_have_the_same_texts_with_the_same_variables() {
    let (en, zh) = (catalogue("en"), catalogue("zh-CN"));
    for (key, variables) in &en {
        match zh.get(key) {
            None => panic!("{key} is missing in zh-CN"),
            Some(theirs) => assert_eq!(variables, theirs, "the variables of {key} differ"),
        }
    }
    for key in zh.keys() {
        assert!(en.contains_key(key), "{key} is missing in en");
    }
}

#[test]
fn every_text_that_is_asked_for_exists() {
    let en = catalogue("en");
    let openings = [
        ".t(\"",
        ".n(\"",
        "explain(\"",
        "Flash::done(\"",
        "Flash::refused(\"",
    ];
    for key in openings.into_iter().flat_map(asked_for) {
        assert!(en.contains_key(&key), "{key} is asked for and in no catalogue");
    }
    for (family, words) in families() {
        for word in words {
            let key = format!("{family}-{word}");
            assert!(
                en.contains_key(&key),
                "{key} is a word's text and in no catalogue"
            );
        }
    }
    for key in phrase_keys() {
        assert!(
            en.contains_key(&key),
            "{key} is a finding's text and in no catalogue"
        );
    }
    let known: BTreeSet<String> = families()
        .into_iter()
        .map(|(family, _)| family.to_owned())
        .collect();
    for family in asked_for("of(\"") {
        assert!(known.contains(&family), "the family {family} is not in this test");
    }
}

#[test]
fn no_text_is_left_over() {
    let literals = literals();
    let words: BTreeSet<String> = families()
        .into_iter()
        .flat_map(|(family, words)| words.into_iter().map(move |word| format!("{family}-{word}")))
        .chain(phrase_keys())
        .collect();
    for key in catalogue("en").keys() {
        assert!(
            literals.contains(key) || words.contains(key),
            "nobody asks for {key}"
        );
    }
}

#[test]
fn every_icon_that_a_template_shows_is_in_the_list() {
    let list = fs::read_to_string(root("templates/components/icons.txt")).expect("the list");
    let listed: BTreeSet<&str> = list.split_whitespace().collect();
    for opening in ["icon(c, \"", "notice(c, \"mute\", \"", "empty(c, \""] {
        for name in asked_for(opening) {
            assert!(listed.contains(name.as_str()), "{name} is not in icons.txt");
        }
    }
}
