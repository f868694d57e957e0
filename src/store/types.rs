//! How our own types are kept: times as integers or `timestamptz`, ids as text or `uuid`, enums as words.

use std::str::FromStr;

use serde_json::Value;
use sqlx::{
    Database, Decode, Encode, Postgres, Sqlite, Type, encode::IsNull, error::BoxDynError,
    postgres::PgTypeInfo, sqlite::SqliteTypeInfo,
};
use uuid::Uuid;

use crate::domain::time::Time;

/// PostgreSQL counts microseconds from 2000-01-01.
const POSTGRES_EPOCH_MS: i64 = 946_684_800_000;

/// A `Time` as a column or bind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct At(pub Time);

impl Type<Sqlite> for At {
    fn type_info() -> SqliteTypeInfo {
        <i64 as Type<Sqlite>>::type_info()
    }
}

impl<'q> Encode<'q, Sqlite> for At {
    fn encode_by_ref(
        &self,
        buffer: &mut <Sqlite as Database>::ArgumentBuffer,
    ) -> Result<IsNull, BoxDynError> {
        <i64 as Encode<Sqlite>>::encode_by_ref(&self.0.ms(), buffer)
    }
}

impl<'r> Decode<'r, Sqlite> for At {
    fn decode(value: <Sqlite as Database>::ValueRef<'r>) -> Result<Self, BoxDynError> {
        Ok(Self(Time::from_ms(<i64 as Decode<Sqlite>>::decode(value)?)))
    }
}

impl Type<Postgres> for At {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_name("timestamptz")
    }
}

impl<'q> Encode<'q, Postgres> for At {
    fn encode_by_ref(
        &self,
        buffer: &mut <Postgres as Database>::ArgumentBuffer,
    ) -> Result<IsNull, BoxDynError> {
        <i64 as Encode<Postgres>>::encode_by_ref(&((self.0.ms() - POSTGRES_EPOCH_MS) * 1000), buffer)
    }
}

impl<'r> Decode<'r, Postgres> for At {
    fn decode(value: <Postgres as Database>::ValueRef<'r>) -> Result<Self, BoxDynError> {
        let us = <i64 as Decode<Postgres>>::decode(value)?;
        Ok(Self(Time::from_ms(us.div_euclid(1000) + POSTGRES_EPOCH_MS)))
    }
}

/// A UUID as a column or bind: hyphenated text in SQLite, `uuid` in PostgreSQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Id(pub Uuid);

impl Type<Sqlite> for Id {
    fn type_info() -> SqliteTypeInfo {
        <String as Type<Sqlite>>::type_info()
    }
}

impl<'q> Encode<'q, Sqlite> for Id {
    fn encode_by_ref(
        &self,
        buffer: &mut <Sqlite as Database>::ArgumentBuffer,
    ) -> Result<IsNull, BoxDynError> {
        <String as Encode<Sqlite>>::encode_by_ref(&self.0.hyphenated().to_string(), buffer)
    }
}

impl<'r> Decode<'r, Sqlite> for Id {
    fn decode(value: <Sqlite as Database>::ValueRef<'r>) -> Result<Self, BoxDynError> {
        Ok(Self(<&str as Decode<Sqlite>>::decode(value)?.parse()?))
    }
}

impl Type<Postgres> for Id {
    fn type_info() -> PgTypeInfo {
        <Uuid as Type<Postgres>>::type_info()
    }
}

impl<'q> Encode<'q, Postgres> for Id {
    fn encode_by_ref(
        &self,
        buffer: &mut <Postgres as Database>::ArgumentBuffer,
    ) -> Result<IsNull, BoxDynError> {
        <Uuid as Encode<Postgres>>::encode_by_ref(&self.0, buffer)
    }
}

impl<'r> Decode<'r, Postgres> for Id {
    fn decode(value: <Postgres as Database>::ValueRef<'r>) -> Result<Self, BoxDynError> {
        Ok(Self(<Uuid as Decode<Postgres>>::decode(value)?))
    }
}

/// One of our enums, kept as its word. A word that this version does not know is an error, never a guess.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Word<T>(pub T);

impl<T, D: Database> Type<D> for Word<T>
where
    String: Type<D>,
{
    fn type_info() -> D::TypeInfo {
        <String as Type<D>>::type_info()
    }
    fn compatible(ty: &D::TypeInfo) -> bool {
        <String as Type<D>>::compatible(ty)
    }
}

impl<'r, T, D: Database> Decode<'r, D> for Word<T>
where
    &'r str: Decode<'r, D>,
    T: FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    fn decode(value: D::ValueRef<'r>) -> Result<Self, BoxDynError> {
        Ok(Self(<&'r str as Decode<'r, D>>::decode(value)?.parse()?))
    }
}

impl<'q, T: AsRef<str>, D: Database> Encode<'q, D> for Word<T>
where
    String: Encode<'q, D>,
{
    fn encode_by_ref(&self, buffer: &mut D::ArgumentBuffer) -> Result<IsNull, BoxDynError> {
        <String as Encode<'q, D>>::encode(self.0.as_ref().to_owned(), buffer)
    }
}

/// The rows of a batch, as one bind for `rows(…)`.
///
/// PostgreSQL can hold no NUL character, so none is let through: it is taken out of every text.
pub(crate) struct Batch(String);

impl Batch {
    pub(crate) fn of(rows: &[Value]) -> Self {
        let text = Value::Array(rows.to_vec()).to_string();
        if text.contains("\\u0000") {
            let mut rows = Value::Array(rows.to_vec());
            without_nul(&mut rows);
            return Self(rows.to_string());
        }
        Self(text)
    }
}

/// A document as it stands in a batch's row: its JSON text.
pub(crate) fn document(value: &Value) -> Value {
    let text = value.to_string();
    if text.contains("\\u0000") {
        let mut value = value.clone();
        without_nul(&mut value);
        return Value::String(value.to_string());
    }
    Value::String(text)
}

/// Takes NUL characters out of every text and key in `value`.
fn without_nul(value: &mut Value) {
    match value {
        Value::String(text) => text.retain(|char| char != '\0'),
        Value::Array(items) => items.iter_mut().for_each(without_nul),
        Value::Object(fields) => {
            *fields = std::mem::take(fields)
                .into_iter()
                .map(|(mut key, mut value)| {
                    key.retain(|char| char != '\0');
                    without_nul(&mut value);
                    (key, value)
                })
                .collect();
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

impl Type<Sqlite> for Batch {
    fn type_info() -> SqliteTypeInfo {
        <String as Type<Sqlite>>::type_info()
    }
}

impl<'q> Encode<'q, Sqlite> for Batch {
    fn encode_by_ref(
        &self,
        buffer: &mut <Sqlite as Database>::ArgumentBuffer,
    ) -> Result<IsNull, BoxDynError> {
        <String as Encode<Sqlite>>::encode_by_ref(&self.0, buffer)
    }
}

impl Type<Postgres> for Batch {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_name("jsonb")
    }
}

impl<'q> Encode<'q, Postgres> for Batch {
    fn encode_by_ref(
        &self,
        buffer: &mut <Postgres as Database>::ArgumentBuffer,
    ) -> Result<IsNull, BoxDynError> {
        // The wire format of jsonb: a version byte, then the text.
        buffer.push(1);
        buffer.extend_from_slice(self.0.as_bytes());
        Ok(IsNull::No)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_nul_character_reaches_no_database() {
        let rows =
            [json!({ "error": "a\0b", "detail": document(&json!({ "k\0": ["\0x"], "kept": "\\u0000" })) })];
        assert_eq!(
            Batch::of(&rows).0,
            r#"[{"detail":"{\"k\":[\"x\"],\"kept\":\"\\\\u0000\"}","error":"ab"}]"#
        );
    }
}
