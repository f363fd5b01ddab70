//! A value that is written as a text.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, Visitor};

/// A `T` in its text form. What is wrong with the text is said at its place, with the error's causes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Text<T>(pub(super) T);

/// How an editor describes a text.
pub(super) trait Described {
    /// The name of its kind.
    const NAME: &'static str;
    /// What it says, with an example.
    fn describe() -> String;
    /// What is allowed, where a schema can say it.
    fn allowed() -> Allowed {
        Allowed::Anything
    }
}

/// The texts that a schema allows.
pub(super) enum Allowed {
    Anything,
    Pattern(&'static str),
    Words(Vec<String>),
}

impl<'de, T> Deserialize<'de> for Text<T>
where
    T: FromStr + Described,
    T::Err: Error,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfText<T>(PhantomData<T>);
        impl<T> Visitor<'_> for OfText<T>
        where
            T: FromStr + Described,
            T::Err: Error,
        {
            type Value = Text<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a text: {}", T::describe())
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Text<T>, E> {
                text.parse().map(Text).map_err(|error| E::custom(chain(&error)))
            }
        }
        deserializer.deserialize_str(OfText(PhantomData))
    }
}

impl<T: Described> JsonSchema for Text<T> {
    fn schema_name() -> Cow<'static, str> {
        T::NAME.into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let description = T::describe();
        match T::allowed() {
            Allowed::Anything => json_schema!({ "type": "string", "description": description }),
            Allowed::Pattern(pattern) => {
                json_schema!({ "type": "string", "description": description, "pattern": pattern })
            }
            Allowed::Words(words) => {
                json_schema!({ "type": "string", "description": description, "enum": words })
            }
        }
    }
}

/// An error and its causes in a line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_said = cause.to_string();
        if !text.contains(&cause_said) {
            text += &format!(": {cause_said}");
        }
        source = cause.source();
    }
    text
}
