//! The reader's language: which one, its texts, and how it writes numbers, spans and times.
//!
//! Texts are in `locales/<language>/*.ftl`. A key is written out as `t("key")`; a text that depends on a word of the
//! domain is `of("state", "queued")`, which is the key `state-queued`. A test reads both uses and holds the catalogues
//! to them.

use std::{borrow::Cow, collections::HashMap, fmt, sync::LazyLock};

use fluent_templates::{
    LanguageIdentifier,
    fluent_bundle::{FluentValue, types::FluentNumber},
};

use crate::domain::{evidence, finding::Phrase, time::Time};

fluent_templates::static_loader! {
    static LOCALES = {
        locales: "./locales",
        fallback_language: "en",
        // Isolation marks are invisible characters that would end up in copied ids.
        customise: |bundle| {
            bundle.set_use_isolating(false);
            bundle.set_formatter(Some(|value, _| match value {
                FluentValue::Number(number) => Some(grouped(number)),
                _ => None,
            }));
        },
    };
}

/// A language that the site speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lang {
    En,
    ZhCn,
}

impl Lang {
    pub const ALL: [Lang; 2] = [Lang::En, Lang::ZhCn];

    /// Its BCP 47 tag, as in `<html lang>` and the setting's cookie.
    pub const fn tag(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::ZhCn => "zh-CN",
        }
    }

    /// Its own name for itself.
    pub const fn name(self) -> &'static str {
        match self {
            Self::En => "English",
            Self::ZhCn => "简体中文",
        }
    }

    fn id(self) -> &'static LanguageIdentifier {
        static IDS: LazyLock<[LanguageIdentifier; 2]> =
            LazyLock::new(|| Lang::ALL.map(|lang| lang.tag().parse().expect("our own tags are well formed")));
        match self {
            Self::En => &IDS[0],
            Self::ZhCn => &IDS[1],
        }
    }

    /// The language of `tag`, whatever its region; `None` for one that the site does not speak.
    pub fn from_tag(tag: &str) -> Option<Self> {
        let primary = tag.split(['-', '_']).next()?.trim();
        if primary.eq_ignore_ascii_case("en") {
            Some(Self::En)
        } else if primary.eq_ignore_ascii_case("zh") {
            Some(Self::ZhCn)
        } else {
            None
        }
    }

    /// The best of an `Accept-Language` header; `None` when it asks for none of ours. Of equal weights the first wins.
    pub fn accepted(header: &str) -> Option<Self> {
        let mut best: Option<(f32, Self)> = None;
        for part in header.split(',').take(32) {
            let (tag, parameter) = part.split_once(';').unwrap_or((part, ""));
            let weight = match parameter.trim().strip_prefix("q=") {
                Some(q) => q.trim().parse().unwrap_or(0.0),
                None => 1.0,
            };
            if let Some(lang) = Self::from_tag(tag.trim())
                && weight > 0.0
                && best.is_none_or(|(so_far, _)| weight > so_far)
            {
                best = Some((weight, lang));
            }
        }
        best.map(|(_, lang)| lang)
    }

    /// The text of `key`. Give its variables with `Text::a`.
    pub fn t<'a>(self, key: &'a str) -> Text<'a> {
        Text {
            lang: self,
            key: Cow::Borrowed(key),
            args: HashMap::new(),
        }
    }

    /// The text of a word of the domain: the key `<family>-<word>`.
    pub fn of(self, family: &str, word: impl AsRef<str>) -> Text<'static> {
        Text {
            lang: self,
            key: Cow::Owned(format!("{family}-{}", word.as_ref())),
            args: HashMap::new(),
        }
    }

    /// The text of a finding's sentence or remedy, its numbers and spans written in the reader's way.
    pub fn phrase(self, phrase: &Phrase) -> Text<'static> {
        let text = Text {
            lang: self,
            key: Cow::Owned(phrase.key.clone()),
            args: HashMap::new(),
        };
        phrase.args.iter().fold(text, |text, (name, arg)| match arg {
            evidence::Arg::Number(number) => text.a(*name, *number),
            evidence::Arg::Text(string) => text.a(*name, string),
            evidence::Arg::Span(ms) => text.a(*name, self.span(*ms)),
        })
    }

    /// A whole number with its thousands grouped: `12,345`.
    pub fn number(self, number: impl Whole) -> String {
        group(&number.whole().to_string())
    }

    /// A number with as many decimals as asked for, its thousands grouped: `1,234.5`.
    pub fn decimal(self, number: impl Given<f64>, decimals: usize) -> String {
        group(&format!("{:.decimals$}", number.given()))
    }

    /// A span in its two largest units: `4.2 s`, `3 min 12 s`, `2 h 5 min`, `3 d 4 h`.
    pub fn span(self, ms: impl Given<i64>) -> String {
        let ms = ms.given().max(0);
        let seconds = ms / 1000;
        let unit = |key: &str, n: String| self.t(key).a("n", n).to_string();
        let pair = |big: &str, n: i64, small: &str, m: i64| {
            let first = unit(big, self.number(n));
            if m == 0 {
                first
            } else {
                format!("{first} {}", unit(small, m.to_string()))
            }
        };
        match seconds {
            0 if ms < 1000 => unit("unit-ms", ms.to_string()),
            0..10 => {
                let text = format!("{:.1}", (ms as f64 / 100.0).floor() / 10.0);
                unit("unit-s", text.trim_end_matches(".0").to_owned())
            }
            10..60 => unit("unit-s", seconds.to_string()),
            60..3600 => pair("unit-min", seconds / 60, "unit-s", seconds % 60),
            3600..86_400 => pair("unit-h", seconds / 3600, "unit-min", seconds / 60 % 60),
            _ => pair("unit-d", seconds / 86_400, "unit-h", seconds / 3600 % 24),
        }
    }

    /// How far `at` is from `now`, in one unit: `3m ago`, `in 2h`. The script keeps it true in the same form.
    pub fn relative(self, at: impl Given<Time>, now: impl Given<Time>) -> String {
        let (at, now) = (at.given(), now.given());
        let (key, seconds) = if at.ms() > now.ms() {
            ("time-in", at.ms_since(now) / 1000)
        } else {
            ("time-ago", now.ms_since(at) / 1000)
        };
        let (unit, n) = match seconds {
            0..60 => ("second", seconds),
            60..3600 => ("minute", seconds / 60),
            3600..86_400 => ("hour", seconds / 3600),
            _ => ("day", seconds / 86_400),
        };
        self.of(key, unit).a("n", n).to_string()
    }

    /// The exact instant, the same in every language: `2026-01-31 09:30:05 UTC`.
    pub fn instant(self, at: impl Given<Time>) -> String {
        let text = at.given().to_string();
        let date = text.get(..10).unwrap_or(&text);
        let time = text.get(11..19).unwrap_or_default();
        format!("{date} {time} UTC")
    }

    /// A size in the largest fitting unit: `512 B`, `1.4 kB`, `3.2 MB`.
    pub fn size(self, size_bytes: impl Given<i64>) -> String {
        let bytes = size_bytes.given().max(0);
        match bytes {
            0..1000 => format!("{bytes} B"),
            1000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
            1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
            _ => format!("{:.1} GB", bytes as f64 / 1e9),
        }
    }
}

/// A text that is looked up when it is shown. In a template it is escaped like any other string.
#[derive(Clone, Debug)]
pub struct Text<'a> {
    lang: Lang,
    key: Cow<'a, str>,
    args: HashMap<Cow<'static, str>, FluentValue<'static>>,
}

impl Text<'_> {
    /// Gives the text's variable `name` a value: a whole number (which may choose a plural) or a string.
    pub fn a(mut self, name: impl Into<Cow<'static, str>>, value: impl Arg) -> Self {
        self.args.insert(name.into(), value.fluent());
        self
    }

    /// Whether the reader's catalogue, or the English one, has this text.
    pub fn exists(&self) -> bool {
        self.look_up().is_some()
    }

    fn look_up(&self) -> Option<String> {
        let args = (!self.args.is_empty()).then_some(&self.args);
        let find = |lang: Lang| LOCALES.lookup_single_language(lang.id(), &self.key, args).ok();
        find(self.lang).or_else(|| find(Lang::En))
    }
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.look_up() {
            Some(text) => f.write_str(&text),
            // A test keeps this from happening; should it, the key says more than nothing.
            None => f.write_str(&self.key),
        }
    }
}

/// What a text's variable may be: a whole number, a string, another text. Templates hand over references.
pub trait Arg {
    fn fluent(self) -> FluentValue<'static>;
}

/// A value, or a reference to one as templates hand it over.
pub trait Given<T> {
    fn given(self) -> T;
}

impl<T: Copy> Given<T> for T {
    fn given(self) -> T {
        self
    }
}

impl<T: Copy> Given<T> for &T {
    fn given(self) -> T {
        *self
    }
}

impl<T: Copy> Given<T> for &&T {
    fn given(self) -> T {
        **self
    }
}

/// A whole number of any width.
pub trait Whole {
    fn whole(self) -> i128;
}

macro_rules! whole_numbers {
    ($($number:ty),+) => {$(
        whole_numbers!(@as $number, $number);
        whole_numbers!(@as $number, &$number);
        whole_numbers!(@as $number, &&$number);
    )+};
    (@as $number:ty, $given:ty) => {
        impl Arg for $given {
            fn fluent(self) -> FluentValue<'static> {
                FluentValue::from(Given::<$number>::given(self))
            }
        }
        impl Whole for $given {
            fn whole(self) -> i128 {
                Given::<$number>::given(self) as i128
            }
        }
    };
}
whole_numbers!(i64, u64, i32, u32, u16, usize);

macro_rules! strings {
    ($($string:ty),+) => {$(
        impl Arg for $string {
            fn fluent(self) -> FluentValue<'static> {
                FluentValue::from(self.to_string())
            }
        }
    )+};
}
strings!(String, &String, &&String, &str, &&str, Text<'_>, &Text<'_>);

fn grouped(number: &FluentNumber) -> String {
    group(&number.as_string())
}

/// Puts a comma between thousands; the decimals stay.
fn group(text: &str) -> String {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text),
    };
    let (whole, fraction) = match digits.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (digits, None),
    };
    let mut out = String::from(sign);
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    if let Some(fraction) = fraction {
        out.push('.');
        out.push_str(fraction);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heaviest_language_that_we_speak_wins() {
        for (header, lang) in [
            ("zh-CN,zh;q=0.9,en;q=0.8", Some(Lang::ZhCn)),
            ("de-DE, en;q=0.7, zh;q=0.3", Some(Lang::En)),
            ("en;q=0.2, zh-Hans-CN;q=0.9", Some(Lang::ZhCn)),
            ("zh;q=0, en;q=0.1", Some(Lang::En)),
            ("fr, de;q=0.5", None),
            ("", None),
            (";;;,q=,zh;q=x", None),
        ] {
            assert_eq!(Lang::accepted(header), lang, "{header}");
        }
    }

    #[test]
    fn a_span_is_told_in_its_two_largest_units() {
        for (ms, en, zh) in [
            (0, "0 ms", "0 毫秒"),
            (999, "999 ms", "999 毫秒"),
            (1000, "1 s", "1 秒"),
            (4270, "4.2 s", "4.2 秒"),
            (59_999, "59 s", "59 秒"),
            (192_000, "3 min 12 s", "3 分 12 秒"),
            (7_200_000, "2 h", "2 小时"),
            (273_600_000, "3 d 4 h", "3 天 4 小时"),
            (-5, "0 ms", "0 毫秒"),
        ] {
            assert_eq!(Lang::En.span(ms), en);
            assert_eq!(Lang::ZhCn.span(ms), zh);
        }
    }

    #[test]
    fn a_relative_time_says_its_direction() {
        let now = Time::from_ms(1_000_000_000);
        for (ms, en, zh) in [
            (0, "0s ago", "0秒前"),
            (-200_000, "3m ago", "3分钟前"),
            (7_300_000, "in 2h", "2小时后"),
            (-400_000_000, "4d ago", "4天前"),
        ] {
            let at = Time::from_ms(now.ms() + ms);
            assert_eq!(Lang::En.relative(at, now), en);
            assert_eq!(Lang::ZhCn.relative(at, now), zh);
        }
    }

    #[test]
    fn thousands_are_grouped_and_no_invisible_marks_are_added() {
        assert_eq!(Lang::En.number(-1_234_567), "-1,234,567");
        assert_eq!(Lang::En.decimal(1234.56, 1), "1,234.6");
        assert_eq!(Lang::En.t("unit-s").a("n", 12_345).to_string(), "12,345 s");
    }

    #[test]
    fn an_instant_is_exact_in_every_language() {
        let at = Time::from_ms(1_767_225_605_120);
        assert_eq!(Lang::ZhCn.instant(at), "2026-01-01 00:00:05 UTC");
    }
}
