//! Every form of every finding has its sentence and its remedy, with the variables they speak of.

use std::{collections::BTreeMap, fs, path::Path};

use unstuck::{
    domain::{
        evidence::Evidence,
        finding::{About, FORMS, Variant, Verdict, remedy, sentence},
    },
    web::i18n::Lang,
};

use super::support::every_finding;

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
            remedy(about, verdict, &evidence),
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
fn evidence_is_kept_as_json_and_read_back() {
    for (_, _, evidence) in every_finding() {
        let json = serde_json::to_value(&evidence).expect("JSON");
        assert!(json["threshold"]["name"].is_string(), "{json}");
        let back: Evidence = serde_json::from_value(json).expect("the same");
        assert_eq!(back, evidence);
    }
}
