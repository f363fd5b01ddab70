//! A [`Value`] as JSON, and back: what is read is what was written.
//!
//! | value | JSON |
//! |---|---|
//! | `Bool`, `Int`, `Unsigned` | `true`, `-5`, `18446744073709551615` |
//! | `Time` in a tree, with the name `vruntime` | `"vruntime_ns": 5` |
//! | `Time` elsewhere | `{"ns": 5}` |
//! | `Hex` | `"0xffff888000000000"`: lower case, no leading zeros |
//! | `Text` | `"words"`; what would read as a `Hex` is `{"text": "0x12"}` |
//! | `List`, `Tree` | `[…]`, `{…}`, in order, names that come twice too |
//! | `Missing` | `{"missing": "why"}` |
//!
//! A name that would be taken for one of these begins with `=`, which says "as it stands": `{"=missing": …}` is a tree of
//! one value with the name `missing`, `"=wait_ns": 5` is an `Int` with the name `wait_ns`, `"==x"` has the name `=x`.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};

use super::{Name, Value};

/// Deeper trees are not read.
const DEEPEST: usize = 100;

/// The only names in a tree that says what its one value is.
const MISSING: &str = "missing";
const NS: &str = "ns";
const TEXT: &str = "text";

const TIME_SUFFIX: &str = "_ns";
const AS_IT_STANDS: char = '=';

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Value::Bool(yes) => serializer.serialize_bool(*yes),
            Value::Int(number) => serializer.serialize_i64(*number),
            Value::Unsigned(number) => serializer.serialize_u64(*number),
            Value::Time(ns) => one(serializer, NS, ns),
            Value::Hex(number) => serializer.serialize_str(&hex(*number)),
            Value::Text(text) if read_hex(text).is_some() => one(serializer, TEXT, text),
            Value::Text(text) => serializer.serialize_str(text),
            Value::List(values) => serializer.collect_seq(values),
            Value::Tree(entries) => tree(serializer, entries),
            Value::Missing(why) => one(serializer, MISSING, why),
        }
    }
}

fn one<S: Serializer>(serializer: S, name: &str, value: &impl Serialize) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(1))?;
    map.serialize_entry(name, value)?;
    map.end()
}

fn tree<S: Serializer>(serializer: S, entries: &[(Name, Value)]) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(entries.len()))?;
    for (name, value) in entries {
        match value {
            // With a name "as it stands" the suffix would be a part of the name.
            Value::Time(ns) if !name.starts_with(AS_IT_STANDS) => {
                map.serialize_entry(&format!("{name}{TIME_SUFFIX}"), ns)?;
            }
            _ if is_ambiguous(name, value, entries.len()) => {
                map.serialize_entry(&format!("{AS_IT_STANDS}{name}"), value)?;
            }
            _ => map.serialize_entry(&**name, value)?,
        }
    }
    map.end()
}

fn is_ambiguous(name: &str, value: &Value, entries: usize) -> bool {
    let number = matches!(value, Value::Int(_) | Value::Unsigned(_));
    name.starts_with(AS_IT_STANDS)
        || (number && name.ends_with(TIME_SUFFIX))
        || (entries == 1 && [MISSING, NS, TEXT].contains(&name))
}

fn hex(number: u64) -> String {
    format!("{number:#x}")
}

/// The number that is written exactly so.
fn read_hex(text: &str) -> Option<u64> {
    let number = u64::from_str_radix(text.strip_prefix("0x")?, 16).ok()?;
    (hex(number) == text).then_some(number)
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
        Reader { depth: 0 }.deserialize(deserializer)
    }
}

#[derive(Clone, Copy)]
struct Reader {
    depth: usize,
}

impl Reader {
    fn below<E: Error>(self) -> Result<Reader, E> {
        if self.depth == DEEPEST {
            return Err(E::custom(format_args!("values are nested deeper than {DEEPEST}")));
        }
        Ok(Reader {
            depth: self.depth + 1,
        })
    }
}

impl<'de> DeserializeSeed<'de> for Reader {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("true or false, a whole number, a string, a list or a tree")
    }

    fn visit_bool<E: Error>(self, yes: bool) -> Result<Value, E> {
        Ok(Value::Bool(yes))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Int(number))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Value, E> {
        Ok(i64::try_from(number).map_or(Value::Unsigned(number), Value::Int))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        Ok(read_hex(text).map_or_else(|| Value::Text(text.to_owned()), Value::Hex))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let below = self.below()?;
        let mut values = Vec::new();
        while let Some(value) = list.next_element_seed(below)? {
            values.push(value);
        }
        Ok(Value::List(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let below = self.below()?;
        let mut entries = Vec::new();
        while let Some(name) = map.next_key::<String>()? {
            entries.push((name, map.next_value_seed(below)?));
        }
        Ok(match <[(String, Value); 1]>::try_from(entries) {
            Ok([(name, value)]) => only(name, value),
            Err(entries) => Value::Tree(entries.into_iter().map(entry).collect()),
        })
    }
}

/// The value that a tree of one entry stands for.
fn only(name: String, value: Value) -> Value {
    match (name.as_str(), value) {
        (NS, Value::Int(ns)) => Value::Time(ns),
        (MISSING, Value::Text(why)) => Value::Missing(why),
        (TEXT, Value::Text(text)) => Value::Text(text),
        // Both hold a string, and all strings may look like one.
        (MISSING, Value::Hex(number)) => Value::Missing(hex(number)),
        (TEXT, Value::Hex(number)) => Value::Text(hex(number)),
        (_, value) => Value::Tree(vec![entry((name, value))]),
    }
}

/// An entry of a tree as it was before it was written.
fn entry((name, value): (String, Value)) -> (Name, Value) {
    if let Some(name) = name.strip_prefix(AS_IT_STANDS) {
        return (Cow::Owned(name.to_owned()), value);
    }
    match (name.strip_suffix(TIME_SUFFIX), value) {
        (Some(name), Value::Int(ns)) => (Cow::Owned(name.to_owned()), Value::Time(ns)),
        (_, value) => (Cow::Owned(name), value),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::{tree, values};
    use super::*;

    fn read(json: &str) -> Result<Value, serde_json::Error> {
        serde_json::from_str(json)
    }

    #[test]
    fn every_variant_has_its_form() {
        let value = tree(vec![
            ("running", Value::Bool(true)),
            ("nice", Value::Int(-5)),
            ("mask", Value::Unsigned(u64::MAX)),
            ("vruntime", Value::Time(123)),
            ("stack", Value::Hex(0xffff_c900_0000_0000)),
            ("comm", Value::Text("kworker/0:1".to_owned())),
            ("waits", Value::List(vec![Value::Time(5), Value::Hex(1)])),
            ("dsq", Value::Missing("no such field".to_owned())),
        ]);
        let json = serde_json::to_string(&value).unwrap();
        assert_eq!(
            json,
            r#"{"running":true,"nice":-5,"mask":18446744073709551615,"vruntime_ns":123,"stack":"0xffffc90000000000","comm":"kworker/0:1","waits":[{"ns":5},"0x1"],"dsq":{"missing":"no such field"}}"#
        );
        assert_eq!(read(&json).unwrap(), value);
    }

    #[test]
    fn what_would_be_ambiguous_is_escaped() {
        let text = |text: &str| Value::Text(text.to_owned());
        for (value, json) in [
            (tree(vec![("missing", text("a"))]), r#"{"=missing":"a"}"#),
            (tree(vec![("ns", Value::Int(1))]), r#"{"=ns":1}"#),
            (tree(vec![("text", text("0x1"))]), r#"{"=text":{"text":"0x1"}}"#),
            (tree(vec![("wait_ns", Value::Int(1))]), r#"{"=wait_ns":1}"#),
            (tree(vec![("wait_ns", text("a"))]), r#"{"wait_ns":"a"}"#),
            (tree(vec![("wait_ns", Value::Time(1))]), r#"{"wait_ns_ns":1}"#),
            (tree(vec![("=x", Value::Time(1))]), r#"{"==x":{"ns":1}}"#),
            (Value::Missing("0x1".to_owned()), r#"{"missing":"0x1"}"#),
            (text("0x01"), r#""0x01""#),
        ] {
            assert_eq!(serde_json::to_string(&value).unwrap(), json);
            assert_eq!(read(json).unwrap(), value);
        }
    }

    #[test]
    fn what_is_none_of_these_is_refused() {
        for json in [
            "null",
            "1.5",
            "[null]",
            r#"{"a": 1e3}"#,
            "[1",
            "18446744073709551616",
        ] {
            assert!(read(json).is_err(), "{json}");
        }
    }

    #[test]
    fn depth_is_bounded_when_reading() {
        let nested = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(read(&nested(DEEPEST)).is_ok());
        let error = read(&nested(DEEPEST + 1)).unwrap_err().to_string();
        assert!(error.contains("nested deeper than 100"), "{error}");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(value in values()) {
            let json = serde_json::to_string(&value).unwrap();
            prop_assert_eq!(&read(&json).unwrap(), &value);
            let pretty = serde_json::to_string_pretty(&value).unwrap();
            prop_assert_eq!(&read(&pretty).unwrap(), &value);
        }
    }
}
