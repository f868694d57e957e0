//! The thresholds as the page shows and takes them: spans in whole seconds, the rest as numbers.

use std::collections::{BTreeMap, HashMap};

use crate::{
    domain::rules::{
        Thresholds,
        thresholds::{OutOfBounds, Setting, Unit},
    },
    services::thresholds::Wanted,
    store::SetThreshold,
    web::layout::Chrome,
};

/// One threshold's line.
pub(super) struct Row {
    pub(super) setting: Setting,
    pub(super) default: i64,
    pub(super) present: i64,
    lowest: i64,
    highest: i64,
    /// Who set it, and when; `None` at its default.
    pub(super) set: Option<SetThreshold>,
    /// What stands in its field: the present value, or what was wrong about another one.
    pub(super) given: String,
    pub(super) is_wrong: bool,
}

impl Row {
    /// A value as it is read.
    pub(super) fn told(&self, c: &Chrome, value: &i64) -> String {
        told(c, self.setting, *value)
    }

    pub(super) fn lowest(&self) -> i64 {
        shown(self.setting, self.lowest)
    }

    pub(super) fn highest(&self) -> i64 {
        shown(self.setting, self.highest)
    }
}

/// A threshold's value in the reader's words.
pub(super) fn told(c: &Chrome, setting: Setting, value: i64) -> String {
    match setting.unit() {
        Unit::Span => c.l.span(value),
        Unit::Percent => format!("{} %", c.l.number(value)),
        Unit::Readings | Unit::Attempts => c.l.number(value),
    }
}

/// A value as it stands in a field.
pub(super) fn shown(setting: Setting, value: i64) -> i64 {
    match setting.unit() {
        Unit::Span => value / 1_000,
        Unit::Percent | Unit::Readings | Unit::Attempts => value,
    }
}

/// Every threshold; `given` are texts to show instead of the present values.
pub(super) fn rows(
    every_ms: i64,
    mut set: BTreeMap<Setting, SetThreshold>,
    given: &HashMap<String, String>,
) -> Vec<Row> {
    let defaults = Thresholds::new(every_ms);
    let changed = set.iter().map(|(setting, set)| (*setting, set.value)).collect();
    let present = Thresholds::with(every_ms, &changed);
    let row = |setting: &Setting| {
        let (lowest, highest) = setting.bounds(every_ms);
        let value = present.get(*setting);
        let text = given.get(setting.as_str());
        Row {
            setting: *setting,
            default: defaults.get(*setting),
            present: value,
            lowest,
            highest,
            set: set.remove(setting),
            is_wrong: text.is_some_and(|text| read_one(*setting, text, every_ms).is_err()),
            given: text
                .cloned()
                .unwrap_or_else(|| shown(*setting, value).to_string()),
        }
    };
    Setting::ALL.iter().map(row).collect()
}

/// What a form asks for; `Err` when a value can't be read or lies outside its bounds.
pub(super) fn read(form: &HashMap<String, String>, every_ms: i64) -> Result<Wanted, Wrong> {
    let mut wanted = Wanted::default();
    for setting in Setting::ALL.iter().copied() {
        if let Some(text) = form.get(setting.as_str()) {
            wanted.values.insert(setting, read_one(setting, text, every_ms)?);
        }
        if let Some(text) = form.get(&format!("was_{setting}")) {
            wanted.was.insert(setting, number(setting, text)?);
        }
    }
    Ok(wanted)
}

/// A value that is no number, or none that the threshold can have.
pub(super) struct Wrong;

impl From<OutOfBounds> for Wrong {
    fn from(_: OutOfBounds) -> Self {
        Self
    }
}

fn read_one(setting: Setting, text: &str, every_ms: i64) -> Result<i64, Wrong> {
    Ok(setting.check(number(setting, text)?, every_ms)?)
}

fn number(setting: Setting, text: &str) -> Result<i64, Wrong> {
    let number: i64 = text.trim().parse().map_err(|_| Wrong)?;
    match setting.unit() {
        Unit::Span => number.checked_mul(1_000).ok_or(Wrong),
        Unit::Percent | Unit::Readings | Unit::Attempts => Ok(number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_given_in_seconds_and_everything_else_as_it_is() {
        let form = |pairs: &[(&str, &str)]| {
            let pairs = pairs
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            read(&pairs.collect(), 5_000).ok()
        };
        let wanted = form(&[
            ("no_consumers_ms", " 90 "),
            ("was_no_consumers_ms", "60"),
            ("crash_loop", "5"),
        ])
        .expect("fine");
        assert_eq!(wanted.values[&Setting::NoConsumers], 90_000);
        assert_eq!(wanted.was[&Setting::NoConsumers], 60_000);
        assert_eq!(wanted.values[&Setting::CrashLoop], 5);
        for wrong in ["", "x", "1.5", "9", "601", "9223372036854775807"] {
            assert!(form(&[("no_consumers_ms", wrong)]).is_none(), "{wrong}");
        }
    }
}
