//! Every form of every finding has its sentence and its remedy, with the variables they speak of.

use std::{collections::BTreeMap, fs, path::Path};

use unstuck::{
    domain::{
        evidence::Evidence,
        finding::{About, FORMS, Freshness, Variant, Verdict, remedy, sentence},
    },
    web::i18n::Lang,
};

use super::every_finding::every_finding;

/// The lines of the English catalogue by key.
fn lines() -> BTreeMap<String, String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("locales/en/verdicts.ftl");
    let text = fs::read_to_string(path).expect("the catalogue");
    let pairs = text.lines().filter_map(|line| line.split_once(" = "));
    pairs
        .map(|(key, text)| (key.to_owned(), text.to_owned()))
        .collect()
}

#[test]
fn the_rules_give_every_form_and_no_other() {
    let mut given: Vec<(About, Verdict, Variant)> = every_finding()
        .into_iter()
        .map(|(about, verdict, evidence)| (about, verdict, evidence.variant))
        .collect();
    let mut listed: Vec<(About, Verdict, Variant)> = FORMS
        .iter()
        .flat_map(|(about, verdict, variants)| variants.iter().map(|variant| (*about, *verdict, *variant)))
        .collect();
    given.sort();
    given.dedup();
    listed.sort();
    assert_eq!(given, listed);
}

#[test]
fn a_finding_has_every_variable_its_sentence_speaks_of() {
    let lines = lines();
    for (about, verdict, evidence) in every_finding() {
        for phrase in [
            sentence(about, verdict, &evidence),
            remedy(about, verdict, &evidence, Freshness::Fresh),
        ] {
            let line = &lines[&phrase.key];
            for variable in line
                .split("{ $")
                .skip(1)
                .filter_map(|rest| rest.split(' ').next())
            {
                assert!(
                    phrase.args.iter().any(|(name, _)| *name == variable),
                    "{} speaks of {variable}, which the rule does not give",
                    phrase.key
                );
            }
            for lang in Lang::ALL {
                let text = lang.phrase(&phrase).to_string();
                assert!(!text.contains('$') && !text.contains(&phrase.key), "{text}");
            }
        }
    }
}

#[test]
fn old_numbers_suggest_nothing_that_takes_a_task_a_message_or_a_worker_from_somebody() {
    const TAKING: [&str; 4] = ["equeue", "estart", "Declare the queue again", "delete"];
    let kept = [
        // What the database knows by itself, what says not to, and what brings the numbers back.
        Verdict::Unpublished,
        Verdict::CancelIgnored,
        Verdict::NoConsumers,
        Verdict::Unknown,
    ];
    let mut silenced = Vec::new();
    for (about, verdict, evidence) in every_finding() {
        let fresh = Lang::En
            .phrase(&remedy(about, verdict, &evidence, Freshness::Fresh))
            .to_string();
        let old = remedy(about, verdict, &evidence, Freshness::Old);
        if old.key == "remedy-old-numbers" {
            silenced.push(verdict);
        } else if TAKING.iter().any(|word| fresh.contains(word)) {
            assert!(kept.contains(&verdict), "{verdict}: {fresh}");
        }
    }
    for verdict in [
        Verdict::MessageLost,
        Verdict::LedgerShort,
        Verdict::WorkerSilent,
        Verdict::ConsumersStuck,
    ] {
        assert!(silenced.contains(&verdict), "{verdict}");
    }
}

#[test]
fn evidence_is_kept_as_json_and_read_back() {
    for (_, _, evidence) in every_finding() {
        let json = serde_json::to_value(&evidence).expect("JSON");
        assert!(json["threshold"]["name"].is_string(), "{json}");
        let back: Evidence = serde_json::from_value(json).expect("the same");
        assert_eq!(back, evidence);
    }
}
