//! Reads JSON more strictly than `serde_json` does: a key that comes twice is refused, and so is deep nesting.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// How deep arrays and objects may be nested in a body.
pub(super) const DEPTH_MAX: usize = 64;

/// The one JSON value that `text` is. Errors: what is malformed, with its line and column.
pub(super) fn parse(text: &[u8]) -> Result<Value, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let value = Strict { deeper: DEPTH_MAX }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
}

/// A value with at most `deeper` levels of arrays and objects.
#[derive(Clone, Copy)]
struct Strict {
    deeper: usize,
}

impl Strict {
    fn inside<E: Error>(self) -> Result<Self, E> {
        match self.deeper.checked_sub(1) {
            Some(deeper) => Ok(Self { deeper }),
            None => Err(E::custom(format_args!(
                "arrays and objects are nested deeper than {DEPTH_MAX} levels"
            ))),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("a number is out of range"))?;
        Ok(Value::Number(number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut given: A) -> Result<Value, A::Error> {
        let inside = self.inside()?;
        let mut items = Vec::new();
        while let Some(item) = given.next_element_seed(inside)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut given: A) -> Result<Value, A::Error> {
        let inside = self.inside()?;
        let mut fields = Map::new();
        while let Some(key) = given.next_key::<String>()? {
            if fields.contains_key(&key) {
                let start: String = key.chars().take(60).collect();
                return Err(A::Error::custom(format_args!("the key {start:?} comes twice")));
            }
            let value = given.next_value_seed(inside)?;
            fields.insert(key, value);
        }
        Ok(Value::Object(fields))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_json_can_say_is_read() {
        let text = br#" {"a": [1, -2, 0.5, 18446744073709551615, true, null], "b": {"c": "\ud83d\ude00"}} "#;
        let is = json!({ "a": [1, -2, 0.5, u64::MAX, true, null], "b": { "c": "\u{1F600}" } });
        assert_eq!(parse(text).expect("read"), is);
    }

    #[test]
    fn a_key_that_comes_twice_is_refused_at_every_depth() {
        for text in [r#"{"a":1,"a":1}"#, r#"{"x":[{"a":1,"\u0061":2}]}"#] {
            let error = parse(text.as_bytes()).expect_err("refused");
            assert!(
                error.to_string().starts_with("the key \"a\" comes twice"),
                "{error}"
            );
        }
    }

    #[test]
    fn nesting_has_an_end() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(parse(nested(DEPTH_MAX).as_bytes()).is_ok());
        for levels in [DEPTH_MAX + 1, 200_000] {
            let error = parse(nested(levels).as_bytes()).expect_err("refused");
            assert!(error.to_string().contains("deeper than 64"), "{error}");
        }
    }

    #[test]
    fn what_is_no_json_is_refused() {
        for text in [
            "",
            " ",
            "{",
            "{} {}",
            "nul",
            "{'a':1}",
            "[1,]",
            "\"\\ud800\"",
            "1e999",
            "NaN",
        ] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
        assert!(parse(b"\"\xff\"").is_err());
    }
}
