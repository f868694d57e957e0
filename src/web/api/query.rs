//! The query of a call: every parameter known, none twice, each bounded; and the opaque cursors of lists.

use std::{fmt::Display, str::FromStr};

use axum::{extract::FromRequestParts, http::request::Parts};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};

use super::body::invalid;
use crate::{
    domain::{submission::Wrongs, time::Time},
    web::error::{AppError, Problem},
};

/// The longest value of a parameter.
pub(super) const VALUE_CHARS: usize = 200;
/// The largest page.
pub(super) const PAGE_MAX: usize = 200;
pub(super) const PAGE_DEFAULT: usize = 50;
/// More pairs than any call has parameters.
const PAIRS_MAX: usize = 40;

/// The parameters of a query, taken one by one; `finish` refuses what nobody took.
pub(super) struct Query {
    pairs: Vec<(String, String)>,
    wrongs: Wrongs,
}

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = AppError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, AppError> {
        Self::parse(parts.uri.query().unwrap_or_default())
    }
}

impl Query {
    fn parse(text: &str) -> Result<Self, AppError> {
        let pairs: Vec<(String, String)> = url::form_urlencoded::parse(text.as_bytes())
            .take(PAIRS_MAX + 1)
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect();
        if pairs.len() > PAIRS_MAX {
            return Err(AppError::new(Problem::BadRequest)
                .detail(format!("a query has at most {PAIRS_MAX} parameters")));
        }
        Ok(Self {
            pairs,
            wrongs: Wrongs::default(),
        })
    }

    /// Every value of the parameters that `which` names, with their names, in the order of the query.
    pub(super) fn all(&mut self, which: impl Fn(&str) -> bool) -> Vec<(String, String)> {
        let (taken, left) = std::mem::take(&mut self.pairs)
            .into_iter()
            .partition::<Vec<_>, _>(|(name, _)| which(name));
        self.pairs = left;
        taken
            .into_iter()
            .filter(|(name, value)| {
                let fits = (1..=VALUE_CHARS).contains(&value.chars().count()) && !value.contains('\0');
                if !fits {
                    let right = format!("must be a text of 1 to {VALUE_CHARS} characters");
                    self.wrongs.add(name, right);
                }
                fits
            })
            .collect()
    }

    /// The value of `name`; `None` when it is absent or wrong.
    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        let mut values = self.all(|given| given == name);
        if values.len() > 1 {
            self.wrong(name, "must be given once");
        }
        values.pop().map(|(_, value)| value)
    }

    /// The value of `name` as a `T`, whose error says what would be right.
    pub(super) fn parsed<T>(&mut self, name: &str) -> Option<T>
    where
        T: FromStr,
        T::Err: Display,
    {
        let text = self.text(name)?;
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                self.wrong(name, &format!("is {error}"));
                None
            }
        }
    }

    pub(super) fn time(&mut self, name: &str) -> Option<Time> {
        self.parsed(name)
    }

    /// The page's size: `limit`, 1 to 200, 50 when absent.
    pub(super) fn limit(&mut self) -> usize {
        let Some(text) = self.text("limit") else {
            return PAGE_DEFAULT;
        };
        match text.parse() {
            Ok(limit) if (1..=PAGE_MAX).contains(&limit) => limit,
            _ => {
                self.wrong("limit", &format!("must be a whole number from 1 to {PAGE_MAX}"));
                PAGE_DEFAULT
            }
        }
    }

    /// Where the page begins: the `cursor` that the page before it gave as `next`.
    pub(super) fn cursor<T: FromStr>(&mut self, list: List) -> Option<T> {
        let text = self.text("cursor")?;
        let place = list.place(&text).and_then(|place| place.parse().ok());
        if place.is_none() {
            self.wrong("cursor", "must be the `next` of an earlier page of the same list");
        }
        place
    }

    pub(super) fn wrong(&mut self, name: &str, right: &str) {
        self.wrongs.add(name, right);
    }

    /// Errors: 400 for a parameter that this call has not, 422 for values that are wrong.
    pub(super) fn finish(self) -> Result<(), AppError> {
        if let Some((name, _)) = self.pairs.first() {
            let start: String = name.chars().take(60).collect();
            return Err(
                AppError::new(Problem::BadRequest).detail(format!("this call has no parameter {start:?}"))
            );
        }
        self.wrongs.or(()).map_err(invalid)
    }
}

/// The lists that have cursors. A cursor of one list is none of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum List {
    Tasks,
    History,
    Attempts,
    Queues,
    Samples,
    OpenStalls,
    ClosedStalls,
    OpenIncidents,
    ClosedIncidents,
}

impl List {
    const fn mark(self) -> &'static str {
        match self {
            Self::Tasks => "t",
            Self::History => "h",
            Self::Attempts => "a",
            Self::Queues => "q",
            Self::Samples => "s",
            Self::OpenStalls => "f",
            Self::ClosedStalls => "fc",
            Self::OpenIncidents => "i",
            Self::ClosedIncidents => "ic",
        }
    }

    /// The cursor of a place in this list.
    pub(super) fn cursor(self, place: impl Display) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(format!("{} {place}", self.mark()))
    }

    fn place(self, cursor: &str) -> Option<String> {
        let text = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
        let (mark, place) = text.split_once(' ')?;
        (mark == self.mark() && !place.contains('\0')).then(|| place.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str) -> Query {
        Query::parse(text).expect("parsed")
    }

    fn wrong(mut query: Query, take: impl FnOnce(&mut Query)) -> String {
        take(&mut query);
        let error = query.finish().expect_err("refused");
        assert_eq!(error.problem, Problem::Invalid);
        format!("{error:?}")
    }

    #[test]
    fn what_nobody_takes_is_refused() {
        let mut given = query("kind=a&colour=red");
        assert_eq!(given.text("kind").as_deref(), Some("a"));
        let error = given.finish().expect_err("refused");
        assert_eq!(error.problem, Problem::BadRequest);
        assert!(format!("{error:?}").contains("colour"), "{error:?}");
    }

    #[test]
    fn a_parameter_comes_once_and_is_bounded() {
        for text in [
            "kind=a&kind=b",
            "kind=",
            "kind=%00",
            &format!("kind={}", "x".repeat(201)),
        ] {
            wrong(query(text), |query| drop(query.text("kind")));
        }
        assert!(Query::parse(&"a=1&".repeat(41)).is_err());
    }

    #[test]
    fn a_page_has_1_to_200_items() {
        assert_eq!(query("").limit(), 50);
        assert_eq!(query("limit=200").limit(), 200);
        for text in [
            "limit=0",
            "limit=201",
            "limit=-1",
            "limit=x",
            "limit=9223372036854775808",
        ] {
            wrong(query(text), |query| {
                query.limit();
            });
        }
    }

    #[test]
    fn a_cursor_belongs_to_its_list() {
        let cursor = List::History.cursor(42);
        assert_eq!(
            query(&format!("cursor={cursor}")).cursor::<i64>(List::History),
            Some(42)
        );
        for text in [cursor.as_str(), "x", "!!", "", &List::Attempts.cursor("nine")] {
            wrong(query(&format!("cursor={text}")), |query| {
                query.cursor::<i64>(List::Attempts);
            });
        }
    }
}
